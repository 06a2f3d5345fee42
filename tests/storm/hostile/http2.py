"""HTTP/2 that is cut off, broken, or abandoned: prefaces, frames, field blocks, windows, streams and uploads."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from pronghorn.http2_constants import (
    CANCEL,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GREATEST_WINDOW,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PADDED,
    SETTINGS,
)
from tests.storm.content import LARGE_FILE
from tests.storm.hostile.leaving import at_most, leave
from tests.storm.link import Link, Place, linked
from tests.support import frames
from tests.support.http2 import (
    EXTENDED,
    GET,
    POST,
    block,
    data,
    frame,
    get,
    goaway,
    headers,
    literal,
    opening,
    ping,
    priority,
    rst_stream,
    settings,
    window_update,
)

_TARGETS = (
    b"/content?token=http2&size=100000",
    b"/events?token=http2&pause=0.02",
    b"/fail?when=before",
    b"/fail?when=midway&token=http2&size=100000",
    b"/file?size=%d" % LARGE_FILE,
    b"/listen",
    b"/mounted/stream?token=http2&size=100000",
    b"/nap?token=http2&size=10&seconds=0.05",
    b"/nowhere",
    b"/poll",
    b"/stream?token=http2&size=3000000",
    b"/unloggable?token=http2&size=10&pause=0.01",
    b"/wsgi/nap?token=http2&size=10&seconds=0.05",
    b"/wsgi/stream?token=http2&size=3000000",
)
# Not of WSGI: so many requests would take its threads away from the honest clients.
_HELD = (b"/content?token=http2&size=100000", b"/events?token=http2&pause=0.02", b"/listen", b"/poll")
_LARGE = (
    b"/content?token=http2&size=3000000",
    b"/file?size=%d" % LARGE_FILE,
    b"/stream?token=http2&size=3000000",
    b"/wsgi/stream?token=http2&size=3000000",
)
_UPLOADS = (b"/mirror", b"/mounted/mirror?token=http2", b"/refuse", b"/wsgi/mirror?token=http2")
# In the table of the decoder, with the size of a large field, and the index of that field (RFC 7541 section 6.2.1).
_KEPT = b"\x40" + literal(b"x", b"v" * 4000)[1:]
_KEPT_INDEX = b"\xbe"
_BROKEN = (
    data(0, b"x"),
    data(5, b"x"),
    frame(DATA, PADDED, 1, b"\xff"),
    frame(HEADERS, END_HEADERS, 2, block(*GET)),
    frame(HEADERS, END_HEADERS, 3, b"\xff\xff\xff\xff\xff\xff"),
    frame(CONTINUATION, END_HEADERS, 1, block(*GET)),
    frame(SETTINGS, 0, 0, b"12345"),
    frame(DATA, 0, 1, bytes(20_000)),
    headers(3, *GET[:2]),
    headers(3, *GET, (b"Upper", b"case")),
    headers(3, *GET, (b"connection", b"close")),
    headers(3, *GET, (b"x", b"y" * 100_000)),
    settings((INITIAL_WINDOW_SIZE, GREATEST_WINDOW + 1)),
    window_update(0, 0),
    window_update(0, GREATEST_WINDOW),
    window_update(1, 0),
    rst_stream(7, CANCEL),
    priority(0),
    bytes(100),
)


async def preface_cut_off(place: Place, rng: random.Random) -> None:
    async with linked(place.over_http2()) as link:
        greeting = opening()
        link.write(greeting[: rng.randrange(len(greeting))])
        await _end(link, rng)


async def garbage(place: Place, rng: random.Random) -> None:
    """Frames of random types, flags, streams and content."""
    async with _greeted(place) as link:
        for _ in range(rng.randint(1, 20)):
            content = rng.randbytes(rng.choice([0, 4, 5, 8, 300]))
            link.write(frame(rng.randrange(12), rng.randrange(256), rng.choice([0, 1, 2, 3, 1 << 30]), content))
        await _end(link, rng)


async def broken(place: Place, rng: random.Random) -> None:
    """A frame that breaks the RFC, beside a request."""
    async with _greeted(place) as link:
        link.write(get(1, rng.choice(_TARGETS)) + rng.choice(_BROKEN))
        await _end(link, rng)


async def opened_and_reset(place: Place, rng: random.Random) -> None:
    """Rapid Reset, and requests that are reset a moment later."""
    async with _greeted(place) as link:
        for number in range(1, rng.choice([3, 101, 801]), 2):
            link.write(get(number, rng.choice(_TARGETS)))
            await asyncio.sleep(rng.choice([0, 0, 0, 0.005]))
            link.write(rst_stream(number, rng.choice([CANCEL, ENHANCE_YOUR_CALM])))
        await _end(link, rng)


async def made_to_reset(place: Place, rng: random.Random) -> None:
    """Streams that the client makes the server reset."""
    async with _greeted(place) as link:
        for number in range(1, rng.choice([3, 101, 801]), 2):
            link.write(get(number, rng.choice(_TARGETS)) + rng.choice([window_update(number, 0), data(number, b"x")]))
        await _end(link, rng)


async def too_many_streams(place: Place, rng: random.Random) -> None:
    async with _greeted(place) as link:
        link.write(b"".join(get(number, rng.choice(_HELD)) for number in range(1, rng.choice([101, 601]), 2)))
        await _end(link, rng)


async def connection_window_unopened(place: Place, rng: random.Random) -> None:
    async with _greeted(place, (INITIAL_WINDOW_SIZE, GREATEST_WINDOW)) as link:
        await _download(link, rng)


async def stream_windows_of_a_byte(place: Place, rng: random.Random) -> None:
    async with _greeted(place, (INITIAL_WINDOW_SIZE, rng.choice([0, 1]))) as link:
        link.write(b"".join(get(number, rng.choice(_LARGE)) for number in (1, 3, 5)))
        for _ in range(rng.randint(1, 100)):
            link.write(window_update(rng.choice([1, 3, 5]), 1))
            await asyncio.sleep(rng.choice([0, 0.002]))
        await _end(link, rng)


async def windows_that_shrink(place: Place, rng: random.Random) -> None:
    """Windows become negative during downloads."""
    async with _greeted(place) as link:
        link.write(b"".join(get(number, rng.choice(_LARGE)) for number in (1, 3, 5)))
        for _ in range(rng.randint(1, 20)):
            link.write(settings((INITIAL_WINDOW_SIZE, rng.choice([0, 1, DEFAULT_WINDOW, GREATEST_WINDOW >> 1]))))
            link.write(window_update(0, DEFAULT_WINDOW))
            await asyncio.sleep(rng.choice([0, 0.005]))
        await _end(link, rng)


async def unread(place: Place, rng: random.Random) -> None:
    """Open every window, and read nothing from the socket."""
    async with _greeted(place, (INITIAL_WINDOW_SIZE, GREATEST_WINDOW), buffer=16384) as link:
        link.write(window_update(0, GREATEST_WINDOW - DEFAULT_WINDOW))
        await _download(link, rng)


async def flood(place: Place, rng: random.Random) -> None:
    """Frames that serve no purpose, beside a request."""
    kinds = [
        settings((INITIAL_WINDOW_SIZE, 65535)),
        ping(),
        priority(9),
        window_update(0, 1),
        data(1),
        b"\0\0\0\xff\0" + bytes(4),
    ]
    async with _greeted(place) as link:
        link.write(_post(1, rng))
        async with at_most(1):
            for _ in range(rng.randint(1, 50)):
                await link.send(rng.choice(kinds) * 100)
        await _end(link, rng)


async def without_continuation(place: Place, rng: random.Random) -> None:
    async with _greeted(place) as link:
        link.write(frame(HEADERS, END_STREAM, 1, block(*GET)) + rng.choice([b"", ping(), get(3)]))
        await _end(link, rng)


async def continuation_flood(place: Place, rng: random.Random) -> None:
    async with _greeted(place) as link:
        link.write(get(1, rng.choice(_TARGETS)) + frame(HEADERS, END_STREAM, 3, block(*GET)))
        for _ in range(rng.randint(1, 40)):
            await link.send(frame(CONTINUATION, 0, 3, literal(b"x", b"y" * rng.choice([0, 100, 10_000]))))
        await _end(link, rng)


async def header_bomb(place: Place, rng: random.Random) -> None:
    """Thousands of references to a large field of the decoder's table."""
    async with _greeted(place) as link:
        link.write(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*GET) + _KEPT))
        for number in range(3, 21, 2):
            content = block(*GET) + _KEPT_INDEX * rng.choice([3, 15, 15_000])
            link.write(frame(HEADERS, END_STREAM | END_HEADERS, number, content))
        await _end(link, rng)


