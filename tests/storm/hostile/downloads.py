"""Abandoned downloads: files, streams and single large bodies."""

from __future__ import annotations

import asyncio
import random

from tests.storm.content import LARGE_FILE, SMALL_FILE
from tests.storm.hostile.leaving import leave
from tests.storm.link import Place, get, linked

_TARGETS = (
    f"/file?size={LARGE_FILE}",
    f"/file?size={SMALL_FILE}",
    "/content?token=download&size=3000000",
    "/stream?token=download&size=3000000",
)


async def at_once(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(get(rng.choice(_TARGETS)))
        leave(link, rng)


async def midway(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(get(rng.choice(_TARGETS)))
        for _ in range(rng.randint(1, 10)):
            await link.read(rng.choice([1000, 100_000]))
        leave(link, rng)


async def unread(place: Place, rng: random.Random) -> None:
    async with linked(place, buffer=16384) as link:
        await link.send(get(rng.choice(_TARGETS)))
        await asyncio.sleep(rng.uniform(0, 0.3))
        leave(link, rng)


async def one_after_the_other(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(b"".join(get(target) for target in rng.choices(_TARGETS, k=4)))
        await link.read()
        leave(link, rng)


ACTS = (at_once, midway, unread, one_after_the_other)
