"""An `asyncio.Server` for one socket with its own accept loop. It tracks connections whose setup is in progress, and
pauses while the system is out of file descriptors.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from pronghorn.application import tasks
from pronghorn.errors import StartupError
from pronghorn.listen import unsent
from pronghorn.listen.balance import PATIENCE

if TYPE_CHECKING:
    from pronghorn.config import Config
    from pronghorn.listen.balance import Share

# Connections accepted in one event-loop iteration; more would delay the existing ones.
_MAX_ACCEPTS = 64

# Seconds until the next attempt after the system refused to accept.
_RETRY_DELAY = 1

# Seconds for the TLS handshakes and PROXY headers in progress when the server stops.
_GRACE = 1

# Errors of one connection, reported when it is accepted (accept(2)). Any other error would recur at once.
_CONNECTION_ERRORS = (
    *("ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    *("ENONET", "EOPNOTSUPP", "EPERM", "EPROTO"),
)
_IGNORED = {getattr(errno, name) for name in _CONNECTION_ERRORS if hasattr(errno, name)}

Factory: TypeAlias = Callable[[], asyncio.BaseProtocol]
"""Makes the protocol of a connection."""

Connect: TypeAlias = Callable[[Factory, socket.socket, Any], Awaitable[object]]
"""Creates the connection for an accepted socket and the address of its peer, with a protocol of the factory."""

Wrap: TypeAlias = Callable[[Connect], Connect]
"""Adds a step before the connection is created."""


class Report(Protocol):
    """The log and the metrics, for such a step."""

    def warn(self, message: str, *arguments: object) -> None: ...

    def count(self, cell: int) -> None: ...


async def listen(
    loop: asyncio.AbstractEventLoop,
    factory: Factory,
    sock: socket.socket,
    config: Config,
    warn: Callable[..., None],
    connect: Connect,
    share: Share | None = None,
    wraps: Iterable[Wrap] = (),
    limits_unsent: bool = True,
) -> asyncio.Server:
    """Accept connections on the bound `sock` and give them protocols of `factory`. The caller closes `sock`.

    Workers that accept on the same socket each have their `share`. `wraps` are steps before `connect`, the last one
    first. Raises StartupError if there are any and the loop does not support them. `limits_unsent`: see `unsent`.
    """
    if limits_unsent:
        unsent.limit(sock)
    wrapped = connect
    for wrap in wraps:
        wrapped = wrap(wrapped)
    listener = Listener(loop, sock, config.backlog, functools.partial(wrapped, factory), warn, share)
    try:
        listener.listen()
    except NotImplementedError:  # a completion-based event loop, as on Windows
        if wrapped is not connect:
            raise StartupError("This event loop does not support --proxy-protocol and limits on connections.") from None
        return await loop.create_server(factory, sock=sock, ssl=config.ssl, backlog=config.backlog)
    return cast(asyncio.Server, listener)


async def settle(servers: Iterable[asyncio.Server]) -> None:
    """Wait for the connections that are being set up on closed `servers`, and cancel those that take too long."""
    connecting = [task for server in servers for task in getattr(server, "connecting", ())]
    if connecting:
        _, hanging = await asyncio.wait(connecting, timeout=_GRACE)
        for task in hanging:
            task.cancel()


class Listener:
    """Implements the public interface of `asyncio.Server`. `connect` creates a connection.

    `connecting` holds the running tasks of `connect`. `warn` logs a line when the system refuses to accept, and again
    only after all queued connections were accepted.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        backlog: int,
        connect: Callable[[socket.socket, Any], Awaitable[object]],
        warn: Callable[..., None],
        share: Share | None = None,
    ) -> None:
        self.connecting: set[asyncio.Task[object]] = set()
        self._loop = loop
        self._sock: socket.socket | None = sock
        self._backlog = backlog
        self._connect = connect
        self._warn = warn
        self._share = share
        self._is_refused = False
        self._pause_over: asyncio.TimerHandle | None = None

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return () if self._sock is None else (self._sock,)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._sock is not None

    def listen(self) -> None:
        """Start accepting connections."""
        if self._sock is not None:
            self._sock.setblocking(False)
            self._sock.listen(self._backlog)
            if self._share is not None:
                self._share.join(self.connecting)
            self._start_reading()

    def close(self) -> None:
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock = None
        if self._pause_over is not None:
            self._pause_over.cancel()

    async def wait_closed(self) -> None:
        while self.connecting:
            await asyncio.wait(self.connecting)

    def _accept(self) -> None:
        if self._share is None:
            self._accept_up_to(_MAX_ACCEPTS)
        elif allowed := self._share.allowance():
            self._accept_up_to(min(allowed, _MAX_ACCEPTS))
            self._share.update()
        else:
            self._stop_reading(PATIENCE)

    def _accept_up_to(self, limit: int) -> None:
        for _ in range(limit):
            if self._sock is None:
                return
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                self._is_refused = False
                return
            except OSError as error:
                if error.errno in _IGNORED:
                    continue
                self._pause(error)
                return
            sock.setblocking(False)
            task = tasks.create(self._connect_or_close(sock, address), self._loop)
            self.connecting.add(task)
            task.add_done_callback(self._on_connected)

    def _on_connected(self, task: asyncio.Task[object]) -> None:
        self.connecting.discard(task)
        if self._share is not None:
            self._share.update()

    def _pause(self, error: OSError) -> None:
        if not self._is_refused:
            self._is_refused = True
            self._warn("Cannot accept connections: %s", error.strerror)
        self._stop_reading(_RETRY_DELAY)

    def _stop_reading(self, delay: float) -> None:
        """Stop accepting for a while: the socket stays readable, and would keep the event loop busy."""
        assert self._sock is not None
        self._loop.remove_reader(self._sock)
        self._pause_over = self._loop.call_later(delay, self._start_reading)

    def _start_reading(self) -> None:
        if self._sock is not None:
            self._loop.add_reader(self._sock, self._accept)

    async def _connect_or_close(self, sock: socket.socket, address: Any) -> None:
        try:
            await self._connect(sock, address)
        except OSError:  # the client is gone
            sock.close()
