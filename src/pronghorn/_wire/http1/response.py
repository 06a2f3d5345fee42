"""Response framing for HTTP/1.1 (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import (
    CHUNKED,
    CONNECTION_CLOSE,
    CONNECTION_KEEP_ALIVE,
    CRLF,
    EARLY_HINTS,
    FORBIDDEN_TRAILERS,
    LAST_CHUNK,
    LAST_CHUNK_BEFORE_TRAILERS,
    LENGTH,
    NO_BODY,
    STATUS_LINES,
    TRANSFER_ENCODING_CHUNKED,
    UNTIL_CLOSE,
)

from ..encoder import Encoder, checked_fields, declared_length
from ..kernels import encode_fields, glue, same_name, stable_fields

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pronghorn.types import Headers

    from ..shared import Shared

# A first part of the body up to this size is copied behind its head; a longer one is written separately.
COPIED = 16384


class HTTP1Encoder(Encoder):
    """Frames one response for a client of HTTP/1.1 or, if `http11` is false, HTTP/1.0.

    `keep_alive` is true if the connection may be reused: according to the request until the head is framed, then
    according to the response.
    """

    __slots__ = (
        "_block",
        "_connection_fields",
        "_head_pending",
        "_http11",
        "_line",
        "_own_date",
        "_own_server",
        "_own_transfer_encoding",
        "_shared",
        "keep_alive",
    )

    keep_alive: bool
    _shared: Shared
    _http11: bool

    _line: bytes
    _block: bytes
    _connection_fields: Headers | None
    _own_date: bool
    _own_server: bool
    _own_transfer_encoding: bool

    _head_pending: bool

    def start(self, status: int, headers: Iterable[Any], has_trailers: bool) -> None:
        line = STATUS_LINES.get(status)
        if line is None or not isinstance(status, int):
            raise ValueError(f"not a status for a response: {status!r}")
        fields = stable_fields(headers)
        block = encode_fields(fields)
        if block is None:
            fields = checked_fields(fields)
            block = encode_fields(fields)
        length = -1
        repeated = False
        closes = False
        own_connection = False
        own_date = False
        own_server = False
        own_transfer_encoding = False
        for field in fields:
            name, value = field
            size = len(name)
            if size == 14:
                if same_name(name, b"content-length"):
                    repeated = length >= 0
                    length = declared_length(value, length)
            elif size == 4:
                if same_name(name, b"date"):
                    own_date = True
            elif size == 6:
                if same_name(name, b"server"):
                    own_server = True
            elif size == 10:
                if same_name(name, b"connection"):
                    own_connection = True
                    closes = closes or b"close" in [option.strip() for option in value.lower().split(b",")]
            elif size == 17:
                if same_name(name, b"transfer-encoding"):
                    if value.strip().lower() != b"chunked" or own_transfer_encoding:
                        raise ValueError(f"transfer-encoding the server cannot frame: {value!r}")
                    own_transfer_encoding = True
        # No state changes before here: after a refused head the application may send another.
        self._line = line
        self.status = int(status)  # an (int, Enum) would be logged by its name
        self._own_date = own_date
        self._own_server = own_server
        self.has_trailers = has_trailers
        # A content-length beside a transfer-encoding is ignored, and must not be sent (RFC 9112 section 6.2).
        without_length = CHUNKED if self._http11 else UNTIL_CLOSE
        self._decide_framing(-1 if own_transfer_encoding else length, without_length)
        if closes:
            self.keep_alive = False
        self._own_transfer_encoding = own_transfer_encoding and self._framing == CHUNKED
        if repeated or own_transfer_encoding or (status == 204 and length >= 0):
            if length >= 0:
                fields = _without(fields, b"content-length")
                if not own_transfer_encoding and status != 204:
                    fields.append((b"content-length", b"%d" % length))
            if own_transfer_encoding and self._framing != CHUNKED:
                fields = _without(fields, b"transfer-encoding")
            block = encode_fields(fields)
        if own_connection:
            self._connection_fields = fields
        self._block = block
        self._head_pending = True

    def head(self, out: list[bytes]) -> int:
        if not self._head_pending:
            return 0
        head = self._frame_head(b"")
        out.append(head)
        return len(head)

    def body(self, data: bytes, more: bool, out: list[bytes]) -> int:
        count = len(data)
        if not self._count_content(count, more):
            return self.head(out)
        if self._framing != CHUNKED:
            if self._head_pending and count <= COPIED:
                data = self._frame_head(data)
                out.append(data)
                return len(data)
            size = self.head(out)
            if count:
                out.append(data)
            return size + count
        size = self.head(out)
        if count:
            line = b"%x\r\n" % count
            out.append(line)
            out.append(data)
            out.append(CRLF)
            size += len(line) + count + 2
        if not more and not self.has_trailers:
            out.append(LAST_CHUNK)
            size += 5
        return size

    def trailers(self, headers: Iterable[Any], out: list[bytes]) -> int:
        # Only a chunked response can carry them (RFC 9112 section 7.1.2).
        fields = checked_fields(headers)
        for name, _ in fields:
            if name.lower() in FORBIDDEN_TRAILERS:
                raise ValueError(f"not a field for a trailer section: {name!r}")
        if self._framing != CHUNKED:
            return 0
        block = LAST_CHUNK_BEFORE_TRAILERS + encode_fields(fields) + CRLF
        out.append(block)
        return len(block)

    def early_hints(self, links: Iterable[bytes], out: list[bytes]) -> int:
        if not self._http11 or (self.status and not self._head_pending):
            return 0
        block = EARLY_HINTS + encode_fields(checked_fields([(b"link", link) for link in links])) + CRLF
        out.append(block)
        return len(block)

    def file(self, size: int, out: list[bytes]) -> bool:
        if self._framing == LENGTH:
            if size > self._remaining:
                raise ValueError("file longer than the content-length")
            self._remaining -= size
        self.head(out)
        if self._framing == CHUNKED and size:
            out.append(b"%x\r\n" % size)
        return size > 0 and self._framing != NO_BODY

    def file_sent(self, size: int) -> None:
        self.body_size += size

    def file_end(self, out: list[bytes]) -> None:
        if self._framing == CHUNKED:
            out.append(CRLF)

    def field(self, name: bytes) -> bytes | None:
        block = b"\r\n" + self._block
        start = block.find(b"\r\n%b: " % name)
        if start < 0:
            return None
        start += len(name) + 4
        return block[start : block.find(b"\r\n", start)]

    def ends_with_connection(self) -> bool:
        """Return whether only the end of the stream ends the body."""
        return self._framing == UNTIL_CLOSE

    def _frame_head(self, body: bytes) -> bytes:
        """Frame the head, followed by `body`. This decides finally whether the connection may be reused."""
        self._head_pending = False
        shared = self._shared
        if not self._own_date and not self._own_server:
            fields = shared.default_block
        else:
            fields = shared.block_beside(self._own_date, self._own_server)
        if self._framing == UNTIL_CLOSE or shared.draining:
            self.keep_alive = False
        end = CRLF
        if self._framing == CHUNKED and not self._own_transfer_encoding:
            end = TRANSFER_ENCODING_CHUNKED + CRLF
        if not self.keep_alive:
            if self._connection_fields is not None:
                self._block = encode_fields(_without(self._connection_fields, b"connection"))
            end = CONNECTION_CLOSE + end
        elif not self._http11 and self._connection_fields is None:
            end = CONNECTION_KEEP_ALIVE + end
        return glue(self._line, fields, self._block, end, body)


def new_encoder(shared: Shared, method: str, http11: bool, keep_alive: bool) -> HTTP1Encoder:
    """The encoder of a response to `method`."""
    encoder = HTTP1Encoder.__new__(HTTP1Encoder)  # a call of the class costs more
    encoder.begin(method)
    encoder._shared = shared
    encoder._http11 = http11
    encoder._head_pending = False
    encoder._line = b""
    encoder._block = b""
    encoder._connection_fields = None
    encoder._own_date = False
    encoder._own_server = False
    encoder._own_transfer_encoding = False
    encoder.keep_alive = keep_alive
    return encoder


def _without(fields: Headers, unwanted: bytes) -> Headers:
    return [field for field in fields if not same_name(field[0], unwanted)]
