"""Clients of a WSGI application: through the server's own bridge, and through a mounted one."""

from __future__ import annotations

import random

from tests.storm.content import SMALL_FILE, content, file_content
from tests.storm.link import Link, Place, get, post
from tests.storm.witness import Witness, check, check_content


async def bridge(place: Place, witness: Witness, rng: random.Random) -> None:
    await _session("/wsgi", place, witness, rng)


async def mounted(place: Place, witness: Witness, rng: random.Random) -> None:
    await _session("/mounted", place, witness, rng)


async def _session(root: str, place: Place, witness: Witness, rng: random.Random) -> None:
    async with witness.exchange("connect"):
        link = await Link.open(place)
    try:
        for _ in range(rng.randint(1, 10)):
            token = witness.token()
            size = rng.choice([1, 1000, 100_000])
            asked = f"?token={token}&size={size}"
            match rng.randrange(4):
                case 0:
                    async with witness.exchange(f"{root}/content"):
                        await link.send(get(f"{root}/content{asked}"))
                        check_content(await link.answer(), token, size)
                case 1:
                    async with witness.exchange(f"{root}/stream"):
                        await link.send(get(f"{root}/stream{asked}"))
                        check_content(await link.answer(), token, size)
                case 2:
                    async with witness.exchange(f"{root}/file"):
                        await link.send(get(f"{root}/file?token={token}&size={SMALL_FILE}"))
                        check(await link.answer(), token, file_content(SMALL_FILE))
                case 3:
                    body = content(token, size)
                    async with witness.exchange(f"{root}/mirror"):
                        await link.send(post(f"{root}/mirror?token={token}", body))
                        check(await link.answer(), token, body)
    finally:
        link.drop()
