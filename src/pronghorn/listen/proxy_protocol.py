"""The PROXY protocol, versions 1 and 2: a proxy writes the addresses of its client before the client's first byte
(https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt).

The header is read from the accepted socket, not a byte more, before the event loop makes a transport: a TLS handshake,
HTTP/1.1 and HTTP/2 all follow it in the same way.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from pronghorn.listen.addresses import show
from pronghorn.listen.peeking import peek
from pronghorn.metrics import layout

if TYPE_CHECKING:
    from pronghorn._wire._interfaces import Client, Server
    from pronghorn.listen.listener import Connect, Factory, Report

Addresses: TypeAlias = "tuple[Client, Server]"
"""The two ends of the client's connection to the proxy."""

# Version 1: one line, with its end.
_LONGEST_LINE = 107
_PREFIX = b"PROXY "
_PORT = rb"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(
    rb"PROXY (?:TCP4 ([0-9.]+) ([0-9.]+) %b %b|TCP6 ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) %b %b|UNKNOWN(?: [^\r\n]*)?)\r\n"
    % (_PORT, _PORT, _PORT, _PORT)
)

# Version 2: a signature, version and command, family and transport, and the length of the rest.
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = len(_SIGNATURE) + 4
_LOCAL, _PROXY = 0x20, 0x21
# The families that have addresses, and the length of one. A client on a Unix socket, or on a transport that the proxy
# does not know, has none to show.
_FAMILIES = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}
_WITHOUT_ADDRESS = {0x00, 0x31}

LARGEST = 4096
"""Bytes of a header. What follows the addresses, seldom 200 bytes, is skipped."""


class HeaderError(ValueError):
    """A connection does not begin with a header."""


class Header(NamedTuple):
    """A header of `size` bytes. `addresses` is None if the connection is the proxy's own, which `is_local` says, or the
    client's is not known: then the addresses of the connection count.
    """

    size: int
    addresses: Addresses | None
    is_local: bool = False


class Peers(Protocol):
    """The peers that may send headers."""

    def trusts_peer(self, client: Client | None, server: Server | None) -> bool: ...


def parse(data: bytes) -> Header | None:
    """Parse the header at the start of `data`; None if bytes are missing. Raises HeaderError."""
    if data.startswith(_SIGNATURE[: len(data)]):
        return _parse_binary(data) if len(data) >= _FIXED else None
    if data.startswith(_PREFIX[: len(data)]):
        return _parse_line(data)
    raise HeaderError("no PROXY header")


async def receive(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> Header | None:
    """Read the header from `sock`; None if the peer sends nothing and closes. Raises HeaderError and OSError."""
    data = b""
    while True:
        ahead = await peek(loop, sock, LARGEST)
        if not ahead:
            if data:
                raise HeaderError("the PROXY header is incomplete")
            return None
        header = parse(data + ahead)
        # Every byte belongs to the header until its end is known.
        data += sock.recv(len(ahead) if header is None else header.size - len(data))
        if header is not None:
            return header


class Receiver:
    """Receives the header of each connection, for `seconds` at most, before the connection is created. One of a peer
    that is not one of `peers`, or without a valid header, is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, peers: Peers, seconds: float | None, report: Report) -> None:
        self._loop = loop
        self._peers = peers
        self._seconds = seconds
        self._report = report

    def wrap(self, connect: Connect) -> Connect:
        """`connect`, after the header."""
        return functools.partial(self._connect, connect)

    async def _connect(self, connect: Connect, factory: Factory, sock: socket.socket, address: Any) -> None:
        try:
            header = await self._receive(sock, address)
        except BaseException as error:
            sock.close()
            if isinstance(error, TimeoutError):
                self._report.count(layout.TIMED_OUT + layout.FIRST_BYTE)
                self._report.warn("Connection refused. %s: no PROXY header in time", show(address))
            elif isinstance(error, HeaderError):
                self._report.count(layout.REFUSED + layout.REASONS.index("proxy_protocol"))
                self._report.warn("Connection refused. %s: %s", show(address), error)
            elif not isinstance(error, OSError):
                raise
        else:
            if header is None:
                sock.close()
            elif header.is_local:
                await connect(factory, sock, address)
            else:
                client = address if header.addresses is None else header.addresses[0]
                await connect(functools.partial(_make, factory, header.addresses), sock, client)

    async def _receive(self, sock: socket.socket, address: Any) -> Header | None:
        if isinstance(address, tuple):
            if not self._peers.trusts_peer((address[0], address[1]), None):
                raise HeaderError("not a trusted proxy")
        elif not self._peers.trusts_peer(None, (str(sock.getsockname()), None)):
            raise HeaderError("not a trusted proxy; peers on a Unix socket are with --forwarded-allow-ips unix")
        async with asyncio.timeout(self._seconds):
            return await receive(self._loop, sock)


def _make(factory: Factory, addresses: Addresses | None) -> asyncio.BaseProtocol:
    protocol: Any = factory()
    protocol.addresses = addresses
    # The peer, which may be trusted, only passes on what a client writes whose address it does not know.
    protocol.may_be_proxy = addresses is not None
    return protocol  # type: ignore[no-any-return]


def _parse_line(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, _LONGEST_LINE) + 1
    if not end:
        if len(data) >= _LONGEST_LINE:
            raise HeaderError("the PROXY header is too long")
        return None
    found = _LINE.fullmatch(data, 0, end)
    if found is None:
        raise HeaderError("malformed PROXY header")
    if found[1] is not None:
        return Header(end, _addresses(socket.AF_INET, found.groups()[:4]))
    if found[5] is not None:
        return Header(end, _addresses(socket.AF_INET6, found.groups()[4:]))
    return Header(end, None)


def _addresses(family: int, fields: tuple[bytes, ...]) -> Addresses:
    source, target, source_port, target_port = (field.decode("ascii") for field in fields)
    client, server = ((_canonical(family, source), int(source_port)), (_canonical(family, target), int(target_port)))
    if max(client[1], server[1]) > 65535:
        raise HeaderError("malformed PROXY header")
    return client, server


def _canonical(family: int, host: str) -> str:
    try:
        canonical = socket.inet_ntop(family, socket.inet_pton(family, host))
    except OSError:
        raise HeaderError("malformed PROXY header") from None
    if family == socket.AF_INET and canonical != host:  # some systems take leading zeros
        raise HeaderError("malformed PROXY header")
    return canonical


def _parse_binary(data: bytes) -> Header | None:
    command, kind = data[len(_SIGNATURE)], data[len(_SIGNATURE) + 1]
    size = _FIXED + int.from_bytes(data[_FIXED - 2 : _FIXED], "big")
    if command not in (_LOCAL, _PROXY):
        raise HeaderError("malformed PROXY header")
    if size > LARGEST:
        raise HeaderError("the PROXY header is too long")
    family, length = _FAMILIES.get(kind, (0, 0))
    if command == _PROXY and (size - _FIXED < 2 * length + 4 if length else kind not in _WITHOUT_ADDRESS):
        raise HeaderError("malformed PROXY header")
    if len(data) < size:
        return None
    if command == _LOCAL or not length:
        return Header(size, None, command == _LOCAL)
    hosts = [socket.inet_ntop(family, data[at : at + length]) for at in (_FIXED, _FIXED + length)]
    ports = _FIXED + 2 * length
    source, target = (int.from_bytes(data[at : at + 2], "big") for at in (ports, ports + 2))
    return Header(size, ((hosts[0], source), (hosts[1], target)))
