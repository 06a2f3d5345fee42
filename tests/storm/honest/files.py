"""Downloads of files, some of them slow."""

from __future__ import annotations

import random

from tests.storm.content import LARGE_FILE, SMALL_FILE, file_content
from tests.storm.honest.streams import read_steadily
from tests.storm.link import Link, Place, get
from tests.storm.witness import Witness, check


async def files(place: Place, witness: Witness, rng: random.Random) -> None:
    async with witness.exchange("connect"):
        link = await Link.open(place)
    try:
        for _ in range(rng.randint(1, 10)):
            token, size = witness.token(), rng.choice([SMALL_FILE, SMALL_FILE, LARGE_FILE])
            async with witness.exchange(f"a file of {size} bytes"):
                await link.send(get(f"/file?token={token}&size={size}"))
                check(await link.answer(), token, file_content(size))
    finally:
        link.drop()


async def steady_readers(place: Place, witness: Witness, rng: random.Random) -> None:
    target = f"/file?token={witness.token()}&size={LARGE_FILE}"
    await read_steadily(place, witness, target, file_content(LARGE_FILE))
