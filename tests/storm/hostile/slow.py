"""Stalled clients: incomplete heads and bodies, and unread responses."""

from __future__ import annotations

import asyncio
import random

from tests.storm.content import LARGE_FILE
from tests.storm.hostile.websockets import FLOOD
from tests.storm.link import LEFT, Link, Place, get, linked

_HALVES = (
    b"",
    b"G",
    get("/content?token=slow&size=10")[:-2],
    get("/mirror", "content-length: 1000", method="POST") + bytes(10),
    get("/mirror", "transfer-encoding: chunked", method="POST") + b"5\r\nhe",
    get("/wsgi/mirror?token=slow", "content-length: 1000", method="POST") + bytes(10),
    FLOOD[:-2],
)
_LARGE = (
    get("/content?token=slow&size=4000000"),
    get("/stream?token=slow&size=4000000"),
    get(f"/file?size={LARGE_FILE}") * 3,
    get("/wsgi/stream?token=slow&size=4000000"),
    FLOOD,
)
# Longer than the server's timeouts of a few seconds.
_SECONDS = 6.0


async def stops_sending(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(rng.choice(_HALVES))
        await link.rest()


async def stops_reading(place: Place, rng: random.Random) -> None:
    async with linked(place, buffer=16384) as link:
        await link.send(rng.choice(_LARGE))
        await asyncio.sleep(_SECONDS)


async def drips(place: Place, rng: random.Random) -> None:
    """Send a head byte by byte."""
    async with linked(place) as link:
        await _drip(link, get("/content?token=drip&size=10"), rng.uniform(0.05, 0.5))


async def drips_a_body(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(get("/mirror", "content-length: 100", method="POST"))
        await _drip(link, bytes(50), rng.uniform(0.05, 0.2))


async def says_nothing_beneath_tls(place: Place, rng: random.Random) -> None:
    async with linked(place, plain=True) as link:
        await link.rest()


async def _drip(link: Link, data: bytes, pause: float) -> None:
    for byte in data:
        try:
            await link.send(bytes([byte]))
        except LEFT:
            return
        await asyncio.sleep(pause)


ACTS = (stops_sending, stops_reading, drips, drips_a_body, says_nothing_beneath_tls)
