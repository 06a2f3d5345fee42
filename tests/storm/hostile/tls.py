"""Below TLS: truncated handshakes, plain requests, garbage in records, closes without close_notify."""

from __future__ import annotations

import asyncio
import random

from tests.storm.hostile.garbage import HELLO
from tests.storm.hostile.leaving import leave
from tests.storm.link import Place, get, linked


async def cut_off(place: Place, rng: random.Random) -> None:
    """A few bytes of a handshake, and the end in the same loop iteration."""
    async with linked(place, plain=True) as link:
        link.write(HELLO[: rng.randint(1, len(HELLO))])
        await asyncio.sleep(rng.choice([0, 0.01]))
        leave(link, rng)


async def plain(place: Place, rng: random.Random) -> None:
    async with linked(place, plain=True) as link:
        link.write(get("/content?token=plain&size=10"))
        if rng.random() < 0.5:
            await link.read()
        leave(link, rng)


async def garbage(place: Place, rng: random.Random) -> None:
    async with linked(place, plain=True) as link:
        link.write(rng.choice([HELLO, b""]) + rng.randbytes(600))
        if rng.random() < 0.5:
            await link.read()
        leave(link, rng)


async def ended_beneath(place: Place, rng: random.Random) -> None:
    """EOF without close_notify, during a response or while idle."""
    async with linked(place) as link:
        link.write(rng.choice([b"", get("/stream?token=ended&size=1000000"), get("/poll")]))
        await asyncio.sleep(rng.choice([0, 0.02]))
        link.end()
        await asyncio.sleep(rng.uniform(0, 0.1))
        leave(link, rng)


ACTS = (cut_off, plain, garbage, ended_beneath)
