"""WebSockets that are abandoned in every state, that break RFC 6455, or that flood the server."""

from __future__ import annotations

import asyncio
import random
import zlib

from tests.storm.hostile.leaving import at_most, leave
from tests.storm.link import Link, Place, get, linked, reaching

_FIELDS = (
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)
ECHO, FLOOD = get("/echo", *_FIELDS), get("/flood", *_FIELDS)
_COMPRESSED = ("sec-websocket-extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover",)

_MASK = b"\0\0\0\0"
_HELLO = b"\x81\x85" + _MASK + b"hello"
_PING = b"\x89\xfd" + _MASK + bytes(125)
_CLOSE = b"\x88\x82" + _MASK + b"\x03\xe8"
_LARGE = b"\x82\xfe\xff\xff" + _MASK + bytes(65535)
_DEFLATER = zlib.compressobj(wbits=-15)
_DEFLATED = _DEFLATER.compress(bytes(1 << 20)) + _DEFLATER.flush(zlib.Z_SYNC_FLUSH)[:-4]
# A megabyte, once it is decompressed.
_SWELLING = b"\xc2\xfe" + len(_DEFLATED).to_bytes(2, "big") + _MASK + _DEFLATED
_HALVES = (_HELLO[:1], _HELLO[:8], _LARGE[:30_000], b"\x01\x85" + _MASK + b"hello")
_BROKEN = (
    b"\x81\x05hello",  # not masked
    b"\xf1\x85" + _MASK + b"hello",  # reserved bits
    b"\x83\x85" + _MASK + b"hello",  # an unknown opcode
    b"\x09\x85" + _MASK + b"hello",  # a fragmented ping
    b"\x89\xfe\x00\x80" + _MASK + bytes(128),  # a long ping
    b"\x81\x82" + _MASK + b"\xff\xff",  # no UTF-8
    b"\x80\x85" + _MASK + b"hello",  # a continuation without a message
    b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + _MASK,  # too long
    b"\x88\x81" + _MASK + b"\x03",  # half a close code
    bytes(200),
)


async def with_the_handshake(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(rng.choice([ECHO, FLOOD]) + rng.choice([b"", _HELLO, *_BROKEN]))
        leave(link, rng)


async def echoing(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await _open(link, ECHO)
        for _ in range(rng.randint(0, 10)):
            link.write(rng.choice([_HELLO, _LARGE, _PING]))
        await asyncio.sleep(rng.choice([0, 0.02]))
        leave(link, rng)


async def flooded(place: Place, rng: random.Random) -> None:
    async with linked(place, buffer=rng.choice([0, 16384])) as link:
        await _open(link, FLOOD)
        await link.read()
        await asyncio.sleep(rng.uniform(0, 0.2))
        leave(link, rng)


async def broken(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await _open(link, ECHO)
        link.write(rng.choice([*_BROKEN, rng.randbytes(1000)]))
        if rng.random() < 0.5:
            await link.read()
        leave(link, rng)


async def half(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        await _open(link, rng.choice([ECHO, FLOOD]))
        link.write(rng.choice(_HALVES))
        if rng.random() < 0.5:
            link.end()
            await asyncio.sleep(rng.uniform(0, 0.1))
        leave(link, rng)


async def unread(place: Place, rng: random.Random) -> None:
    """Send much to echo and read nothing."""
    async with linked(place, buffer=16384) as link:
        await _open(link, ECHO)
        async with at_most(0.5):
            for _ in range(100):
                await link.send(rng.choice([_PING * 100, _LARGE]))
        leave(link, rng)


async def swelling(place: Place, rng: random.Random) -> None:
    """Messages that become large, before the client leaves; the application echoes them, or receives none."""
    async with linked(place) as link:
        await _open(link, get(rng.choice(["/echo", "/flood"]), *_FIELDS, *_COMPRESSED))
        link.write(_SWELLING * rng.randint(1, 8) + rng.choice([b"", _HELLO, _PING, _CLOSE, _SWELLING[:-1], *_BROKEN]))
        await asyncio.sleep(rng.choice([0, 0, 0.02]))
        if rng.random() < 0.3:
            link.end()
        leave(link, rng)


async def closing(place: Place, rng: random.Random) -> None:
    """A closing handshake that the client does not wait for, or sends on after."""
    async with linked(place) as link:
        await _open(link, rng.choice([ECHO, FLOOD]))
        link.write(_CLOSE + rng.choice([b"", _HELLO, _CLOSE]))
        leave(link, rng)


async def _open(link: Link, handshake: bytes) -> None:
    with reaching("the handshake"):
        await link.send(handshake)
        status, _ = await link.head()
        if status != 101:
            raise ConnectionError(f"it is answered with {status}")


ACTS = (with_the_handshake, echoing, flooded, broken, half, unread, swelling, closing)
