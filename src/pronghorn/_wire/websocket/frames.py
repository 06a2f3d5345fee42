"""Read and build WebSocket frames (RFC 6455 section 5).

`Reader.next` returns the opcode of a whole message or a control frame, NOTHING if bytes are missing, or ENOUGH if the
rest can wait. It raises `FrameError` with the close code of a violation, and must not be called again.
"""

from __future__ import annotations

from codecs import utf_8_decode
from struct import Struct
from typing import TYPE_CHECKING

from pronghorn.constants import (
    BINARY,
    CLOSE,
    CLOSE_CODES,
    COMPRESSED,
    CONTINUATION,
    ENOUGH,
    FIN,
    NO_CODE,
    NOTHING,
    PONG,
    TEXT,
)
from pronghorn.errors import FrameError

from ..kernels import ascii_frame, mask_key, rotate, unmask, unmask_pieces, unmask_text, whole_frame

if TYPE_CHECKING:
    from typing import Any

    from _typeshed import MaybeNone

    from .deflate import Deflate

# Protocol violations by clients, and their close codes.
VIOLATIONS = {
    "reserved bits set": 1002,
    "unknown opcode": 1002,
    "unmasked frame": 1002,
    "fragmented control frame": 1002,
    "control frame too long": 1002,
    "length not minimal": 1002,
    "length out of range": 1002,
    "continuation of nothing": 1002,
    "message inside a message": 1002,
    "malformed close frame": 1002,
    "invalid close code": 1002,
    "invalid compressed data": 1002,
    "invalid UTF-8": 1007,
    "message too big": 1009,
}

# Shorter parts of a message are joined with the next part: small pieces must not cost an object each.
SMALL_PART = 4096
# Payloads up to this size are copied behind their header; longer ones are written separately.
COPIED = 16384

# Compressed messages: bytes that are decompressed at a time, before and after; those that may result before others have
# their turn; the size before, up to which a message waits for nobody. Bytes become up to 1,032 times as many.
DEFLATED_PART = 65536
INFLATED_PART = 65536
MOST_INFLATED = 262144
SMALL_MESSAGE = 256

# Removed from the end of each compressed message, and never sent (RFC 7692 section 7.2.2).
DEFLATE_TAIL = b"\x00\x00\xff\xff"

_HEADER_16 = Struct(">BBH")
_HEADER_64 = Struct(">BBQ")


