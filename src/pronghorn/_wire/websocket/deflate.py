"""permessage-deflate: its negotiation, and one connection's two compression contexts (RFC 7692 section 7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pronghorn.errors import FrameError, ProtocolError

if TYPE_CHECKING:
    from typing import TypeAlias

    from _typeshed import MaybeNone

    from .._interfaces import CompressionLibrary, Compressor, Decompressor

    Parameter: TypeAlias = tuple[str, str | MaybeNone]

# Windows of 4 KiB, and matching tables of the deflater: a busy connection takes 40 KiB instead of 300, and the ratio is
# worse by a few per cent.
WINDOW_BITS = 12
MEMORY_LEVEL = 5
# Shorter messages are sent uncompressed: they fit in one packet either way.
WORTHWHILE = 64

# Deflate streams in one message. Each costs as much as a message, and an attacker needs two bytes to begin one.
MOST_STREAMS = 64

_TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
_NAME = re.compile(_TOKEN)
_PARAMETER = re.compile(rf'({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"))?')
_QUOTED_PAIR = re.compile(r"\\(.)")
_BITS = re.compile("[89]|1[0-5]")


class Deflate:
    """The negotiated parameters and contexts. `response` is the value of Sec-WebSocket-Extensions in the response,
    `rest` what `inflate` has left of its input.

    Contexts are created on first use: a silent connection has none.
    """

    __slots__ = (
        "_client_bits",
        "_client_resets",
        "_deflater",
        "_inflater",
        "_server_bits",
        "_server_resets",
        "_streams",
        "_zlib",
        "response",
        "rest",
    )

    response: bytes
    rest: bytes
    _zlib: CompressionLibrary
    _server_bits: int
    _client_bits: int
    _server_resets: bool
    _client_resets: bool
    _deflater: Compressor | None
    _inflater: Decompressor | None
    _streams: int

    def __init__(
        self,
        zlib: CompressionLibrary,
        server_bits: int,
        client_bits: int | None,
        server_resets: bool,
        client_resets: bool,
    ) -> None:
        self._zlib = zlib
        self._server_bits = server_bits
        self._client_bits = 15 if client_bits is None else client_bits
        self._server_resets = server_resets
        self._client_resets = client_resets
        self._deflater = None
        self._inflater = None
        self._streams = 0
        self.rest = b""
        response = f"permessage-deflate; server_max_window_bits={server_bits}"
        if client_bits is not None:
            response += f"; client_max_window_bits={client_bits}"
        if server_resets:
            response += "; server_no_context_takeover"
        if client_resets:
            response += "; client_no_context_takeover"
        self.response = response.encode("ascii")

    def deflate(self, payload: bytes) -> bytes:
        """Compress `payload`, a whole message."""
        zlib = self._zlib
        deflater = self._deflater
        if deflater is None:
            deflater = zlib.compressobj(wbits=-self._server_bits, memLevel=MEMORY_LEVEL)
            self._deflater = None if self._server_resets else deflater
        return deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)[:-4]

    def inflate(self, data: bytes, most: int) -> bytes:
        """Decompress `data`, part of a message, into `most` bytes or less. After exactly `most`, go on with `rest`."""
        pieces = []
        size = 0
        while True:
            inflater = self._inflater
            if inflater is None or inflater.eof:
                # A client may end its stream with any block; a new stream follows (RFC 7692 section 7.2.3.4).
                self._streams += 1
                self._inflater = inflater = self._zlib.decompressobj(wbits=-self._client_bits)
            try:
                content = inflater.decompress(data, most - size)
            except self._zlib.error:
                raise FrameError(1002, "invalid compressed data") from None
            pieces.append(content)
            size += len(content)
            if self._streams > MOST_STREAMS:
                raise FrameError(1002, "invalid compressed data")
            data = inflater.unused_data or inflater.unconsumed_tail
            if size == most or not data:
                break
        self.rest = data
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end_inflating(self) -> None:
        """End a compressed message."""
        self._streams = 0
        if self._client_resets:
            self._inflater = None


def negotiate(offers: str, zlib: CompressionLibrary | None) -> Deflate | None:
    """Accept the first acceptable offer of the client; None without one.

    `offers` is the value of Sec-WebSocket-Extensions; raises ProtocolError if it is malformed. `zlib` is the module
    to compress with, None for no compression.
    """
    accepted = None
    for name, parameters in _extensions(offers):
        if accepted is None and zlib is not None and name == "permessage-deflate":
            accepted = _accept(parameters, zlib)
    return accepted


def _accept(parameters: list[Parameter], zlib: CompressionLibrary) -> Deflate | None:
    """A Deflate for one offer, or None if the offer is invalid or not acceptable (RFC 7692 section 7.1)."""
    server_bits = WINDOW_BITS
    client_bits = None
    flags = set()
    if len(dict(parameters)) < len(parameters):
        return None
    for name, value in parameters:
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
            flags.add(name)
        elif name == "client_max_window_bits" and value is None:
            client_bits = WINDOW_BITS
        elif name not in ("server_max_window_bits", "client_max_window_bits") or not _BITS.fullmatch(value or ""):
            return None
        elif name == "server_max_window_bits":
            server_bits = min(int(value), WINDOW_BITS)
        else:
            client_bits = min(int(value), WINDOW_BITS)
    if server_bits == 8:
        return None  # zlib cannot deflate with a window this small
    resets = ("server_no_context_takeover" in flags, "client_no_context_takeover" in flags)
    return Deflate(zlib, server_bits, client_bits, *resets)


def _extensions(value: str) -> list[tuple[str, list[Parameter]]]:
    """The members of Sec-WebSocket-Extensions as (name, [(parameter, value or None)]) (RFC 6455 section 9.1)."""
    extensions = []
    for member in value.split(","):
        name, *parameters = (part.strip(" \t") for part in member.split(";"))
        if not name and not parameters:
            continue  # an empty list member is ignored (RFC 9110 section 5.6.1)
        extensions.append((_token(name), [_parameter(parameter) for parameter in parameters]))
    return extensions


def _parameter(text: str) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise ProtocolError(400, "malformed Sec-WebSocket-Extensions")
    name, value, quoted = match.groups()
    # A quoted value must be a token, too.
    return name, value if quoted is None else _token(_QUOTED_PAIR.sub(r"\1", quoted))


def _token(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ProtocolError(400, "malformed Sec-WebSocket-Extensions")
    return text
