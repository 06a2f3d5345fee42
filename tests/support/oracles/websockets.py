"""WebSocket frames as the `websockets` library reads them, and every difference from our reading with its reason."""

from __future__ import annotations

import zlib
from codecs import getincrementaldecoder
from typing import Any

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.protocol import Protocol, Side, State

from pronghorn.errors import FrameError
from tests.support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    RSV2,
    TEXT,
    VIOLATION,
    close,
    ended,
    events_of,
    frame,
)

MAX_SIZE = 300


def ours(wire: Any, pieces: list[bytes], offer: str | None = None) -> tuple[list[Any], str]:
    """The events of a Reader for `pieces`, and the reason if it refuses them."""
    reasons: list[str] = []

    class Watched:
        """A Reader that records the reason of a violation."""

        def __init__(self) -> None:
            self.reader = wire.frames.Reader(MAX_SIZE, offer and wire.deflate.negotiate(offer, zlib))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.reader, name)

        def next(self) -> int:
            try:
                return int(self.reader.next())
            except FrameError as error:
                reasons.append(error.reason)
                raise

    return events_of(Watched(), pieces), "".join(reasons)


class Theirs:
    """The oracle's result for `data`.

    It checks a frame when that is whole, and leaves UTF-8 to its user: so a partial frame is `completed` where we
    have refused it, and texts are decoded here. `stopped_at` is the header of the frame it refuses, if any.
    """

    def __init__(self, data: bytes, offer: str | None = None, completed: bool = False) -> None:
        protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MAX_SIZE)
        self.deflate: Any = None
        if offer:
            self.deflate = Noting("client_no_context_takeover" in offer, False, 15, 12)
            protocol.extensions = [self.deflate]
        protocol.receive_data(data + bytes(min(missing(data), MAX_SIZE) if completed else 0))
        frames = protocol.events_received()
        self.events: list[Any] = []
        self.inside = False
        self.room = MAX_SIZE
        self.stopped_at: Head | None = None
        # It refused a frame that does not end its message.
        self.stopped_inside = False
        self._read(frames)
        if not ended(self.events) and protocol.parser_exc is not None:
            self.events.append((VIOLATION, int(protocol.close_sent.code)))
            self.stopped_at = heads(data)[len(frames)]
            self.stopped_inside = not self.stopped_at.is_final and self.stopped_at.opcode < CLOSE
        self.stream_ended = self.deflate is not None and self.deflate.stream_ended()
        self.has_long_forms = not all(head.is_minimal for head in heads(data))

    def _read(self, frames: list[Any]) -> None:
        opcode, content = CONTINUATION, b""
        decoder = getincrementaldecoder("utf-8")()
        for each in frames:
            data = bytes(each.data)
            if each.opcode in (PING, PONG):
                self.events.append((int(each.opcode), data))
            elif each.opcode == CLOSE:
                code = int.from_bytes(data[:2], "big") or 1005
                self.events.append((CLOSE, code, data[2:].decode()))
            else:
                if each.opcode != CONTINUATION:
                    opcode, content = int(each.opcode), b""
                    decoder.reset()
                content += data
                self.inside = not each.fin
                self.room = MAX_SIZE - len(content) * self.inside
                if opcode == TEXT:
                    try:
                        decoder.decode(data, each.fin)
                        # The decoder reports a surrogate only once it is complete.
                        is_bad = b"\xed\xa0" <= decoder.getstate()[0] < b"\xee"
                    except UnicodeDecodeError:
                        is_bad = True
                    if is_bad:
                        self.events.append((VIOLATION, 1007))
                        self.stopped_inside = self.inside
                        return
                if each.fin:
                    self.events.append((opcode, content.decode() if opcode == TEXT else content))


class Noting(PerMessageDeflate):  # type: ignore[misc]
    """The oracle's extension, which drops its inflater after a message if that was agreed on."""

    has_ended = False

    def __delattr__(self, name: str) -> None:
        self.has_ended = self.stream_ended()
        super().__delattr__(name)

    def stream_ended(self) -> bool:
        """True once an inflater reached the end of its stream, after which it ignores everything."""
        return self.has_ended or getattr(getattr(self, "decoder", None), "eof", False)


class Head:
    """A frame header, with the facts that explain why two readers differ."""

    def __init__(self, data: bytes) -> None:
        given = len(data)
        data = data[:14].ljust(14, b"\0")
        short = data[1] & 127
        end = {126: 4, 127: 10}.get(short, 2)
        self.opcode = data[0] & 15
        self.is_final = data[0] & 128 != 0
        self.length = short if end == 2 else int.from_bytes(data[2:end], "big")
        self.size = end + (4 if data[1] & 128 else 0)
        self.is_whole = given >= self.size
        self.is_minimal = self.length >= {126: 126, 127: 65536}.get(short, 0)


def heads(data: bytes) -> list[Head]:
    """The headers of the frames in `data`. The last frame may be incomplete."""
    found = []
    while data:
        head = Head(data)
        found.append(head)
        data = data[head.size + head.length :]
    return found


def missing(data: bytes) -> int:
    """Number of bytes missing from the last frame."""
    end = 0
    for head in heads(data):
        end += head.size + head.length
    return end - len(data)


