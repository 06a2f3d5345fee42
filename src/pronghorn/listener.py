"""A server of asyncio's on one socket, which accepts by itself: so it knows the connections that are not yet made, and
waits where the system has no descriptor left.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from pronghorn.config import Config

# Connections accepted in a turn of the loop before those that are there have theirs.
_ACCEPTED = 64

# Seconds until accepting is tried again.
_RETRY = 1

# What became of one connection before it was accepted (accept(2)). Any other error would come again at once.
_OF_ONE = (
    *("ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    *("ENONET", "EOPNOTSUPP", "EPERM", "EPROTO"),
)
_PASSING = {getattr(errno, name) for name in _OF_ONE if hasattr(errno, name)}

# Makes a connection of an accepted socket and its peer's address.
Connect: TypeAlias = Callable[[socket.socket, Any], Awaitable[object]]


async def listen(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.BaseProtocol],
    sock: socket.socket,
    config: Config,
    warn: Callable[..., None],
    connect: Connect,
) -> asyncio.Server:
    """Serve protocols of `factory` on the bound `sock`, which is the caller's to close."""
    listener = Listener(loop, sock, config.backlog, connect, warn)
    try:
        listener.listen()
    except NotImplementedError:  # a loop of completions rather than of readiness
        return await loop.create_server(factory, sock=sock, ssl=config.ssl, backlog=config.backlog)
    return cast(asyncio.Server, listener)


class Listener:
    """One of asyncio's servers to those who look.

    `connecting` are the tasks of `connect`, `warn` logs a line. One line tells that the system refuses a connection,
    until it has accepted all that were waiting.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        backlog: int,
        connect: Connect,
        warn: Callable[..., None],
    ) -> None:
        self.connecting: set[asyncio.Task[object]] = set()
        self._loop = loop
        self._sock: socket.socket | None = sock
        self._backlog = backlog
        self._connect = connect
        self._warn = warn
        self._is_refused = False

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return () if self._sock is None else (self._sock,)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._sock is not None

    def listen(self) -> None:
        """Accept connections from now on."""
        if self._sock is not None:
            self._sock.setblocking(False)
            self._sock.listen(self._backlog)
            self._read()

    def close(self) -> None:
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock = None

    async def wait_closed(self) -> None:
        while self.connecting:
            await asyncio.wait(self.connecting)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED):
            if self._sock is None:
                return
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                self._is_refused = False
                return
            except OSError as error:
                if error.errno in _PASSING:
                    continue
                self._wait(error)
                return
            sock.setblocking(False)
            task = self._loop.create_task(self._make(sock, address))
            self.connecting.add(task)
            task.add_done_callback(self.connecting.discard)

    def _wait(self, error: OSError) -> None:
        """Try again later, as the socket stays readable."""
        assert self._sock is not None
        if not self._is_refused:
            self._is_refused = True
            self._warn("Cannot accept connections: %s", error.strerror)
        self._loop.remove_reader(self._sock)
        self._loop.call_later(_RETRY, self._read)

    def _read(self) -> None:
        if self._sock is not None:
            self._loop.add_reader(self._sock, self._accept)

    async def _make(self, sock: socket.socket, address: Any) -> None:
        try:
            await self._connect(sock, address)
        except OSError:  # the client has gone
            sock.close()
