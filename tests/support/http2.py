"""Frames of HTTP/2 as bytes (RFC 9113), and a client that exchanges them with a connection without sockets."""

from __future__ import annotations

from typing import Any, NamedTuple

from pronghorn.hpack_tables import STATIC_TABLE
from pronghorn.http2_constants import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from tests.support.rig import Rig

GET = (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")
POST = (b":method", b"POST"), *GET[1:]
EXTENDED = (
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    *GET[1:],
    (b"sec-websocket-version", b"13"),
)


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends(self) -> bool:
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    @property
    def number(self) -> int:
        """The payload as an integer: an error code or an increment."""
        return int.from_bytes(self.payload, "big")

    @property
    def code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[-4:] if self.kind == RST_STREAM else self.payload[4:8], "big")

    @property
    def last(self) -> int:
        """The last stream of GOAWAY."""
        return int.from_bytes(self.payload[:4], "big")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def split_frames(data: bytes) -> list[Frame]:
    """The whole frames in `data`."""
    frames = []
    while data:
        size = int.from_bytes(data[:3], "big")
        assert len(data) >= 9 + size
        frames.append(Frame(data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return frames


def literal(name: bytes, value: bytes) -> bytes:
    """A field that no table keeps (RFC 7541 section 6.2.2)."""
    return b"\0" + _string(name) + _string(value)


def block(*fields: tuple[bytes, bytes]) -> bytes:
    return b"".join(literal(*field) for field in fields)


def headers(stream: int, *fields: tuple[bytes, bytes], ends: bool = True, flags: int = 0) -> bytes:
    flags |= END_HEADERS | (END_STREAM if ends else 0)
    return frame(HEADERS, flags, stream, block(*fields))


def get(stream: int = 1, path: bytes = b"/", *fields: tuple[bytes, bytes]) -> bytes:
    return headers(stream, *GET[:3], (b":path", path), *fields)


def post(stream: int = 1, *fields: tuple[bytes, bytes]) -> bytes:
    """The head of a request whose body follows."""
    return headers(stream, *POST, *fields, ends=False)


def data(stream: int = 1, content: bytes = b"", ends: bool = False) -> bytes:
    return frame(DATA, END_STREAM if ends else 0, stream, content)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs))


def opening(*pairs: tuple[int, int]) -> bytes:
    """All that a server waits for before requests: the preface, settings, and the acknowledgement of the server's."""
    return PREFACE + settings(*pairs) + frame(SETTINGS, ACK)


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def rst_stream(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def ping(payload: bytes = b"12345678", flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


def goaway(last: int = 0, code: int = 0) -> bytes:
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def priority(stream: int, payload: bytes = b"\0\0\0\0\x10") -> bytes:
    return frame(PRIORITY, 0, stream, payload)


class Answer(NamedTuple):
    status: int
    fields: list[tuple[bytes, bytes]]
    content: bytes
    is_complete: bool
    trailers: list[tuple[bytes, bytes]]


class Peer:
    """A client of one connection in a `Rig`, which gets all keyword arguments. The preface is exchanged at first."""

    def __init__(self, wire: Any, application: Any = None, *, settings: bytes = settings(), **options: Any) -> None:
        self.rig = Rig(wire, application, kind=wire.http2.connection.HTTP2Connection, **options)
        self.rig.receive(PREFACE + settings)
        self.greeting = self.take()
        self.send(frame(SETTINGS, ACK))

    def send(self, *frames: bytes) -> None:
        self.rig.receive(b"".join(frames))

    def take(self) -> list[Frame]:
        """End this iteration; return the frames written since the last call."""
        return split_frames(self.rig.take())

    def exchange(self, *frames: bytes) -> list[Frame]:
        self.send(*frames)
        return self.take()

    def fields(self, each: Frame) -> list[tuple[bytes, bytes]]:
        """The fields of a HEADERS frame."""
        assert each.kind == HEADERS
        assert each.flags & END_HEADERS
        return decode(each.payload)

    def answers(self, frames: list[Frame]) -> dict[int, Answer]:
        """The responses in `frames`, by stream. Interim ones are left out."""
        answers: dict[int, Answer] = {}
        started = b""
        for each in frames:
            if each.kind in (HEADERS, CONTINUATION):
                started += each.payload
                if not each.flags & END_HEADERS:
                    continue
                fields = decode(started)
                started = b""
                if each.stream in answers:
                    answers[each.stream] = answers[each.stream]._replace(trailers=fields, is_complete=each.ends)
                elif fields[0][1] >= b"200":
                    answers[each.stream] = Answer(int(fields[0][1]), fields[1:], b"", each.ends, [])
            elif each.kind == DATA:
                answer = answers[each.stream]
                assert not answer.is_complete
                answers[each.stream] = answer._replace(content=answer.content + each.payload, is_complete=each.ends)
        return answers


def only(frames: list[Frame], kind: int) -> Frame:
    """The only frame of `kind`."""
    (found,) = [each for each in frames if each.kind == kind]
    return found


def kinds(frames: list[Frame]) -> list[int]:
    return [each.kind for each in frames]


def decode(block: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a response, which uses neither a table of its own nor the Huffman code."""
    fields = []
    at = 0

    def integer(most: int) -> int:
        nonlocal at
        value = block[at] & most
        at += 1
        shift = 0
        while value >= most and (not shift or block[at - 1] & 128):
            value += (block[at] & 127) << shift
            shift += 7
            at += 1
        return value

    def string() -> bytes:
        nonlocal at
        assert not block[at] & 128
        size = integer(127)
        at += size
        return block[at - size : at]

    while at < len(block):
        if block[at] & 128:
            fields.append(STATIC_TABLE[integer(127) - 1])
        else:
            assert block[at] < 32
            index = integer(15)
            name = STATIC_TABLE[index - 1][0] if index else string()
            fields.append((name, string()))
    return fields


def _string(text: bytes) -> bytes:
    """A string without Huffman code (RFC 7541 section 5.2)."""
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    octets = [127]
    size -= 127
    while size > 127:
        octets.append(size & 127 | 128)
        size >>= 7
    return bytes((*octets, size)) + text
