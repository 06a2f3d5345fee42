"""One server in one event loop: startup, serving, graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import random
import selectors
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from pronghorn import backend, signal_handlers
from pronghorn.application import tasks
from pronghorn.application.lifespan import Lifespan
from pronghorn.config import STARTUP_FAILURE as STARTUP_FAILURE
from pronghorn.config import Config
from pronghorn.errors import StartupError, StartupExit
from pronghorn.listen import listener
from pronghorn.listen.sockets import bind, cannot_listen, describe, unlink, withdraw
from pronghorn.logging import log, outlet
from pronghorn.logging.log import say
from pronghorn.server.clock import Clock
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.state import ServerState
from pronghorn.server.transports import ITERATIONS_TO_CONNECT
from pronghorn.signal_handlers import HANDLED_SIGNALS as HANDLED_SIGNALS

if TYPE_CHECKING:
    from _typeshed import MaybeNone

# Seconds between checks of `should_exit` and `force_exit`, which any thread may set.
_POLL = 0.1

# Seconds between checks, at shutdown, for requests on idle connections: no event reports them.
_IDLE_POLL = 0.025

# Seconds that an idle connection stays open at shutdown, for a request that is already on its way.
_LINGER = 0.5

# Seconds for TCP handshakes that are in progress when the server stops accepting.
_HANDSHAKE = 0.1

logger = _log = logging.getLogger("pronghorn.error")


class Server:
    """Serves `config.app` until a signal or any thread sets `should_exit`.

    `started` is true once connections are accepted; `servers` then holds the asyncio servers. `signalled` is true once
    a signal has requested the stop. `linger` is the number of seconds at shutdown in which an idle connection may still
    send a request, whose response then announces the close; a server without idle connections does not wait.
    `async with` serves inside its block, in the running event loop, and does not handle signals. A server that cannot
    start raises StartupError, which `serve` and `run` turn into an exit.
    """

    linger = _LINGER

    def __init__(self, config: Config) -> None:
        self.config = config
        self.server_state = ServerState()
        self.started = False
        self.should_exit = False
        self.force_exit = False
        self.signalled = False
        self.last_notified = 0.0
        self.servers: list[asyncio.Server] = []
        self.lifespan: Lifespan | MaybeNone = None
        self._clock: Clock | MaybeNone = None
        self._sockets: list[socket.socket] = []
        self._has_bound = False
        self._serving: asyncio.Task[None]
        self._captured_signals: list[int] = []
        self._is_spent = False
        self._is_in_main_loop = False

    @functools.cached_property
    def limit_max_requests(self) -> int | None:
        """The number of requests after which this server stops, including the jitter."""
        limit = self.config.limit_max_requests
        return limit if limit is None else limit + random.randint(0, self.config.limit_max_requests_jitter)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Run `serve` in a new event loop."""
        with _exiting():
            loop_factory = self.config.get_loop_factory()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(self.serve(sockets))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in the running event loop. In the main thread, handle SIGINT and SIGTERM if `install_signals` is set.

        Raises StartupExit, after logging the reason, if the server cannot start.
        """
        with _exiting(), self.capture_signals():
            await self._serve(sockets)

    async def __aenter__(self) -> Self:
        await self._begin(None)
        if self.should_exit or not self.started:
            await self.shutdown()
            raise StartupError("The server was told to stop before it had started.")
        self._serving = tasks.create(self._go_on(None))
        try:
            await asyncio.sleep(0)  # lets the task begin: cancelled earlier, it would not even shut down
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._is_in_main_loop:
            self._serving.cancel()  # ends only the main loop, without waiting for the next tick
        try:
            await asyncio.wait([self._serving])
        except asyncio.CancelledError:  # like a second SIGINT: stop waiting
            self.force_exit = True
            await asyncio.wait([self._serving])
            await self.lifespan.cancel()
            raise
        if not self._serving.cancelled():
            self._serving.result()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the lifespan, bind, and accept connections, unless `should_exit` is set meanwhile.

        Loads the application first if the server has no lifespan yet. May be called again after `shutdown`. Raises
        StartupError.
        """
        self.signalled = bool(self._captured_signals)
        self.servers, self._sockets = [], []
        self.started = self.force_exit = self._is_spent = False
        if self.lifespan is None:
            self._load()
        was_to_exit = self.should_exit
        await self._bounded(self.lifespan.startup(), until_signalled=True)
        if self.lifespan.should_exit:
            raise _reported("Application startup failed. Exiting.")
        if self.should_exit and not was_to_exit:
            return
        loop = asyncio.get_running_loop()
        http = self.config.http
        if not (backend.is_chosen(http) or backend.compiled_is_available() or backend.pure_is_wanted()):
            _log.warning("Running interpreted, several times slower: the compiled form was not built.")
        self.server_state.prepare(self.config, backend.load(http), loop, self.lifespan.state)
        factory = self._protocol_factory(loop)
        bound = bind(self.config) if sockets is None else sockets
        self._has_bound = sockets is None
        self._clock = Clock(self.server_state)
        self._clock.start()
        await self._listen_on(bound, factory, loop)
        if sockets is None:  # otherwise the caller that bound them has logged this
            for message, color_message in describe(bound, self.config):
                _log.info(message, extra={"color_message": color_message})
        self.started = True

    async def main_loop(self) -> None:
        """Wait until the server should stop."""
        counter = 0
        should_exit = await self.on_tick(counter)
        while not should_exit:
            counter = (counter + 1) % 864000
            await asyncio.sleep(_POLL)
            should_exit = await self.on_tick(counter)

    async def on_tick(self, counter: int) -> bool:
        """Notify and check limits, ten times a second; return whether the server should stop."""
        if self.config.callback_notify is not None and counter % 10 == 0:
            now = time.monotonic()
            if now - self.last_notified > self.config.timeout_notify:
                self.last_notified = now
                await self.config.callback_notify()
        limit = self.limit_max_requests
        if limit is not None and self.server_state.total_requests >= limit and not self._is_spent:
            _log.info("Maximum request limit of %d exceeded. Terminating process.", limit)
            self._is_spent = True
            self.on_limit()
        return self.should_exit

    def on_limit(self) -> None:
        """Stop the server; called when `limit_max_requests` is reached."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, finish the requests in progress, then stop the lifespan.

        Requests and lifespan each have `timeout_graceful_shutdown`. May be called again: finished steps are skipped.
        """
        state = self.server_state
        if (self.servers or self.started) and not state.shared.draining:
            _log.info("Shutting down")
            state.shared.draining = True
            await self._stop_accepting()
        self._close_sockets()
        if self.config.ssl is not None:
            from pronghorn.listen import tls_server

            await tls_server.settle(self.servers)
        await self._wait_tasks_to_complete()
        for connection in list(state.connections):
            _abort(connection)
        if self.lifespan is not None and not self.force_exit:
            await self._bounded(self.lifespan.shutdown(), self._deadline())
        if self._clock is not None:
            self._clock.stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM. Received signals are raised again once the server has stopped, which also passes
        them on to a server that installed its handlers earlier.
        """
        with signal_handlers.handled_by(self.handle_exit) if self.config.install_signals else contextlib.nullcontext():
            yield
        captured, self._captured_signals = self._captured_signals, []
        if captured:
            outlet.flush()  # the signal may end the process at once
        for number in reversed(captured):
            signal.raise_signal(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the graceful shutdown; a second SIGINT stops without waiting."""
        self._captured_signals.append(sig)
        self.signalled = True
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        else:
            self.should_exit = True

    async def _listen_on(
        self, bound: list[socket.socket], factory: Callable[[], asyncio.Protocol], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Accept connections on each socket. If one cannot listen, it and all after it are closed without a drain."""
        for index, sock in enumerate(bound):
            name = sock.getsockname()
            try:
                self.servers.append(await self._listen(loop, factory, sock))
            except BaseException as error:
                self._clock.stop()
                for each in bound[index:]:
                    each.close()
                if isinstance(error, OSError):
                    raise cannot_listen(error, name) from None
                raise
            self._sockets.append(sock)

    async def _listen(
        self, loop: asyncio.AbstractEventLoop, factory: Callable[[], asyncio.Protocol], sock: socket.socket
    ) -> asyncio.Server:
        if self.config.ssl is not None:
            from pronghorn.listen import tls_server

            return await tls_server.listen(loop, factory, sock, self.config, self.server_state.warn)

        async def connect(sock: socket.socket, address: Any) -> None:
            await loop.connect_accepted_socket(factory, sock)

        return await listener.listen(loop, factory, sock, self.config, self.server_state.warn, connect)

    async def _serve(self, sockets: list[socket.socket] | None) -> None:
        await self._begin(sockets)
        await self._go_on(sockets)

    async def _begin(self, sockets: list[socket.socket] | None) -> None:
        self._load()
        log.announce("Started server process")
        try:
            await self.startup(sockets)
        except BaseException:
            await self.shutdown(sockets)
            raise

    async def _go_on(self, sockets: list[socket.socket] | None) -> None:
        try:
            if not self.should_exit:
                self._is_in_main_loop = True
                await self.main_loop()
        finally:
            self._is_in_main_loop = False
            await self.shutdown(sockets)
            if self.started:
                log.announce("Finished server process")

    def _load(self) -> None:
        if not self.config.loaded:
            self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)

    async def _bounded(
        self, work: Coroutine[Any, Any, None], deadline: float | None = None, until_signalled: bool = False
    ) -> None:
        """Await `work` until `deadline`. Once the server is stopping, wait `timeout_graceful_shutdown` at most; with
        `until_signalled`, do not wait at all after a signal.
        """
        task = tasks.create(work)
        while not task.done():
            await asyncio.wait([task], timeout=_POLL)
            if self.should_exit and deadline is None:
                deadline = self._deadline()
            over = deadline is not None and time.monotonic() > deadline
            if self.force_exit or over or (until_signalled and self.signalled):
                task.cancel()
                await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def _stop_accepting(self) -> None:
        """Close the listeners, after accepting the connections that the system has already queued."""
        if self._has_bound:  # otherwise other processes may accept from these sockets, now or later
            withdraw(self._listening(), self.config)
        await self._accept_queued()
        if self.server_state.connections and self.linger:
            await asyncio.sleep(_HANDSHAKE)
            await self._accept_queued()
        # When a server closes, asyncio drops connections that it has accepted but not yet given a protocol.
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):
            for sock in self._listening():
                loop.remove_reader(sock)
        await self._connect()
        for server in self.servers:
            server.close()
        await self._connect()

    def _listening(self) -> list[socket.socket]:
        """The sockets, except those that the embedding program has closed."""
        return [sock for sock in self._sockets if sock.fileno() >= 0]

    async def _accept_queued(self) -> None:
        listening = self._listening()
        with selectors.DefaultSelector() as selector:
            for sock in listening:
                selector.register(sock, selectors.EVENT_READ)
            for _ in range(self.config.backlog):
                if not selector.select(0):
                    break
                await asyncio.sleep(0)
        await self._connect()

    async def _connect(self) -> None:
        """Wait until accepted connections have their protocols."""
        for _ in range(ITERATIONS_TO_CONNECT):
            await asyncio.sleep(0)

    async def _wait_tasks_to_complete(self) -> None:
        """Wait until all connections are closed and all applications have returned, or the deadline passes."""
        deadline = self._deadline()
        await self._wait_for_connections(deadline)
        await self._wait_for_tasks(deadline)

    async def _wait_for_connections(self, deadline: float) -> None:
        """Wait until all connections are closed. They are shut down once the idle ones have had `linger` seconds."""
        connections = self.server_state.connections
        idle = self._idle()
        await self._wait_while_idle(deadline)
        for connection in connections - (self._idle() - idle):
            _shut_down(connection)
        await asyncio.sleep(0)
        if connections and not self.force_exit:
            _log.info("Waiting for connections to close. (CTRL+C to force quit)")
        while connections and not self._is_over(deadline):
            idle = self._idle()
            await self._wait_while_connected(deadline)
            for connection in idle & self._idle():
                _shut_down(connection)

    async def _wait_for_tasks(self, deadline: float) -> None:
        """Wait until all applications have returned; cancel those that are still running at the deadline."""
        await asyncio.sleep(0)
        running = self._running()
        if running and not self.force_exit:
            _log.info("Waiting for background tasks to complete. (CTRL+C to force quit)")
        while running and not self._is_over(deadline):
            await asyncio.wait(running, timeout=_until(deadline))
            running = self._running()
        if running and not self.force_exit:
            _log.error("Cancel %s running task(s), timeout graceful shutdown exceeded", len(running))
            for task in running:
                task.cancel("timeout graceful shutdown exceeded")
            await asyncio.wait(running, timeout=1)

    # The next two count polls, not seconds: clients can do nothing while the event loop, or the machine, is blocked.

    async def _wait_while_idle(self, deadline: float) -> None:
        """Wait until no connection is idle, for `linger` seconds at most."""
        for _ in range(math.ceil(self.linger / _IDLE_POLL)):
            if self._is_over(deadline) or not self._idle():
                break
            await asyncio.sleep(_IDLE_POLL)

    async def _wait_while_connected(self, deadline: float) -> None:
        """Wait until all connections are closed, for `linger` seconds at most.

        A third-party protocol removes its connections itself, which only polling notices.
        """
        for _ in range(math.ceil(self.linger / _POLL) or 1):
            if self._is_over(deadline) or not self.server_state.connections:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_until(deadline)):
                    await self.server_state.wait_for_last_connection()

    def _is_over(self, deadline: float) -> bool:
        return self.force_exit or time.monotonic() >= deadline

    def _idle(self) -> set[Any]:
        """The idle connections. Those with a third-party protocol count as idle, since it cannot say."""
        return {each for each in self.server_state.connections if not isinstance(each, HTTPProtocol) or each.is_idle()}

    def _running(self) -> set[asyncio.Task[None]]:
        return {task for task in self.server_state.tasks if not task.done()}

    def _deadline(self) -> float:
        timeout = self.config.timeout_graceful_shutdown
        return float("inf") if timeout is None else time.monotonic() + timeout

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()
        unlink(self.config)

    def _protocol_factory(self, loop: asyncio.AbstractEventLoop) -> Callable[[], asyncio.Protocol]:
        protocol: Any = self.config.http_protocol_class
        if isinstance(protocol, type) and issubclass(protocol, HTTPProtocol):
            return functools.partial(protocol, self.server_state)
        return functools.partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=loop,
        )


def _until(deadline: float) -> float:
    """The seconds until `force_exit` and `deadline` are checked again."""
    return min(_POLL, max(0.0, deadline - time.monotonic()))


def _shut_down(connection: Any) -> None:
    """Shut down one connection; its exceptions do not affect the others."""
    try:
        connection.shutdown()
    except Exception as error:
        say(logging.ERROR, "A connection cannot be told of the stop.", error=error)
        _abort(connection)


def _abort(connection: Any) -> None:
    try:
        getattr(connection, "transport", connection).abort()  # third-party protocols only have the transport's
    except Exception as error:
        say(logging.ERROR, "A connection cannot be aborted.", error=error)


@contextlib.contextmanager
def _exiting() -> Iterator[None]:
    """Log a StartupError, and raise it as StartupExit, which ends the program."""
    try:
        yield
    except StartupError as error:
        log.report(error)
        raise StartupExit(*error.args) from error.__cause__


def _reported(line: str) -> StartupError:
    error = StartupError(line)
    error.is_reported = True
    return error
