"""Uploads, some of them refused: the client reads the refusal after it has sent everything."""

from __future__ import annotations

import asyncio
import random

from tests.storm.content import BODY_LIMIT, content
from tests.storm.link import Link, Place, get
from tests.storm.witness import Witness, check, check_content

_PIECES = 16
_REFUSED_SIZE = 480_000


async def uploads(place: Place, witness: Witness, rng: random.Random) -> None:
    """Upload in pieces with pauses; some uploads wait for 100 Continue."""
    async with witness.exchange("connect"):
        link = await Link.open(place)
    try:
        for _ in range(rng.randint(1, 4)):
            token = witness.token()
            body = content(token, rng.choice([_PIECES, 100_000, BODY_LIMIT // _PIECES * _PIECES]))
            expects = rng.random() < 0.5
            fields = ["expect: 100-continue"] * expects
            async with witness.exchange(f"an upload of {len(body)} bytes"):
                head = get(f"/mirror?token={token}", f"content-length: {len(body)}", *fields, method="POST")
                await link.send(head)
                if expects and (answer := await link.answer()).status != 100:
                    raise AssertionError(f"{answer.status} in place of 100")
                await _send_in_pieces(link, body, rng.uniform(0, 0.02))
                check(await link.answer(), token, body)
    finally:
        link.drop()


async def refused(place: Place, witness: Witness, rng: random.Random) -> None:
    """Read late an early refusal of the application or the server."""
    async with witness.exchange("connect"):
        link = await Link.open(place)
    token = witness.token()
    late = rng.choice([0.0, 0.05, 0.25])  # up to four seconds in total
    try:
        if rng.random() < 0.5:
            async with witness.exchange(f"a 401 to {_REFUSED_SIZE} bytes in {late * _PIECES} s"):
                head = get(f"/refuse?token={token}", f"content-length: {_REFUSED_SIZE}", method="POST")
                await link.send(head)
                await _send_in_pieces(link, bytes(_REFUSED_SIZE), late)
                check_content(await link.answer(), token, 100, 401)
        else:
            async with witness.exchange(f"a 413 to {_REFUSED_SIZE} of {BODY_LIMIT + 1} bytes in {late * _PIECES} s"):
                await link.send(get("/mirror", f"content-length: {BODY_LIMIT + 1}", method="POST"))
                await _send_in_pieces(link, bytes(_REFUSED_SIZE), late)
                answer = await link.answer()
                if answer.status != 413:
                    raise AssertionError(f"{answer.status} in place of 413")
    finally:
        link.drop()


async def _send_in_pieces(link: Link, body: bytes, pause: float) -> None:
    size = len(body) // _PIECES
    for start in range(0, len(body), size):
        await link.send(body[start : start + size])
        await asyncio.sleep(pause)
