"""Limits on connections: one over a limit is closed before it costs a transport or a TLS handshake."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Container, Hashable
from typing import TYPE_CHECKING, Any

from pronghorn.listen.addresses import show
from pronghorn.metrics import layout

if TYPE_CHECKING:
    import asyncio

    from pronghorn.listen.listener import Connect, Factory, Report

# The part of an IPv6 address that a client cannot choose: a provider assigns it a /64 at least.
_NETWORK_SIZE = 8


class Limit:
    """Admits `most` connections, all together or of each client, as `reason` says, which is a key of KEYS.
    `connections` has the protocols of the open connections.

    A connection counts until `leave`, or until its setup has failed.
    """

    def __init__(self, most: int, reason: str, connections: Container[Any], report: Report) -> None:
        self._most = most
        self._key = KEYS[reason]
        self._flag = "--limit-" + reason.replace("_", "-")
        self._reason = layout.REFUSED + layout.REASONS.index(reason)
        self._connections = connections
        self._report = report
        self._counts: dict[Hashable, int] = {}
        self._keys: dict[asyncio.BaseProtocol, Hashable] = {}

    def wrap(self, connect: Connect) -> Connect:
        """`connect`, for connections that are admitted."""
        return functools.partial(self._connect, connect)

    def leave(self, protocol: asyncio.BaseProtocol) -> None:
        """Count a connection no more. Has no effect if it does not count."""
        if protocol in self._keys:
            self._subtract(self._keys.pop(protocol))

    async def _connect(self, connect: Connect, factory: Factory, sock: socket.socket, address: Any) -> None:
        key = self._key(address)
        if key is None:
            await connect(factory, sock, address)
            return
        count = self._counts.get(key, 0)
        if count >= self._most:
            sock.close()
            self._report.count(self._reason)
            self._report.warn("Connection refused. %s: more connections than %s %d", show(address), self._flag, count)
            return
        self._counts[key] = count + 1
        made: asyncio.BaseProtocol | None = None

        def make() -> asyncio.BaseProtocol:
            nonlocal made
            made = factory()
            self._keys[made] = key
            return made

        try:
            await connect(make, sock, address)
        finally:
            if made is None:
                self._subtract(key)
            elif made not in self._connections:
                self.leave(made)

    def _subtract(self, key: Hashable) -> None:
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]


def client(address: Any) -> Hashable | None:
    """The key of the client at `address`: its IPv4 address, or the /64 network of its IPv6 address; None on a Unix
    socket.
    """
    if not isinstance(address, tuple):
        return None
    host = address[0].partition("%")[0]
    if ":" not in host:
        return socket.inet_pton(socket.AF_INET, host)
    packed = socket.inet_pton(socket.AF_INET6, host)
    is_mapped = packed.startswith(b"\0" * 10 + b"\xff\xff")
    return packed[12:] if is_mapped else packed[:_NETWORK_SIZE]


KEYS: dict[str, Callable[[Any], Hashable | None]] = {
    "connections": lambda address: "",
    "connections_per_address": client,
}
"""For each reason to refuse a connection, a function of its address: connections with the same result count together,
those with None do not count.
"""
