"""Garbage, other protocols and invalid heads, from clients that may have left before the response."""

from __future__ import annotations

import asyncio
import random

from tests.storm.hostile.leaving import leave
from tests.storm.link import Place, get, linked

# The first bytes of a TLS client.
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

_REFUSED = (
    b"bogus\r\n\r\n",
    b"\r\n\r\n\r\nGET\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: one\r\nhost: two\r\n\r\n",
    b"GET / HTTP/1.1\nhost: test\n\n",
    b"GET / HTTP/1.1\r\nhost: test\r\nna me: value\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: test\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: test\r\nx: " + b"x" * 100_000,
    b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nhost: test\r\n\r\n",
    b"GET / HTTP/3.0\r\nhost: test\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nhost: test\r\n\r\n",
    get("/mirror", "content-length: 5", "transfer-encoding: chunked", method="POST"),
    get("/mirror", "content-length: 1", "content-length: 2", method="POST"),
    get("/mirror", "transfer-encoding: chunked", method="POST") + b"xyz\r\n",
    get("/mirror", "transfer-encoding: chunked", method="POST") + b"ffffffffffffffffff\r\n",
    get("/mirror", "transfer-encoding: gzip, chunked", method="POST"),
    get("/refuse", "content-length: 100000", "expect: nothing", method="POST"),
    b"\x05\x01\x00",
    bytes(1000),
    HELLO,
)


async def and_leave(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(_pick(rng))
        leave(link, rng)


async def and_leave_soon(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(_pick(rng))
        await asyncio.sleep(rng.uniform(0, 0.02))
        leave(link, rng)


async def and_read(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await link.send(_pick(rng))
        await link.read()
        leave(link, rng)


async def behind_a_request(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(get("/nap?token=garbage&size=10&seconds=0.01") + _pick(rng))
        await link.read()
        leave(link, rng)


async def unloggable(place: Place, rng: random.Random) -> None:
    """A request with an access line that fails if the storm has a filter; its head is sent before the body."""
    async with linked(place) as link:
        await link.send(get("/unloggable?token=unloggable&size=10&pause=0.01"))
        await link.read()


def _pick(rng: random.Random) -> bytes:
    return rng.choice([rng.choice(_REFUSED), rng.choice(_REFUSED), rng.randbytes(rng.choice([1, 20, 5000]))])


ACTS = (and_leave, and_leave, and_leave_soon, and_read, behind_a_request, unloggable)
