"""Downloads and uploads of a WSGI application, on both bridges, that are left: each has a thread."""

from __future__ import annotations

import asyncio
import random

from tests.storm.content import LARGE_FILE
from tests.storm.hostile.leaving import leave
from tests.storm.link import Place, get, linked

_ROOTS = ("/wsgi", "/mounted")


async def left_at_once(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(get(_target(rng)))
        leave(link, rng)


async def left_midway(place: Place, rng: random.Random) -> None:
    async with linked(place, buffer=rng.choice([0, 16384])) as link:
        await link.send(get(_target(rng)))
        await link.read(1000)
        await asyncio.sleep(rng.choice([0, 0.05]))
        leave(link, rng)


async def upload_left(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(get(f"{rng.choice(_ROOTS)}/mirror?token=left", "content-length: 100000", method="POST"))
        link.write(bytes(rng.choice([0, 1000, 99_000])))
        await asyncio.sleep(rng.choice([0, 0.05]))
        leave(link, rng)


async def nap_left(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(get(f"{rng.choice(_ROOTS)}/nap?token=left&size=200000&seconds=0.05"))
        await asyncio.sleep(rng.choice([0, 0.02]))
        leave(link, rng)


def _target(rng: random.Random) -> str:
    path = rng.choice([f"file?token=left&size={LARGE_FILE}", "stream?token=left&size=2000000"])
    return f"{rng.choice(_ROOTS)}/{path}"


ACTS = (left_at_once, left_midway, left_midway, upload_left, nap_left)