class Reader:
    """Reads the frames of one client. `max_size` limits a message in bytes after decompression; `deflate` is the
    negotiated compression, or None.

    `payload` is that of the last opcode from `next`: text for TEXT, else bytes. CLOSE also sets `code` and `reason`.

    A compressed message is decompressed once it is complete. With `waits`, ENOUGH comes before any that is not small.
    """

    __slots__ = (
        "_allowance",
        "_buffer",
        "_compressed",
        "_deflate",
        "_deflated",
        "_deflated_from",
        "_deflated_part",
        "_final",
        "_gathered",
        "_inside",
        "_key",
        "_max_deflated",
        "_max_size",
        "_opcode",
        "_parts",
        "_pieces",
        "_pieces_start",
        "_position",
        "_remaining",
        "_size",
        "_split_character",
        "code",
        "payload",
        "reason",
        "waits",
    )

    payload: Any
    code: int
    reason: str
    waits: bool
    _allowance: int
    _max_size: int
    _max_deflated: int
    _deflate: Deflate | MaybeNone
    _buffer: bytes
    _position: int

    _inside: bool
    _final: bool
    _remaining: int
    _key: int
    _pieces: list[bytes] | MaybeNone
    _pieces_start: int
    _gathered: int

    _opcode: int
    _compressed: bool
    _deflated: bytes
    _deflated_from: int
    _deflated_part: bytes
    _size: int
    _parts: list[Any] | MaybeNone
    _split_character: bytes

    def __init__(self, max_size: int, deflate: Deflate | None = None) -> None:
        self._max_size = max_size
        # Compression lengthens random data, and each flush adds bytes to a fragment.
        self._max_deflated = 2 * max_size + 65536
        self._deflate = deflate
        self._buffer = b""
        self._position = 0
        # The current data frame.
        self._inside = False
        self._final = False
        self._remaining = 0
        self._key = 0
        self._pieces = None
        self._pieces_start = 0
        self._gathered = 0
        # The current message. Its opcode is CONTINUATION between messages.
        self._opcode = CONTINUATION
        self._compressed = False
        # A complete message that is being decompressed, the part of it that comes next, and the index after that.
        self._deflated = b""
        self._deflated_part = b""
        self._deflated_from = 0
        self._size = 0
        self._parts = None
        self._split_character = b""
        self.payload = None
        self.code = NO_CODE
        self.reason = ""
        self._allowance = MOST_INFLATED
        self.waits = False

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        if self._position < len(self._buffer):
            data = self._buffer[self._position :] + data
        self._buffer = data
        self._position = 0

    def next(self) -> int:
        """Return the next opcode: TEXT or BINARY for a whole message, CLOSE, PING, PONG; NOTHING until bytes arrive;
        ENOUGH if a message is complete, but may not be decompressed now.
        """
        self.payload = None  # or a silent client would cost its last message
        while True:
            if self._deflated:
                return self._finish() if self._inflate() else ENOUGH
            if self._inside:
                if not self._read_part():
                    return NOTHING
                if self._final:
                    if not self._compressed:
                        return self._finish()
                    self._deflated = b"".join(self._parts) + DEFLATE_TAIL
                    self._parts = []
                    self._size = 0
            else:
                opcode = self._read_frame()
                if opcode != CONTINUATION:
                    return opcode

    def begin_turn(self) -> None:
        """Allow more to be decompressed."""
        self._allowance = MOST_INFLATED

    def inflated(self) -> int:
        """The number of bytes that were decompressed in this turn."""
        return MOST_INFLATED - self._allowance

    def has_begun(self) -> bool:
        """Return whether a part of a message has been decompressed, and the rest waits."""
        return self._deflated_from > 0

    def _read_frame(self) -> int:
        """Read a header. Return the opcode of a complete frame, NOTHING, or CONTINUATION before a part of a message."""
        buffer = self._buffer
        start = self._position
        size = len(buffer) - start
        if size < 2:
            return self._wait()
        first = buffer[start]
        length = buffer[start + 1] - 128
        if length < 0:
            raise _violation("unmasked frame")
        opcode = first & 15
        self._check(first, opcode, length)
        content = 6
        if length >= 126:
            content = 8 if length == 126 else 14
        if size < content:
            return NOTHING
        start += content
        if content != 6:
            if content == 14 and buffer[start - 12] > 127:
                raise _violation("length out of range")
            length = int.from_bytes(buffer[self._position + 2 : start - 4], "big")
            if length < (126 if content == 8 else 65536):
                raise _violation("length not minimal")
        key = mask_key(buffer, start - 4)
        if opcode >= CLOSE:
            if size - content < length:
                return NOTHING
            self._position = start + length
            self.payload = unmask(buffer, start, start + length, key)
            if opcode == CLOSE:
                self._read_close(self.payload)
            return opcode
        if opcode != CONTINUATION:
            self._compressed = first & COMPRESSED != 0
        if length > (self._max_deflated if self._compressed else self._max_size) - self._size:
            raise _violation("message too big")
        if opcode != CONTINUATION and first >= FIN and not self._compressed and size - content >= length:
            # The best case, and the usual one: the buffer holds the whole message.
            self._position = start + length
            if opcode == BINARY:
                self.payload = unmask(buffer, start, start + length, key)
            else:
                try:
                    self.payload = unmask_text(buffer, start, start + length, key)
                except UnicodeDecodeError:
                    raise _violation("invalid UTF-8") from None
            return opcode
        if opcode != CONTINUATION:
            self._opcode = opcode
            self._size = 0
            self._parts = []
            self._pieces = []
        self._position = start
        self._key = key
        self._remaining = length
        self._final = first >= FIN
        self._inside = True
        return CONTINUATION

    def _check(self, first: int, opcode: int, length: int) -> None:
        """Check the rules for the first two bytes of a header."""
        if first & 0x70:
            if first & 0x30 or self._deflate is None or opcode == CONTINUATION or opcode >= CLOSE:
                raise _violation("reserved bits set")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise _violation("unknown opcode")
            if first < FIN:
                raise _violation("fragmented control frame")
            if length > 125:
                raise _violation("control frame too long")
        elif opcode > BINARY:
            raise _violation("unknown opcode")
        elif opcode == CONTINUATION:
            if self._opcode == CONTINUATION:
                raise _violation("continuation of nothing")
        elif self._opcode != CONTINUATION:
            raise _violation("message inside a message")

    def _wait(self) -> int:
        if self._position >= len(self._buffer):
            # A silent client costs no buffer.
            self._buffer = b""
            self._position = 0
        return NOTHING

    def _read_part(self) -> bool:
        """Take the buffered part of a data frame. Return whether the frame is complete."""
        if self._opcode == BINARY or self._compressed:
            return self._gather()
        start = self._position
        count = min(self._remaining, len(self._buffer) - start)
        part = unmask(self._buffer, start, start + count, self._key)
        self._position = start + count
        self._remaining -= count
        if self._remaining:
            self._key = rotate(self._key, count)
        else:
            self._inside = False
        if part:
            self._add(part)
        if self._inside:
            self._wait()
        return not self._inside

    def _gather(self) -> bool:
        """Gather a frame's payload still masked, to unmask and join it in one pass once it is complete."""
        buffer = self._buffer
        pieces = self._pieces
        start = self._position
        count = len(buffer) - start
        if not pieces:
            self._pieces_start = start
        if count < self._remaining:
            self._remaining -= count
            self._gathered += count
            if pieces and len(pieces[-1]) < SMALL_PART:
                pieces[-1] += buffer
            else:
                pieces.append(buffer)
            self._buffer = b""
            self._position = 0
            return False
        pieces.append(buffer)
        self._add(unmask_pieces(pieces, self._pieces_start, self._gathered + self._remaining, self._key))
        self._position = start + self._remaining
        self._pieces = []
        self._gathered = 0
        self._inside = False
        return True

    def _add(self, part: bytes) -> None:
        """Add `part` to the current message."""
        self._size += len(part)
        if self._opcode == TEXT and not self._compressed:
            self._keep(self._decode(part))
        else:
            self._keep(part)

    def _inflate(self) -> bool:
        """Decompress as much of the message as is allowed now. Return whether that is all."""
        deflated = self._deflated
        if not self._deflated_from:
            if self.waits and len(deflated) > SMALL_MESSAGE:
                return False
            self._next_part()
        while self._allowance > 0:
            most = min(INFLATED_PART, self._max_size - self._size + 1)
            content = self._deflate.inflate(self._deflated_part, most)
            self._allowance -= len(content)
            self._size += len(content)
            if self._size > self._max_size:
                raise _violation("message too big")
            if content:
                self._keep(self._decode(content) if self._opcode == TEXT else content)
            if len(content) == most:
                self._deflated_part = self._deflate.rest
            elif self._deflated_from < len(deflated):
                self._next_part()
            else:
                self._deflated = b""
                self._deflated_part = b""
                self._deflated_from = 0
                return True
        return False

    def _next_part(self) -> None:
        end = self._deflated_from + DEFLATED_PART
        self._deflated_part = self._deflated[self._deflated_from : end]
        self._deflated_from = end

    def _keep(self, content: Any) -> None:
        parts = self._parts
        if parts and len(parts[-1]) < SMALL_PART:
            parts[-1] += content
        else:
            parts.append(content)

    def _decode(self, part: bytes) -> str:
        """Decode `part`, and keep an incomplete character at its end for the next part."""
        if self._split_character:
            part = self._split_character + part
        try:
            text, used = utf_8_decode(part, "strict", False)
        except UnicodeDecodeError:
            raise _violation("invalid UTF-8") from None
        rest = part[used:]
        if len(rest) > 1 and rest[0] == 0xED and rest[1] > 0x9F:
            raise _violation("invalid UTF-8")  # a surrogate, which the decoder rejects only when it is complete
        self._split_character = rest
        return text

    def _finish(self) -> int:
        """End the current message; return its opcode."""
        opcode = self._opcode
        parts = self._parts
        if self._split_character:
            raise _violation("invalid UTF-8")
        if self._compressed:
            self._deflate.end_inflating()
        empty = "" if opcode == TEXT else b""
        self.payload = parts[0] if len(parts) == 1 else empty.join(parts)
        self._opcode = CONTINUATION
        self._size = 0
        self._parts = None
        self._pieces = None
        return opcode

    def _read_close(self, payload: bytes) -> None:
        """Read the payload of a close frame: nothing, or a code and a reason (RFC 6455 section 5.5.1)."""
        self.code = NO_CODE
        self.reason = ""
        if not payload:
            return
        if len(payload) == 1:
            raise _violation("malformed close frame")
        code = payload[0] << 8 | payload[1]
        if not is_close_code(code):
            raise _violation("invalid close code")
        try:
            self.reason = payload[2:].decode()
        except UnicodeDecodeError:
            raise _violation("invalid UTF-8") from None
        self.code = code


