"""Abandoned downloads and uploads of a WSGI application: each occupies a thread of the bridge at `root`."""

from __future__ import annotations

import asyncio
import functools
import random

from tests.storm.content import LARGE_FILE, MEDIUM_FILE
from tests.storm.hostile.leaving import leave
from tests.storm.link import Place, get, linked


async def left_at_once(root: str, place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(get(_target(root, rng)))
        leave(link, rng)


async def left_midway(root: str, place: Place, rng: random.Random) -> None:
    async with linked(place, buffer=rng.choice([0, 16384])) as link:
        await link.send(get(_target(root, rng)))
        await link.read(1000)
        await asyncio.sleep(rng.choice([0, 0.05]))
        leave(link, rng)


async def upload_left(root: str, place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(get(f"{root}/mirror?token=left", "content-length: 100000", method="POST"))
        link.write(bytes(rng.choice([0, 1000, 99_000])))
        await asyncio.sleep(rng.choice([0, 0.05]))
        leave(link, rng)


async def nap_left(root: str, place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(get(f"{root}/nap?token=left&size=200000&seconds=0.05"))
        await asyncio.sleep(rng.choice([0, 0.02]))
        leave(link, rng)


def _target(root: str, rng: random.Random) -> str:
    # An abandoned response of a mounted bridge must end before the server cancels it: its thread would not survive.
    file, stream = (LARGE_FILE, 2_000_000) if root == "/wsgi" else (MEDIUM_FILE, 200_000)
    path = rng.choice([f"file?token=left&size={file}", f"stream?token=left&size={stream}"])
    return f"{root}/{path}"


_EACH = (left_at_once, left_midway, left_midway, upload_left, nap_left)
# Of the server's own bridge, and of a mounted one.
ACTS = tuple(functools.partial(act, "/wsgi") for act in _EACH)
MOUNTED_ACTS = tuple(functools.partial(act, "/mounted") for act in _EACH)
