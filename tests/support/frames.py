"""WebSocket frames: build a client's, valid or not; parse a server's; read with a Reader."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import pytest

from pronghorn.backend import Compression
from pronghorn.errors import FrameError
from tests.support.splits import three_ways

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1, RSV2, RSV3 = 4, 2, 1
MASK = b"\x37\xfa\x21\x3d"
ENOUGH = -3
NOTHING = -1

# Result of a Reader: (opcode, payload), (CLOSE, code, reason), or (VIOLATION, code to close with).
VIOLATION = "violation"
Event = tuple[Any, ...]


def compression(name: str) -> Any:
    """The compression module `zlib` or `isal`, as the server uses it."""
    deflater = zlib if name == "zlib" else pytest.importorskip("isal.isal_zlib")
    return Compression(deflater.compressobj)


by_compression = pytest.mark.parametrize("name", ["zlib", "isal"])


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: int | None = None,
    bits: int | None = None,
) -> bytes:
    """One frame, valid or not (RFC 6455 section 5.2).

    `mask` None leaves it unmasked, `length` declares another length than the payload's, `bits` (7, 16 or 64) spells it
    in another form than the shortest.
    """
    if length is None:
        length = len(payload)
    if bits is None:
        bits = 7 if length < 126 else 16 if length < 65536 else 64
    first = fin << 7 | rsv << 4 | opcode
    masked = 0 if mask is None else 128
    if bits == 7:
        head = bytes([first, masked | length])
    elif bits == 16:
        head = bytes([first, masked | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([first, masked | 127]) + length.to_bytes(8, "big")
    return head + payload if mask is None else head + mask + masked_with(mask, payload)


def fragments(opcode: int, *payloads: bytes, rsv: int = 0, between: bytes = b"") -> bytes:
    """One message with a frame for each payload and `between` between the frames."""
    last = len(payloads) - 1
    return between.join(
        frame(
            CONTINUATION if index else opcode,
            payload,
            fin=index == last,
            rsv=0 if index else rsv,
        )
        for index, payload in enumerate(payloads)
    )


def close(code: int, reason: bytes = b"") -> bytes:
    """A close frame with a code."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def masked_with(mask: bytes, payload: bytes) -> bytes:
    """`payload` masked, or unmasked (RFC 6455 section 5.3)."""
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def served(data: bytes) -> list[tuple[int, int, bytes]]:
    """The frames a server wrote as (opcode, reserved bits, payload). Each is whole, final and unmasked."""
    frames = []
    while data:
        first, length = data[0], data[1]
        assert first & 128, "not final"
        assert length < 128, "masked"
        start = 2
        if length > 125:
            start = 4 if length == 126 else 10
            size, length = length, int.from_bytes(data[2:start], "big")
            assert length >= (126 if size == 126 else 65536), "not the shortest form"
        assert len(data) >= start + length, "not whole"
        frames.append((first & 15, first >> 4 & 7, data[start : start + length]))
        data = data[start + length :]
    return frames


def drain(reader: Any) -> list[Event]:
    """Read all events that are available; nothing follows a close frame or a violation."""
    events: list[Event] = []
    try:
        while (kind := reader.next()) != NOTHING:
            if kind == ENOUGH:
                reader.begin_turn()
                continue
            if kind == CLOSE:
                events.append((CLOSE, reader.code, reader.reason))
                break
            events.append((kind, reader.payload))
    except FrameError as error:
        events.append((VIOLATION, error.code))
    return events


def ended(events: list[Event]) -> bool:
    return bool(events) and events[-1][0] in (CLOSE, VIOLATION)


def events_of(reader: Any, pieces: Iterable[bytes]) -> list[Event]:
    """Feed the pieces one by one, and read after each all events that are available."""
    events: list[Event] = []
    for piece in pieces:
        reader.feed(piece)
        events += drain(reader)
        if ended(events):
            break
    return events


def every_way(make_reader: Any, data: bytes) -> list[Event]:
    """The events of new Readers for `data`. Asserts that they are the same whether it comes whole, byte by byte, with
    a frame after it, or entirely before anything is read.
    """
    ways = three_ways(data, frame(PONG, b"tail"))
    expected = events_of(make_reader(), ways["whole"])
    assert events_of(make_reader(), ways["byte by byte"]) == expected, "byte by byte"
    tail = [] if ended(expected) else [(PONG, b"tail")]
    assert events_of(make_reader(), ways["with a tail"]) == expected + tail, "with a tail"
    reader = make_reader()
    for piece in ways["byte by byte"]:
        reader.feed(piece)
    assert drain(reader) == expected, "fed before it is read"
    return expected
