"""Response framing for HTTP/2 (RFC 9113 section 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import FORBIDDEN_TRAILERS, STATUS_LINES, UNTIL_END
from pronghorn.hpack_tables import STATUS_FIELDS
from pronghorn.http2_constants import CONNECTION_FIELDS

from ..encoder import Encoder, checked_fields, declared_length
from ..kernels import same_name, stable_fields
from .kernels import encode_literals

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pronghorn.types import Headers

    from ..shared import Shared
    from .stream import Stream


class HTTP2Encoder(Encoder):
    """Frames the response of one stream. Content goes to `out`, everything else to the connection.

    The framing methods return the number of bytes that they add to `out`. Fields of a connection of HTTP/1.1, which
    applications send as well, are left out (RFC 9113 section 8.2.2).
    """

    __slots__ = (
        "_accepts_trailers",
        "_block",
        "_fields",
        "_head_pending",
        "_own_date",
        "_own_server",
        "_shared",
        "_stream",
    )

    _shared: Shared
    _stream: Stream
    _accepts_trailers: bool

    _fields: Headers
    _block: bytes
    _own_date: bool
    _own_server: bool

    _head_pending: bool

    def start(self, status: int, headers: Iterable[Any], has_trailers: bool) -> None:
        if status not in STATUS_LINES or not isinstance(status, int):
            raise ValueError(f"not a status for a response: {status!r}")
        fields = stable_fields(headers)
        block = encode_literals(fields)
        if block is None:
            fields = checked_fields(fields)
            block = encode_literals(fields)
        length = -1
        own_date = False
        own_server = False
        unwanted = False
        for field in fields:
            name, value = field
            size = len(name)
            if size == 14:
                if same_name(name, b"content-length"):
                    unwanted = unwanted or length >= 0 or status == 204
                    length = declared_length(value, length)
            elif size == 4:
                if same_name(name, b"date"):
                    own_date = True
            elif size == 6:
                if same_name(name, b"server"):
                    own_server = True
            elif size in (7, 10, 16, 17) and name.lower() in CONNECTION_FIELDS:
                unwanted = True
        # No state changes before here: after a refused head the application may send another.
        if unwanted:
            fields = _allowed(fields, length if status != 204 else -1)
            block = encode_literals(fields)
        self.status = int(status)  # an (int, Enum) would be logged by its name
        self.has_trailers = has_trailers
        self._fields = fields
        self._block = block
        self._own_date = own_date
        self._own_server = own_server
        self._head_pending = True
        self._decide_framing(length, UNTIL_END)

    def head(self, out: list[bytes]) -> int:
        if self._head_pending:
            self._send_head(b"", False)
        return 0

    def body(self, data: bytes, more: bool, out: list[bytes]) -> int:
        count = len(data)
        if not self._count_content(count, more):
            data = b""
            count = 0
        ends = not more and not self.has_trailers
        if self._head_pending:
            if count <= self._stream.room():
                self._send_head(data, ends)
                return 0
            self._send_head(b"", False)
        if count:
            out.append(data)
            self._stream.queued(count)
        if ends:
            self._stream.end_content()
        return 0

    def trailers(self, headers: Iterable[Any], out: list[bytes]) -> int:
        fields = checked_fields(headers)
        for name, _ in fields:
            if name.lower() in FORBIDDEN_TRAILERS:
                raise ValueError(f"not a field for a trailer section: {name!r}")
        fields = _allowed(fields, -1)
        if self._accepts_trailers and fields:
            self._stream.send_trailers(encode_literals(fields))
        else:
            self._stream.end_content()
        return 0

    def early_hints(self, links: Iterable[bytes], out: list[bytes]) -> int:
        fields = checked_fields([(b"link", link) for link in links])
        if not self.status or self._head_pending:
            self._stream.send_interim(STATUS_FIELDS[103], encode_literals(fields))
        return 0

    def field(self, name: bytes) -> bytes | None:
        for each, value in self._fields:
            if same_name(each, name):
                return value
        return None

    def _send_head(self, data: bytes, ends: bool) -> None:
        self._head_pending = False
        shared = self._shared
        defaults = shared.http2_block_beside(self._own_date, self._own_server)
        self._stream.send_head(STATUS_FIELDS[self.status], defaults, self._block, data, ends)


def new_encoder(shared: Shared, stream: Stream, method: str, accepts_trailers: bool) -> HTTP2Encoder:
    """The encoder of a response to `method` on `stream`."""
    encoder = HTTP2Encoder.__new__(HTTP2Encoder)  # a call of the class costs more
    encoder.begin(method)
    encoder._shared = shared
    encoder._stream = stream
    encoder._accepts_trailers = accepts_trailers
    encoder._fields = []
    encoder._block = b""
    encoder._own_date = False
    encoder._own_server = False
    encoder._head_pending = False
    return encoder


def _allowed(fields: Headers, length: int) -> Headers:
    """The fields without those of a connection, and with one Content-Length if `length` is not -1."""
    allowed = []
    for name, value in fields:
        lower = name.lower()
        if lower not in CONNECTION_FIELDS and lower != b"content-length":
            allowed.append((lower, value))
    if length >= 0:
        allowed.append((b"content-length", b"%d" % length))
    return allowed
