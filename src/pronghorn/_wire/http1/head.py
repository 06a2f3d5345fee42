"""Parse request heads, and make every decision about them.

`parse` takes a complete head, and returns a `Head` or raises `ProtocolError`; `accept` decides on a head that any
parser has split. Anything ambiguous is refused (RFC 9112 sections 2 to 6, 9.3 and 11).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pronghorn.constants import CHUNKED, HTTP_1_0, HTTP_1_1, LENGTH
from pronghorn.errors import ProtocolError

from ..head import is_host, members, new_head, put_host, set_asterisk, set_target
from ..kernels import decimal, method_end, method_text, same_name, split_fields, visible_end

if TYPE_CHECKING:
    from _typeshed import MaybeNone

    from ..head import Head
    from ..shared import Limits

_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]+)([^#]*)")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]\r\n")

# The first bytes of other protocols, each with the status of the refusal and the line for the log. Such a client is
# rarely hostile, but configured for another kind of port. No valid request begins like this.
_PREAMBLES = (
    (
        re.compile(rb"PROXY (?:TCP[46]|UNKNOWN)[ \r]|(?:\r\n)?\r\n\0\r\nQUIT\n"),
        400,
        "PROXY protocol, which is not expected here: serve with --proxy-protocol, or turn it off at the proxy",
    ),
    (re.compile(rb"\x16"), 400, "TLS on a port without TLS: use http:// there, or serve with --ssl-certfile"),
    (
        re.compile(rb"PRI \* HTTP/2\.0\r\n"),
        505,
        "HTTP/2, which is off: serve with --http2, or let the client use HTTP/1.1",
    ),
)


def parse(data: bytes, start: int, end: int, limits: Limits) -> Head:
    """Parse the head in `data[start:end]`, where `end` is the index after its empty line."""
    space = method_end(data, start, end)
    if space == start or data[space] != 32:
        # Lower case is refused: ASGI passes methods in upper case, where `get` and `GET` would become the same.
        raise ProtocolError(400, "malformed method")
    target = space + 1
    target_end = visible_end(data, target, end)
    if target_end - target > limits.target_size:
        raise ProtocolError(414, "request target too long")
    if target_end == target or data[target_end] != 32:
        raise ProtocolError(400, "malformed request target")
    fields = target_end + 11
    if fields > end or not data.startswith(b" HTTP/1.", target_end) or data[fields - 2] != 13 or data[fields - 1] != 10:
        raise _bad_version(data, target_end + 1)
    minor = data[fields - 3]
    if minor != 49 and minor != 48:
        raise _bad_version(data, target_end + 1)
    headers = split_fields(data, fields, end - 2)
    if headers is None:
        raise ProtocolError(400, _malformed_field(data[fields : end - 2]))
    head = new_head(method_text(data, start, space), HTTP_1_1 if minor == 49 else HTTP_1_0, headers)
    accept(head, data, target, target_end, limits)
    return head


def accept(head: Head, data: bytes, target: int, target_end: int, limits: Limits) -> None:
    """Make every decision on `head`. Its target is `data[target:target_end]`, all visible ASCII."""
    headers = head.headers
    is_http11 = head.version == HTTP_1_1
    if len(headers) > limits.head_fields:
        raise ProtocolError(431, "too many header fields")
    host = None
    length = None
    coding = None
    connection = None
    for name, value in headers:
        size = len(name)
        if size == 4:
            if name == b"host":
                if host is not None:
                    raise ProtocolError(400, "more than one Host")
                host = value
        elif size == 10:
            if name == b"connection":
                connection = value if connection is None else connection + b"," + value
        elif size == 14:
            if name == b"content-length":
                if length is not None:
                    raise ProtocolError(400, "more than one body length")
                length = value
        elif size == 17:
            if name == b"transfer-encoding":
                if coding is not None:
                    raise ProtocolError(400, "more than one body length")
                coding = value
        elif size == 6:
            if name == b"expect" and is_http11 and value.lower() == b"100-continue":
                head.expects_continue = True
    if host is None:
        if is_http11:
            raise ProtocolError(400, "no Host")
    elif not is_host(host):
        raise ProtocolError(400, "malformed Host")
    if connection is not None:
        _read_connection(head, connection)
    if length is not None or coding is not None:
        _read_framing(head, length, coding)
    else:
        head.expects_continue = False
    _read_target(head, data, target, target_end, host)


def preamble(data: bytes, start: int, end: int) -> ProtocolError | None:
    """The error for `data[start:end]` if it begins like another protocol, else None."""
    for pattern, status, reason in _PREAMBLES:
        if pattern.match(data, start, end):
            return ProtocolError(status, reason)
    return None


def _read_target(head: Head, data: bytes, target: int, target_end: int, host: bytes | None) -> None:
    """Read the target: origin form, absolute form, or the asterisk form of OPTIONS (RFC 9112 section 3.2).

    The authority of an absolute form replaces the value of Host. Its scheme is ignored: the connection, or a trusted
    proxy, determines the scheme.
    """
    if head.method == "CONNECT":
        raise ProtocolError(400, "malformed request target")
    if data[target] != 47:
        rest = data[target:target_end]
        if rest == b"*" and head.method == "OPTIONS":
            set_asterisk(head)
            return
        match = _ABSOLUTE.fullmatch(rest)
        if match is None:
            raise ProtocolError(400, "malformed request target")
        authority, rest = match.groups()
        if not is_host(authority) or authority.startswith(b":"):
            raise ProtocolError(400, "malformed authority in the request target")
        if host != authority:
            put_host(head.headers, authority)
        data = rest if rest.startswith(b"/") else b"/" + rest
        target = 0
        target_end = len(data)
    set_target(head, data, target, target_end)


def _read_connection(head: Head, value: bytes) -> None:
    """Read Connection. "close" overrides "keep-alive", which only HTTP/1.0 needs (RFC 9112 section 9.3)."""
    if same_name(value, b"keep-alive"):  # as every browser sends
        head.keep_alive = True
        return
    options = members(value.lower())
    is_http11 = head.version == HTTP_1_1
    head.keep_alive = b"close" not in options and (is_http11 or b"keep-alive" in options)
    if is_http11 and b"upgrade" in options:
        upgrades = [value for name, value in head.headers if name == b"upgrade"]
        head.upgrade = b", ".join(upgrades) if upgrades else None


def _read_framing(head: Head, length: bytes | MaybeNone, coding: bytes | None) -> None:
    """Determine the framing of the body (RFC 9112 section 6.3). Ambiguous framing is refused."""
    if coding is None:
        head.framing = LENGTH
        head.length = decimal(length)
        if head.length < 0:
            raise ProtocolError(400, "malformed Content-Length")
        return
    if length is not None:
        raise ProtocolError(400, "more than one body length")
    if head.version != HTTP_1_1:
        raise ProtocolError(400, "Transfer-Encoding in HTTP/1.0")
    codings = members(coding.lower())
    if not codings or codings[-1] != b"chunked" or b"chunked" in codings[:-1]:
        raise ProtocolError(400, "body not ended by chunked")
    if len(codings) > 1:
        raise ProtocolError(501, "transfer coding not implemented")
    head.framing = CHUNKED


def _bad_version(data: bytes, start: int) -> ProtocolError:
    if _VERSION.match(data, start):
        return ProtocolError(505, "HTTP version not supported")
    return ProtocolError(400, "malformed request line")


def _malformed_field(section: bytes) -> str:
    """The error in the first malformed line of a field section."""
    for line in section.split(b"\r\n"):
        if b"\n" in line:
            return "bare LF in a header"
        if b"\r" in line:
            return "bare CR in a header"
        if line[:1] in (b" ", b"\t"):
            return "folded header line"
        name, colon, value = line.partition(b":")
        if line and (not colon or not _TOKEN.fullmatch(name)):
            return "malformed header name"
        if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
            return "control character in a header"
    return "malformed header"
