"""llhttp's head parser, through httptools, for the interpreted hot path: llhttp splits heads, our rules check them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

from pronghorn._wire.head import Head, new_head
from pronghorn._wire.http1.connection import Connection
from pronghorn._wire.http1.head import accept
from pronghorn._wire.kernels import method_end, visible_end
from pronghorn.errors import ProtocolError

if TYPE_CHECKING:
    from pronghorn._wire.shared import Limits
    from pronghorn.types import Headers


class _Fields:
    """httptools callbacks for one head."""

    __slots__ = ("fields", "target")

    def __init__(self) -> None:
        self.fields: Headers = []
        self.target = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))


def parse(data: bytes, start: int, end: int, limits: Limits) -> Head:
    """Parse a head as `_wire.http1.head.parse` does."""
    if end - start > limits.target_size:
        # Before llhttp finds another error behind it: an incomplete head is refused for this at once.
        space = method_end(data, start, end)
        size = visible_end(data, space + 1, end) - space - 1
        if start < space and data[space] == 32 and size > limits.target_size:
            raise ProtocolError(414, "request target too long")
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    try:
        parser.feed_data(data[start:end])
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise ProtocolError(400, f"llhttp: {error}") from None
    target = fields.target
    version = parser.get_http_version()
    if version not in ("1.1", "1.0"):
        raise ProtocolError(505, "HTTP version not supported")
    if visible_end(target, 0, len(target)) < len(target):
        raise ProtocolError(400, "malformed request target")
    head = new_head(parser.get_method().decode("ascii"), version, fields.fields)
    accept(head, target, 0, len(target), limits)
    return head


class LLHTTPConnection(Connection):
    """A connection that splits heads with llhttp."""

    __slots__ = ()

    def _parse(self, buffer: bytes, start: int, end: int) -> Head:
        return parse(buffer, start, end, self._shared.limits)