def frame(opcode: int, payload: bytes, out: list[bytes]) -> int:
    """Append a frame with `payload`, bytes, to `out`; return its size. `opcode` may include COMPRESSED."""
    size = len(payload)
    if size <= COPIED:
        payload = whole_frame(FIN | opcode, payload)
        out.append(payload)
        return len(payload)
    header = _header(FIN | opcode, size)
    out.append(header)
    out.append(payload)
    return len(header) + size


def text_frame(text: str, out: list[bytes]) -> int:
    """Append a text frame to `out`; return its size."""
    whole = ascii_frame(text)
    if whole is None:
        return frame(TEXT, text.encode(), out)
    out.append(whole)
    return len(whole)


def close_payload(code: int, reason: str) -> bytes:
    """The payload of a close frame. A reason that is too long is cut after a whole character."""
    if code == NO_CODE:
        return b""
    text = reason.encode()[:123].decode("utf-8", "ignore")
    return code.to_bytes(2, "big") + text.encode()


def is_close_code(code: int) -> bool:
    """Return whether a close frame may carry `code`."""
    return 3000 <= code <= 4999 or code in CLOSE_CODES


def _header(first: int, size: int) -> bytes:
    """The header of a frame whose payload is too long to copy."""
    if size < 65536:
        return _HEADER_16.pack(first, 126, size)
    return _HEADER_64.pack(first, 127, size)


def _violation(reason: str) -> FrameError:
    return FrameError(VIOLATIONS[reason], reason)
