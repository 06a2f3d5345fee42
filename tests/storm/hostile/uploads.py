"""Uploads that end early, declare a wrong length, or go on after a refusal."""

from __future__ import annotations

import asyncio
import random

from tests.storm.content import BODY_LIMIT
from tests.storm.hostile.leaving import at_most, leave
from tests.storm.link import Place, chunked, get, linked

_PATHS = ("/mirror", "/refuse", "/wsgi/mirror", "/nap?token=upload&size=10&seconds=0.05")


async def broken_off(place: Place, rng: random.Random) -> None:
    size = rng.choice([100, 50_000, 900_000])
    async with linked(place) as link:
        link.write(get(rng.choice(_PATHS), f"content-length: {size}", method="POST"))
        await asyncio.sleep(rng.choice([0, 0.01]))
        link.write(bytes(size // 2))
        await asyncio.sleep(rng.choice([0, 0.01]))
        leave(link, rng)


async def chunks_broken_off(place: Place, rng: random.Random) -> None:
    request = chunked(rng.choice(_PATHS), bytes(100_000), 7000)
    async with linked(place) as link:
        link.write(request[: rng.randrange(len(request))] + rng.choice([b"", b"zz\r\n"]))
        await asyncio.sleep(rng.choice([0, 0.01]))
        leave(link, rng)


async def refused(place: Place, rng: random.Random) -> None:
    """Send far too much as fast as possible."""
    path, size = rng.choice([("/refuse", 20_000_000), ("/refuse", 900_000), ("/mirror", BODY_LIMIT * 20)])
    async with linked(place) as link:
        await link.send(get(path, f"content-length: {size}", method="POST"))
        async with at_most(1):
            for _ in range(size // 50_000):
                await link.send(bytes(50_000))
        leave(link, rng)


async def refused_chunks(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(get(rng.choice(["/refuse", "/mirror"]), "transfer-encoding: chunked", method="POST"))
        async with at_most(1):
            for _ in range(100):
                await link.send(b"c350\r\n" + bytes(50_000) + b"\r\n")
        leave(link, rng)


async def never_begun(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(get(rng.choice(_PATHS), "content-length: 1000", "expect: 100-continue", method="POST"))
        await link.read()
        leave(link, rng)


ACTS = (broken_off, chunks_broken_off, refused, refused_chunks, never_begun)