async def goaway_amid_uploads(place: Place, rng: random.Random) -> None:
    async with _greeted(place) as link:
        link.write(b"".join(_post(number, rng) + data(number, bytes(1000)) for number in (1, 3, 5)))
        link.write(goaway(0, rng.choice([0, ENHANCE_YOUR_CALM])))
        link.write(rng.choice([b"", data(1, bytes(1000), ends=True), get(7)]))
        await _end(link, rng)


async def after_the_end_of_a_stream(place: Place, rng: random.Random) -> None:
    async with _greeted(place) as link:
        link.write(get(1, rng.choice(_TARGETS)))
        await asyncio.sleep(rng.choice([0, 0.02]))
        link.write(rng.choice([data(1, b"x"), data(1, b"", ends=True), headers(1, *GET), headers(1, (b"a", b"b"))]))
        await _end(link, rng)


async def uploads_broken_off(place: Place, rng: random.Random) -> None:
    """Bodies that end early, reset, too long, or beside others that nobody takes."""
    async with _greeted(place) as link:
        for number in range(1, rng.choice([3, 33]), 2):
            size = rng.choice([10, 30_000])
            link.write(_post(number, rng, (b"content-length", b"%d" % size)))
            link.write(b"".join(data(number, bytes(min(size, 10_000))) for _ in range(rng.randint(0, 4))))
            link.write(rng.choice([b"", data(number, b"", ends=True), rst_stream(number, CANCEL)]))
        await _end(link, rng)


