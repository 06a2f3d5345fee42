"""Resets: without a request, in the same loop iteration as requests, and during responses."""

from __future__ import annotations

import asyncio
import random

from tests.storm.link import Place, get, linked, post

_SENT_BEFORE = (
    b"",
    b"G",
    get("/content?token=reset&size=10")[:-2],
    get("/content?token=reset&size=10"),
    get("/content?token=reset&size=3000000"),
    get("/fail?when=before"),
    get("/fail?when=midway&token=reset&size=100000"),
    get("/file?size=65536"),
    get("/listen"),
    get("/nap?token=reset&size=10&seconds=0.1"),
    get("/poll"),
    get("/stream?token=reset&size=500000&pause=0.01"),
    get("/nowhere", "connection: close", "content-length: 5", method="POST"),
    post("/mirror", bytes(100_000)),
)


async def behind_it(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(rng.choice(_SENT_BEFORE))
        link.reset()


async def soon_after(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(rng.choice(_SENT_BEFORE))
        await asyncio.sleep(rng.uniform(0, 0.05))
        link.reset()


async def in_the_answer(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(get(f"/stream?token=reset&size=1000000&pause={rng.choice([0, 0.005])}"))
        for _ in range(rng.randint(1, 5)):
            await link.read(rng.choice([10, 10_000]))
        link.reset()


async def before_the_handshake(place: Place, rng: random.Random) -> None:
    async with linked(place, plain=True) as link:
        link.reset()


ACTS = (behind_it, behind_it, soon_after, in_the_answer, before_the_handshake)
