"""The graceful end of a server's connections: accept those that are queued, wait for requests in flight, and for
applications.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import selectors
import socket
import time
from typing import TYPE_CHECKING, Any, Protocol

from pronghorn.constants import MIN_BATCH
from pronghorn.listen.balance import PATIENCE
from pronghorn.listen.sockets import withdraw
from pronghorn.logging.log import say
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.transports import ITERATIONS_TO_CONNECT

if TYPE_CHECKING:
    from pronghorn.config import Config
    from pronghorn.server.state import ServerState

POLL = 0.1
"""Seconds between checks of `should_exit` and `force_exit`, which any thread may set."""

LINGER = 0.5
"""Seconds that an idle connection stays open at shutdown, for a request that is already on its way."""

# Seconds between checks for requests on idle connections: no event reports them.
_IDLE_POLL = 0.025

# Seconds for TCP handshakes that are in progress when the server stops accepting.
_HANDSHAKE = 0.1

_log = logging.getLogger("pronghorn.error")


class Stopping(Protocol):
    """The server that stops. `force_exit` and `linger` may change meanwhile."""

    config: Config
    server_state: ServerState
    servers: list[asyncio.Server]
    linger: float
    force_exit: bool


class Drain:
    """Drains the connections and tasks of `server`: first `stop_accepting`, then `wait`, then `abort_connections`
    and `cancel_late_calls`.
    """

    def __init__(self, server: Stopping) -> None:
        self._server = server
        self._state = server.server_state

    async def stop_accepting(self, sockets: list[socket.socket], are_ours: bool) -> None:
        """Close the listeners on `sockets`, after accepting the connections that the system has already queued.

        Unless the sockets `are_ours`, other processes may accept from them, now or later.
        """
        if are_ours:
            withdraw(_still_open(sockets), self._server.config)
        if self._state.share is not None:
            self._state.share.leave()
            await asyncio.sleep(PATIENCE)  # a listener that leaves connections to other workers accepts again
        await self._accept_queued(sockets)
        if self._state.connections and self._server.linger:
            await asyncio.sleep(_HANDSHAKE)
            await self._accept_queued(sockets)
        # When a server closes, asyncio drops connections that it has accepted but not yet given a protocol.
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):
            for sock in _still_open(sockets):
                loop.remove_reader(sock)
        await _connect()
        for each in self._server.servers:
            each.close()
        await _connect()

    async def wait(self, deadline: float) -> None:
        """Wait until all connections are closed and all applications have returned, until `deadline` at most.

        Connections are shut down once the idle ones have had `linger` seconds. Applications that are still running at
        the deadline are cancelled.
        """
        await self._wait_for_connections(deadline)
        await self._wait_for_tasks(deadline)

    def abort_connections(self) -> None:
        """Reset the connections that are left."""
        for connection in list(self._state.connections):
            _abort(connection)

    async def cancel_late_calls(self) -> None:
        """Cancel applications that connections have called since the deadline, until they were aborted."""
        late = {task for task in self._running() if not task.cancelling()}
        if late and not self._server.force_exit:
            await _cancel(late)

    async def _accept_queued(self, sockets: list[socket.socket]) -> None:
        with selectors.DefaultSelector() as selector:
            for sock in _still_open(sockets):
                selector.register(sock, selectors.EVENT_READ)
            for _ in range(self._server.config.backlog):
                if not selector.select(0):
                    break
                await asyncio.sleep(0)
        await _connect()

    async def _wait_for_connections(self, deadline: float) -> None:
        connections = self._state.connections
        await self._serve_waiting(deadline)
        idle = self._idle()
        await self._wait_while_idle(deadline)
        self._shut_down_all_but(self._idle() - idle)
        await asyncio.sleep(0)
        if connections and not self._server.force_exit:
            _log.info("Waiting for connections to close. (CTRL+C to force quit)")
        while connections and not self._is_over(deadline):
            idle = self._idle()
            await self._wait_while_connected(deadline)
            self._shut_down_all_but(self._idle() - idle)

    def _shut_down_all_but(self, newly_idle: set[Any]) -> None:
        """Shut down connections. Those that were before are told again: they may have begun a stream since."""
        for connection in self._state.connections - newly_idle:
            _shut_down(connection)

    async def _wait_for_tasks(self, deadline: float) -> None:
        await asyncio.sleep(0)
        running = self._running()
        if running and not self._server.force_exit:
            _log.info("Waiting for background tasks to complete. (CTRL+C to force quit)")
        while running and not self._is_over(deadline):
            await asyncio.wait(running, timeout=_until(deadline))
            running = self._running()
        if running and not self._server.force_exit:
            _log.error("Cancel %s running task(s), timeout graceful shutdown exceeded", len(running))
            if self._state.queue is not None:
                self._state.queue.refuse_waiting()  # else they would take the places of those that are cancelled
            await _cancel(running)

    # The next two count polls, not seconds: clients can do nothing while the event loop, or the machine, is blocked.

    async def _wait_while_idle(self, deadline: float) -> None:
        """Wait until no connection is idle, for `linger` seconds at most."""
        for _ in range(math.ceil(self._server.linger / _IDLE_POLL)):
            if self._is_over(deadline) or not self._idle():
                break
            await asyncio.sleep(_IDLE_POLL)
            await self._serve_waiting(deadline)

    async def _wait_while_connected(self, deadline: float) -> None:
        """Wait until all connections are closed, for `linger` seconds at most.

        A third-party protocol removes its connections itself, which only polling notices.
        """
        for _ in range(math.ceil(self._server.linger / POLL) or 1):
            if self._is_over(deadline) or not self._state.connections:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_until(deadline)):
                    await self._state.wait_for_last_connection()
            await self._serve_waiting(deadline)

    async def _serve_waiting(self, deadline: float) -> None:
        """Serve the requests that wait in the system: one event-loop iteration may read from MIN_BATCH sockets only."""
        inbox = self._state.inbox
        for _ in range(math.ceil(len(self._state.connections) / MIN_BATCH)):
            if inbox is None or not inbox.has_input() or self._is_over(deadline):
                break
            await asyncio.sleep(0)

    def _is_over(self, deadline: float) -> bool:
        return self._server.force_exit or time.monotonic() >= deadline

    def _idle(self) -> set[Any]:
        """The idle connections. Those with a third-party protocol count as idle, since it cannot say."""
        return {each for each in self._state.connections if not isinstance(each, HTTPProtocol) or each.is_idle()}

    def _running(self) -> set[asyncio.Task[None]]:
        return {task for task in self._state.tasks if not task.done()}


def _still_open(sockets: list[socket.socket]) -> list[socket.socket]:
    """The sockets, except those that the embedding program has closed."""
    return [sock for sock in sockets if sock.fileno() >= 0]


async def _connect() -> None:
    """Wait until accepted connections have their protocols."""
    for _ in range(ITERATIONS_TO_CONNECT):
        await asyncio.sleep(0)


def _until(deadline: float) -> float:
    """The seconds until `force_exit` and `deadline` are checked again."""
    return min(POLL, max(0.0, deadline - time.monotonic()))


async def _cancel(running: set[asyncio.Task[None]]) -> None:
    """Cancel applications, and give them a moment to end."""
    for task in running:
        task.cancel("timeout graceful shutdown exceeded")
    await asyncio.wait(running, timeout=1)


def _shut_down(connection: Any) -> None:
    """Shut down one connection; its exceptions do not affect the others."""
    try:
        connection.shutdown()
    except Exception as error:
        say(logging.ERROR, "A connection cannot be shut down.", error=error)
        _abort(connection)


def _abort(connection: Any) -> None:
    try:
        getattr(connection, "transport", connection).abort()  # third-party protocols only have the transport's
    except Exception as error:
        say(logging.ERROR, "A connection cannot be aborted.", error=error)
