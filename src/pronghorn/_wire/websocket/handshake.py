"""The opening handshake of a WebSocket: read the client's request, build the response (RFC 6455 section 4.2)."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import TYPE_CHECKING

from pronghorn.constants import LENGTH, NO_BODY, WEBSOCKET_VERSION
from pronghorn.errors import ProtocolError

from ..encoder import checked_fields
from ..head import members
from .deflate import negotiate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pronghorn.types import Headers

    from .._interfaces import CompressionLibrary
    from ..head import Head
    from ..shared import Shared
    from .deflate import Deflate

_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")  # sixteen bytes in base64
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# Spelled as in uvicorn: some clients compare case-sensitively. All other names are in lower case.
_SPELLING = {
    b"sec-websocket-protocol": b"Sec-WebSocket-Protocol",
    b"sec-websocket-extensions": b"Sec-WebSocket-Extensions",
}

# Response fields that only the server may set.
_RESERVED = frozenset(
    (
        b"connection",
        b"content-length",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"transfer-encoding",
        b"upgrade",
    )
)


class Handshake:
    """A client's offer: `subprotocols` in its order, the negotiated `deflate` or None, and the `key` that the response
    proves to have read, empty in HTTP/2.
    """

    __slots__ = ("deflate", "key", "subprotocols")

    key: bytes
    subprotocols: list[str]
    deflate: Deflate | None

    def __init__(self, key: bytes, subprotocols: list[str], deflate: Deflate | None) -> None:
        self.key = key
        self.subprotocols = subprotocols
        self.deflate = deflate

    def answer(self, subprotocol: str | None, headers: Iterable[Any]) -> Headers:
        """Return the fields of an acceptance: the negotiated ones, then the application's, checked. None and "" mean no
        subprotocol.

        Raises ValueError for a subprotocol that was not offered, and for fields that only the server may set.
        """
        fields = checked_fields(headers)
        names = [name.lower() for name, _ in fields]
        for name in names:
            if name in _RESERVED:
                raise ValueError(f"{name.decode()} is the server's to send")
        negotiated = []
        if subprotocol:
            if subprotocol not in self.subprotocols or b"sec-websocket-protocol" in names:
                raise ValueError(f"subprotocol that the client has not offered, or a second one: {subprotocol!r}")
            negotiated.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
        if self.deflate is not None:
            negotiated.append((b"sec-websocket-extensions", self.deflate.response))
        return negotiated + fields


def is_websocket_upgrade(head: Head) -> bool:
    """Return whether `head` requests a WebSocket, with a valid handshake or not."""
    return head.upgrade is not None and b"websocket" in members(head.upgrade.lower())


def read(head: Head, zlib: CompressionLibrary | None) -> Handshake:
    """Read the handshake in `head`. Raises ProtocolError if it is invalid: 426 for another version, else 400.

    `zlib` is the module to compress with, None for no compression.
    """
    if head.method != "GET":
        raise ProtocolError(400, "WebSocket handshake that is not a GET")
    if head.framing != NO_BODY and not (head.framing == LENGTH and head.length == 0):
        raise ProtocolError(400, "WebSocket handshake with a body")
    _check_version(head)
    keys = _values(head, b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise ProtocolError(400, "malformed Sec-WebSocket-Key")
    return _read_offer(head, zlib, keys[0])


def read_extended(head: Head, zlib: CompressionLibrary | None) -> Handshake:
    """Read the handshake in `head`, an extended CONNECT of HTTP/2 (RFC 8441 section 5), as `read` does."""
    if head.framing == NO_BODY:
        raise ProtocolError(400, "WebSocket handshake on a stream that has ended")
    _check_version(head)
    return _read_offer(head, zlib, b"")


def accept_key(key: bytes) -> bytes:
    """The value of Sec-WebSocket-Accept (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key + _KEY_SUFFIX, usedforsecurity=False).digest())


def switch(shared: Shared, key: bytes, fields: Headers) -> bytes:
    """The 101 response that turns an HTTP/1.1 connection into a WebSocket."""
    names = [name.lower() for name, _ in fields]
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Sec-WebSocket-Accept: %b\r\n" % accept_key(key),
        shared.block_beside(b"date" in names, b"server" in names),
    ]
    for name, (_, value) in zip(names, fields, strict=True):
        lines.append(b"%b: %b\r\n" % (_SPELLING.get(name, name), value))
    lines.append(b"\r\n")
    return b"".join(lines)


def _check_version(head: Head) -> None:
    if _values(head, b"sec-websocket-version") != [WEBSOCKET_VERSION]:
        raise ProtocolError(426, "WebSocket version not supported")


def _read_offer(head: Head, zlib: CompressionLibrary | None, key: bytes) -> Handshake:
    subprotocols = members(b",".join(_values(head, b"sec-websocket-protocol")))
    if not all(map(_TOKEN.fullmatch, subprotocols)):
        raise ProtocolError(400, "malformed Sec-WebSocket-Protocol")
    extensions = b",".join(_values(head, b"sec-websocket-extensions"))
    deflate = negotiate(extensions.decode("latin-1"), zlib)
    return Handshake(key, [name.decode("ascii") for name in subprotocols], deflate)


def _values(head: Head, name: bytes) -> list[bytes]:
    return [value for each, value in head.headers if each == name]
