"""Pipelines that are unread, abandoned, or followed by garbage."""

from __future__ import annotations

import asyncio
import random

from tests.storm.hostile.leaving import at_most, leave
from tests.storm.link import Place, get, linked, post

_REQUESTS = (
    get("/content?token=pipeline&size=10"),
    get("/content?token=pipeline&size=100000"),
    get("/fail?when=before"),
    get("/file?size=65536"),
    get("/nap?token=pipeline&size=10&seconds=0.01"),
    get("/poll"),
    get("/stream?token=pipeline&size=100000"),
    get("/wsgi/content?token=pipeline&size=1000"),
    post("/mirror", bytes(1000)),
    b"garbage\r\n\r\n",
)


async def left(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(_pipeline(rng))
        await asyncio.sleep(rng.choice([0, rng.uniform(0, 0.1)]))
        leave(link, rng)


async def left_midway(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(_pipeline(rng))
        for _ in range(rng.randint(1, 5)):
            async with at_most(0.5):
                await link.read(rng.choice([100, 100_000]))
        leave(link, rng)


async def half_closed(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(_pipeline(rng) + b"GET /ha")
        link.end()
        await asyncio.sleep(rng.uniform(0, 0.1))
        leave(link, rng)


def _pipeline(rng: random.Random) -> bytes:
    return b"".join(rng.choices(_REQUESTS, k=rng.randint(2, 60)))


ACTS = (left, left_midway, half_closed)
