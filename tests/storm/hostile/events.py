"""Abandoned event streams and long polls, with and without a clean close."""

from __future__ import annotations

import asyncio
import random

from tests.storm.hostile.leaving import leave
from tests.storm.link import Place, get, linked

_TARGETS = ("/events?token=left&pause=0.02", "/events?token=left&pause=0.5", "/listen")


async def left(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(get(rng.choice(_TARGETS)))
        await link.head()
        await asyncio.sleep(rng.uniform(0, 0.1))
        leave(link, rng)


async def poll_left(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(get("/poll"))
        await asyncio.sleep(rng.uniform(0, 0.1))
        leave(link, rng)


async def left_with_the_next_request(place: Place, rng: random.Random) -> None:
    """Data and a reset in one loop iteration during a stream."""
    async with linked(place) as link:
        await link.send(get(rng.choice([*_TARGETS, "/poll"])))
        await asyncio.sleep(rng.uniform(0, 0.1))
        link.write(rng.choice([get("/content?token=next&size=10"), b"\r\n", b"garbage"]))
        link.reset()


ACTS = (left, poll_left, left_with_the_next_request)
