"""The head of a request, in every version of HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pronghorn.constants import HTTP_1_1, NO_BODY
from pronghorn.errors import ProtocolError

from .kernels import cut, find_byte, is_plain_host, unquote

if TYPE_CHECKING:
    from pronghorn.types import Headers

_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")


class Head:
    """The head of one request.

    `method` is the token as sent, `path` decoded text, `raw_path` and `query` bytes as sent, `headers` a list of
    (lower-case name, value) in order, `framing` one of NO_BODY, LENGTH, CHUNKED and UNTIL_END, `length` the declared
    length (0 unless LENGTH). `version` is "1.0", "1.1" or "2". `upgrade` is the protocol to switch to, or None: in
    HTTP/1.1 the value of Upgrade if `Connection` names that field, in HTTP/2 that of `:protocol`. `accepts_trailers`
    is true if the client of HTTP/2 accepts a trailer section.
    """

    __slots__ = (
        "accepts_trailers",
        "expects_continue",
        "framing",
        "headers",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "raw_path",
        "upgrade",
        "version",
    )

    method: str
    path: str
    version: str
    raw_path: bytes
    query: bytes
    upgrade: bytes | None
    headers: Headers
    keep_alive: bool
    accepts_trailers: bool
    expects_continue: bool
    framing: int
    length: int


def new_head(method: str, version: str, headers: Headers) -> Head:
    """A head without any decisions yet."""
    head = Head.__new__(Head)  # a call of the class costs more
    head.method = method
    head.version = version
    head.headers = headers
    head.keep_alive = version == HTTP_1_1
    head.framing = NO_BODY
    head.length = 0
    head.upgrade = None
    head.accepts_trailers = False
    head.expects_continue = False
    return head


def set_target(head: Head, data: bytes, start: int, end: int) -> None:
    """Set the path and the query from `data[start:end]`, visible ASCII (RFC 3986 sections 3.3 and 3.4)."""
    if find_byte(data, b"#", start, end) >= 0:
        raise ProtocolError(400, "fragment in the request target")
    mark = find_byte(data, b"?", start, end)
    if mark < 0:
        head.query = b""
        mark = end
    else:
        head.query = cut(data, mark + 1, end)
    head.raw_path = cut(data, start, mark)
    head.path = unquote(data, start, mark)


def set_asterisk(head: Head) -> None:
    """Set the target of a request about the server as a whole (RFC 9110 section 9.3.7)."""
    head.path = "*"
    head.raw_path = b"*"
    head.query = b""


def is_host(value: bytes) -> bool:
    """Return whether `value` is valid for Host: a name, an address or nothing, and an optional port (RFC 9110 section
    7.2).
    """
    return is_plain_host(value) or _HOST.fullmatch(value) is not None


def put_host(headers: Headers, value: bytes) -> None:
    """Replace the value of the Host field, or add the field."""
    index = 0
    while index < len(headers) and headers[index][0] != b"host":
        index += 1
    headers[index : index + 1] = [(b"host", value)]


def members(value: bytes) -> list[bytes]:
    """The members of a comma-separated list (RFC 9110 section 5.6.1)."""
    return list(filter(None, [part.strip(b" \t") for part in value.split(b",")]))
