"""Stalled clients: incomplete heads and bodies, and unread responses."""

from __future__ import annotations

import asyncio
import random

from pronghorn.http2_constants import GREATEST_WINDOW, HEADERS, INITIAL_WINDOW_SIZE, PREFACE
from tests.storm.content import LARGE_FILE
from tests.storm.hostile.websockets import FLOOD
from tests.storm.link import LEFT, Link, Place, get, linked
from tests.support import http2

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
_UPLOAD = http2.headers(1, *http2.POST[:3], (b":path", b"/mirror"), ends=False)
# HTTP/2 that the server waits for: settings, the rest of a frame, of a field block or of a body.
_HALVES_OF_HTTP2 = (
    PREFACE[:10],
    PREFACE,
    PREFACE + http2.settings(),
    http2.opening() + http2.get(1)[:-2],
    http2.opening() + http2.frame(HEADERS, 0, 1, http2.block(*http2.GET)),
    http2.opening() + _UPLOAD + http2.data(1, bytes(10)),
    http2.opening(),
)


async def stops_sending(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(rng.choice(_HALVES))
        await link.rest()


async def stops_sending_http2(place: Place, rng: random.Random) -> None:
    async with linked(place.over_http2()) as link:
        await link.send(rng.choice(_HALVES_OF_HTTP2))
        await link.rest()


async def opens_no_window(place: Place, rng: random.Random) -> None:
    """Read everything, but give the server no credit for it."""
    window = rng.choice([0, 1, GREATEST_WINDOW])
    async with linked(place.over_http2()) as link:
        await link.send(http2.opening((INITIAL_WINDOW_SIZE, window)))
        await link.send(b"".join(http2.get(number, b"/stream?token=slow&size=4000000") for number in (1, 3)))
        await link.rest()


async def stops_reading(place: Place, rng: random.Random) -> None:
    async with linked(place, buffer=16384) as link:
        await link.send(rng.choice(_LARGE))
        await link.cut_off()


async def drips(place: Place, rng: random.Random) -> None:
    """Send a head byte by byte."""
    async with linked(place) as link:
        await _drip(link, get("/content?token=drip&size=10"), rng.uniform(0.05, 0.25))


async def drips_a_body(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(get("/mirror", "content-length: 100", method="POST"))
        await _drip(link, bytes(50), rng.uniform(0.05, 0.2))


async def says_nothing(place: Place, rng: random.Random) -> None:
    async with linked(place, plain=True) as link:
        await link.rest()


async def _drip(link: Link, data: bytes, pause: float) -> None:
    for byte in data:
        try:
            await link.send(bytes([byte]))
        except LEFT:
            return
        await asyncio.sleep(pause)


ACTS = (
    stops_sending,
    stops_sending_http2,
    opens_no_window,
    stops_reading,
    drips,
    drips_a_body,
    says_nothing,
)
