"""The head of a request from its decoded fields (RFC 9113 section 8.3). Every decision about it is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import HTTP_2, LENGTH, NO_BODY, UNTIL_END
from pronghorn.errors import ProtocolError, StreamError
from pronghorn.http2_constants import CONNECTION_FIELDS, PROTOCOL_ERROR

from ..head import is_host, new_head, set_asterisk, set_target
from ..kernels import decimal, method_end, method_text, visible_end

if TYPE_CHECKING:
    from _typeshed import MaybeNone

    from pronghorn.types import Headers

    from ..head import Head
    from ..shared import Limits

# Clients may split Cookie into one field for each cookie, which are one field for the application (section 8.2.3).
MOST_CRUMBS = 256


def read_head(fields: Headers, ends: bool, limits: Limits) -> Head:
    """The head that `fields` describe; `ends` is true if no body follows. `fields`, well-formed, become its headers.

    Raises StreamError if they are malformed as a whole, and ProtocolError for a request to be answered with an error.
    """
    count = 0
    method = None
    scheme = None
    authority = None
    path = None
    protocol = None
    for name, value in fields:
        if name[0] != 58:
            break
        count += 1
        if name == b":method":
            method = value
        elif name == b":path":
            path = value
        elif name == b":scheme":
            scheme = value
        elif name == b":authority":
            authority = value
        elif name == b":protocol":
            protocol = value
        else:
            raise _malformed("pseudo-header field of a response")
    distinct = (method is not None) + (path is not None) + (scheme is not None)
    distinct += (authority is not None) + (protocol is not None)
    if count > distinct:
        raise _malformed("repeated pseudo-header field")
    if method is None:
        raise _malformed("no :method")
    if method_end(method, 0, len(method)) < len(method) or not method:
        raise _malformed("malformed :method")
    del fields[:count]
    head = new_head(method_text(method, 0, len(method)), HTTP_2, fields)
    host = _read_fields(head, fields, limits)
    if authority is not None:
        if not authority or not is_host(authority) or authority.startswith(b":"):
            raise _malformed("malformed :authority")
        if host is not None and host.lower() != authority.lower():
            raise _malformed("Host that differs from :authority")
    if method == b"CONNECT" and protocol is None:
        if scheme is not None or path is not None or authority is None:
            raise _malformed("malformed CONNECT")
        raise ProtocolError(501, "CONNECT, which is not supported")
    if authority is None:
        authority = host
    if protocol is not None and method != b"CONNECT":
        raise _malformed(":protocol without CONNECT")
    if scheme is None:
        raise _malformed("no :scheme")
    if scheme != b"http" and scheme != b"https" and scheme.lower() not in (b"http", b"https"):
        raise _malformed("malformed :scheme")
    _read_path(head, path, limits)
    if authority is None:
        raise ProtocolError(400, "no Host")
    fields.insert(0, (b"host", authority))
    head.upgrade = protocol
    if ends:
        if head.length:
            raise _malformed("no body of the declared length")
        head.framing = NO_BODY
        head.expects_continue = False
    elif head.framing != LENGTH:
        head.framing = UNTIL_END
    return head


def check_trailers(fields: Headers) -> None:
    """Check the trailer section of a request, which is not passed on. Raises StreamError."""
    for name, _ in fields:
        if name[0] == 58:
            raise _malformed("pseudo-header field in a trailer section")
        if name in CONNECTION_FIELDS:
            raise _malformed("field of a connection")


def _read_fields(head: Head, fields: Headers, limits: Limits) -> bytes | None:
    """Check the fields behind the pseudo-header fields, and read those of the server. Take Host out, and return it."""
    host = None
    crumbs = 0
    te = False
    for name, value in fields:
        size = len(name)
        if name[0] == 58:
            raise _malformed("pseudo-header field after another field")
        if size == 4:
            if name == b"host":
                if host is not None:
                    raise _malformed("more than one Host")
                if not is_host(value):
                    raise _malformed("malformed Host")
                host = value
        elif size == 6:
            if name == b"cookie":
                crumbs += 1
            elif name == b"expect" and value.lower() == b"100-continue":
                head.expects_continue = True
        elif size == 2:
            if name == b"te":
                if te or value.lower() != b"trailers":
                    raise _malformed("TE other than trailers")
                te = True
        elif size == 14:
            if name == b"content-length":
                if head.framing == LENGTH:
                    raise _malformed("more than one Content-Length")
                head.framing = LENGTH
                head.length = decimal(value)
                if head.length < 0:
                    raise _malformed("malformed Content-Length")
        elif size in (7, 10, 16, 17) and name in CONNECTION_FIELDS:
            raise _malformed("field of a connection")
    head.accepts_trailers = te
    if crumbs > MOST_CRUMBS or len(fields) - max(0, crumbs - 1) > limits.head_fields:
        raise ProtocolError(431, "too many header fields")
    if crumbs > 1:
        _join_crumbs(fields)
    if host is not None:
        fields[:] = [field for field in fields if field[0] != b"host"]
    return host


def _read_path(head: Head, path: bytes | MaybeNone, limits: Limits) -> None:
    if path is None or not path:
        raise _malformed("no :path")
    if len(path) > limits.target_size:
        raise ProtocolError(414, "request target too long")
    if visible_end(path, 0, len(path)) < len(path):
        raise _malformed("malformed :path")
    if path == b"*" and head.method == "OPTIONS":
        set_asterisk(head)
    elif path[0] == 47:
        try:
            set_target(head, path, 0, len(path))
        except ProtocolError as error:
            raise _malformed(error.reason) from None
    else:
        raise _malformed("malformed :path")


def _join_crumbs(fields: Headers) -> None:
    """Join all Cookie fields into the first one (section 8.2.3)."""
    crumbs = [value for name, value in fields if name == b"cookie"]
    index = [name for name, _ in fields].index(b"cookie")
    fields[index] = (b"cookie", b"; ".join(crumbs))
    fields[index + 1 :] = [field for field in fields[index + 1 :] if field[0] != b"cookie"]


def _malformed(reason: str) -> StreamError:
    return StreamError(PROTOCOL_ERROR, reason)