# Differences: the client's input, the offer of compression, our events, the oracle's events, and the justification
# of ours.
DEFLATE = "permessage-deflate; client_max_window_bits=15"
LONG = b"x" * 200
DIFFERENCES = {
    "length not minimal": (
        frame(TEXT, b"a", bits=16),
        None,
        [(VIOLATION, 1002)],
        [(TEXT, "a")],
        "a length is in its shortest form (RFC 6455 section 5.2); websockets takes any",
    ),
    "length out of range": (
        frame(TEXT, length=1 << 63),
        None,
        [(VIOLATION, 1002)],
        [(VIOLATION, 1009)],
        "what has the top bit set is no length; websockets finds it too big",
    ),
    "a header that is not whole": (
        frame(TEXT, length=1 << 63)[:-1],
        None,
        [],
        [(VIOLATION, 1009)],
        "we look at a header when its mask is there, too; websockets at the length before that",
    ),
    "a frame that breaks two rules": (
        frame(PING, LONG * 2),
        None,
        [(VIOLATION, 1002)],
        [(VIOLATION, 1009)],
        "websockets looks at a frame's size first, at the rest when it is whole",
    ),
    "reserved bits of a frame that is too big when inflated": (
        frame(BINARY, bytes.fromhex("aaa81805a360140c770000"), rsv=RSV1 | RSV2),
        DEFLATE,
        [(VIOLATION, 1002)],
        [(VIOLATION, 1009)],
        "websockets looks at these bits after the content",
    ),
    "a code and a reason that are both wrong": (
        close(1005, b"\xff"),
        None,
        [(VIOLATION, 1002)],
        [(VIOLATION, 1007)],
        "websockets looks at the reason first",
    ),
    "a control frame when the message under way is nearly as big as may be": (
        frame(BINARY, LONG, fin=False) + frame(PING, b"x" * 125) + frame(CONTINUATION, b"y"),
        None,
        [(PING, b"x" * 125), (BINARY, LONG + b"y")],
        [(VIOLATION, 1009)],
        "a control frame is no part of a message; websockets wants room for it",
    ),
    "a close frame inside a message": (
        frame(TEXT, b"a", fin=False) + close(1000),
        None,
        [(CLOSE, 1000, "")],
        [(VIOLATION, 1002)],
        "control frames may come between fragments (RFC 6455 section 5.4); websockets does not let this one",
    ),
    "compressed data longer than its content": (
        frame(BINARY, b"\x00\x2c\x01\xd3\xfe" + b"x" * 300 + b"\0", rsv=RSV1),
        DEFLATE,
        [(BINARY, b"x" * 300)],
        [(VIOLATION, 1009)],
        "the bound is on messages, which it would fit; websockets bounds what comes, too",
    ),
    "a stream that ends": (
        frame(BINARY, bytes.fromhex("f348cdc9c9070000"), rsv=RSV1) + frame(BINARY, b"\x07", rsv=RSV1),
        DEFLATE,
        [(BINARY, b"Hello"), (VIOLATION, 1002)],
        [(BINARY, b"Hello"), (BINARY, b"")],
        "another follows (RFC 7692 section 7.2.1); websockets drops all data behind the end",
    ),
    "bad compressed data behind as much content as may be": (
        frame(BINARY, bytes.fromhex("4a7248"), fin=False, rsv=RSV1)
        + frame(CONTINUATION, bytes.fromhex("48230a60002a2a1a121212128412121212")),
        DEFLATE,
        [(VIOLATION, 1002)],
        [(VIOLATION, 1009)],
        "we ask for one byte more than may be, and find the fault; websockets takes any rest for too much",
    ),
    "a compressed message that is not complete": (
        frame(TEXT, b"\x00\x01\x00\xfe\xff\xff", fin=False, rsv=RSV1) + frame(PING),
        DEFLATE,
        [(PING, b"")],
        [(VIOLATION, 1007)],
        "we inflate it when it is complete; websockets inflates each frame",
    ),
}


def difference(our: list[Any], reason: str, their: Theirs) -> str | None:
    """The name of the known difference between these results, or None."""
    code, their_code = ended_with(our), ended_with(their.events)
    stop = their.stopped_at
    if reason in ("length not minimal", "control frame too long") and their.has_long_forms:
        return "length not minimal"
    if reason == "length out of range" and their_code == 1009:
        return reason
    if their.stream_ended:
        return "a stream that ends"
    if their.deflate is not None and their.stopped_inside:
        return "a compressed message that is not complete"
    if stop is None:
        return None
    if not reason and not stop.is_whole:
        return "a header that is not whole"
    if stop.opcode == CLOSE and reason == "invalid close code" and their_code == 1007:
        return "a code and a reason that are both wrong"
    if stop.opcode == CLOSE and their.inside and their_code == 1002:
        return "a close frame inside a message"
    if their_code == 1009 and stop.length > their.room:
        if code == 1002:
            return "a frame that breaks two rules"
        if stop.opcode >= CLOSE:
            return "a control frame when the message under way is nearly as big as may be"
        if their.deflate is not None:
            return "compressed data longer than its content"
    if their.deflate is not None and reason == "reserved bits set" and their_code == 1009:
        return "reserved bits of a frame that is too big when inflated"
    if their.deflate is not None and reason == "invalid compressed data" and their_code == 1009:
        return "bad compressed data behind as much content as may be"
    return None


def ended_with(events: list[Any]) -> int | None:
    """The code of the final violation, or None."""
    return events[-1][1] if events and events[-1][0] == VIOLATION else None


def compare(wire: Any, data: bytes, pieces: list[bytes], offer: str | None = None) -> None:
    events, reason = ours(wire, pieces, offer)
    their = Theirs(data, offer, completed=bool(reason))
    if events != their.events:
        name = difference(events, reason, their)
        assert name, (events, reason, their.events)
        # Behind the end of a stream all events may differ, otherwise the last one.
        if name != "a stream that ends":
            common = min(len(events), len(their.events)) - 1
            assert events[:common] == their.events[:common]