async def beyond_the_window(place: Place, rng: random.Random) -> None:
    """More content than the server's windows admit."""
    async with _greeted(place) as link:
        link.write(headers(1, *POST[:3], (b":path", b"/poll"), ends=False))
        async with at_most(1):
            for _ in range(rng.choice([5, 100])):
                await link.send(data(rng.choice([1, 1, 1, 3]), bytes(16_384)))
        await _end(link, rng)


async def ended_beneath(place: Place, rng: random.Random) -> None:
    """The TCP connection is half-closed amid streams."""
    async with _greeted(place) as link:
        link.write(_streams(rng))
        await asyncio.sleep(rng.choice([0, 0.02]))
        link.end()
        await _end(link, rng)


async def left(place: Place, rng: random.Random) -> None:
    """The client leaves amid streams."""
    async with _greeted(place, buffer=rng.choice([0, 16384])) as link:
        link.write(_streams(rng))
        await _end(link, rng)


async def websocket_abandoned(place: Place, rng: random.Random) -> None:
    path = rng.choice([b"/echo", b"/flood"])
    handshake = *EXTENDED[:4], (b":path", path), *EXTENDED[5:]
    async with _greeted(place) as link:
        for number in (1, 3):
            link.write(headers(number, *handshake, ends=rng.random() < 0.1))
            sent = rng.choice(
                [b"", frames.frame(frames.TEXT, b"hello"), frames.frame(frames.PING), frames.close(1000), bytes(9)]
            )
            link.write(data(number, sent, ends=rng.random() < 0.3))
            await asyncio.sleep(rng.choice([0, 0.02]))
            link.write(
                rng.choice([b"", rst_stream(number, CANCEL), window_update(number, 1 << 20), data(number, sent[:3])])
            )
        await _end(link, rng)


async def websocket_unknown(place: Place, rng: random.Random) -> None:
    """A CONNECT for another protocol, or for none."""
    async with _greeted(place) as link:
        link.write(headers(1, EXTENDED[0], (b":protocol", b"other"), *EXTENDED[2:], ends=False))
        link.write(headers(3, EXTENDED[0], (b":authority", b"test:443"), ends=False) + data(3, b"hello"))
        await _end(link, rng)


@contextlib.asynccontextmanager
async def _greeted(place: Place, *pairs: tuple[int, int], buffer: int = 0) -> AsyncIterator[Link]:
    """Open a connection and send the preface, these settings, and an acknowledgement of the server's."""
    async with linked(place.over_http2(), buffer=buffer) as link:
        link.write(opening(*pairs))
        yield link


def _post(number: int, rng: random.Random, *fields: tuple[bytes, bytes]) -> bytes:
    return headers(number, *POST[:3], (b":path", rng.choice(_UPLOADS)), *fields, ends=False)


def _streams(rng: random.Random) -> bytes:
    """Requests of all kinds, some with a part of their body."""
    return b"".join(
        rng.choice([get(number, rng.choice(_TARGETS)), _post(number, rng) + data(number, bytes(1000))])
        for number in range(1, rng.choice([3, 21]), 2)
    )


async def _download(link: Link, rng: random.Random) -> None:
    """Request large responses, and leave a while later."""
    link.write(b"".join(get(number, rng.choice(_LARGE)) for number in (1, 3)))
    await asyncio.sleep(rng.uniform(0, 0.3))
    leave(link, rng)


async def _end(link: Link, rng: random.Random) -> None:
    """Leave at once, a moment later, or after some of the answer."""
    match rng.randrange(3):
        case 0:
            await asyncio.sleep(rng.uniform(0, 0.05))
        case 1:
            async with at_most(0.5):
                for _ in range(rng.randint(1, 5)):
                    await link.read()
    leave(link, rng)


ACTS = (
    *(preface_cut_off, garbage, broken, opened_and_reset, made_to_reset, too_many_streams),
    *(connection_window_unopened, stream_windows_of_a_byte, windows_that_shrink, unread),
    *(flood, without_continuation, continuation_flood, header_bomb),
    *(goaway_amid_uploads, after_the_end_of_a_stream, uploads_broken_off, beyond_the_window, ended_beneath, left),
    *(websocket_abandoned, websocket_unknown),
)
