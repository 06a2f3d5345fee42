"""One server in one event loop: startup, serving, graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import logging
import random
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Self, cast

from pronghorn import backend, deadlines, signal_handlers
from pronghorn.application import tasks
from pronghorn.application.lifespan import Lifespan
from pronghorn.config import STARTUP_FAILURE as STARTUP_FAILURE
from pronghorn.config import Config
from pronghorn.errors import StartupError, StartupExit
from pronghorn.listen import listener
from pronghorn.listen.sockets import bind, cannot_listen, describe, release
from pronghorn.logging import log, outlet
from pronghorn.metrics import layout
from pronghorn.process import operator_signals
from pronghorn.process.limits import Limit, ProcessLimits
from pronghorn.server.clock import Clock
from pronghorn.server.drain import LINGER, POLL, Drain
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.state import ServerState
from pronghorn.signal_handlers import HANDLED_SIGNALS as HANDLED_SIGNALS

if TYPE_CHECKING:
    from _typeshed import MaybeNone

    from pronghorn.listen.tls_renewal import Renewal
    from pronghorn.process.upgrade import Upgrade

logger = _log = logging.getLogger("pronghorn.error")


class Phase(enum.Enum):
    """The phase of a server, from one `startup` to the next."""

    STARTING = enum.auto()
    SERVING = enum.auto()
    """In the main loop."""
    LEAVING = enum.auto()
    """Serves on, while the health path sends clients elsewhere."""
    STOPPING = enum.auto()


class Server:
    """Serves `config.app` until a signal or any thread sets `should_exit`.

    `started` is true once connections are accepted; `servers` then holds the asyncio servers. `signalled` is true once
    a signal has requested the stop. `linger` is the number of seconds at shutdown in which an idle connection may still
    send a request, whose response then announces the close; a server without idle connections does not wait.
    `async with` serves inside its block, in the running event loop, and does not handle signals. A server that cannot
    start raises StartupError, which `serve` and `run` turn into an exit. `upgrade`, if set, may stop the server in
    favour of a new program.
    """

    linger = LINGER
    ends = "process"
    """The thing that ends with the server, for the log."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.server_state = ServerState()
        self.started = False
        self.should_exit = False
        self.force_exit = False
        self.signalled = False
        self.last_notified = 0.0
        self._heeded = operator_signals.Received()
        self.servers: list[asyncio.Server] = []
        self.lifespan: Lifespan | MaybeNone = None
        self._clock: Clock | MaybeNone = None
        self._sockets: list[socket.socket] = []
        self._bound: list[socket.socket] | None = None
        self._has_bound = False
        self._serving: asyncio.Task[None]
        self._captured_signals: list[int] = []
        self._is_spent = False
        self.upgrade: Upgrade | None = None
        self._limits: ProcessLimits | MaybeNone = None
        self._renewal: Renewal | None = None
        self._phase = Phase.STARTING

    @functools.cached_property
    def limit_max_requests(self) -> int | None:
        """The number of requests after which this server stops, including the jitter."""
        limit = self.config.limit_max_requests
        return limit if limit is None else limit + random.randint(0, self.config.limit_max_requests_jitter)

    @property
    def drain_delay(self) -> float:
        """The seconds between SIGTERM and the shutdown."""
        return self.config.drain_delay

    def take(self, bound: list[socket.socket]) -> None:
        """Serve on the sockets that `bind` returned for this configuration, instead of calling it."""
        self._bound = bound

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
        if self._phase in (Phase.SERVING, Phase.LEAVING):
            self._serving.cancel()  # ends only this phase, without waiting for the next tick
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
        self._phase = Phase.STARTING
        self._limits = ProcessLimits(self.config)
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
        bound = sockets if sockets is not None else self._bound or bind(self.config)
        self._bound = None
        self._has_bound = sockets is None
        self._clock = Clock(self.server_state)
        self._clock.start()
        await self._listen_on(bound, factory, loop)
        if sockets is None:  # otherwise the caller that bound them has logged this
            for message, color_message in describe(bound, self.config):
                _log.info(message, extra={"color_message": color_message})
        self._start_watchdog(loop)
        self._start_renewal()
        self.started = True
        if self.upgrade is not None:
            self.upgrade.announce()

    async def main_loop(self) -> None:
        """Wait until the server should stop."""
        counter = 0
        should_exit = await self.on_tick(counter)
        while not should_exit:
            counter = (counter + 1) % 864000
            await asyncio.sleep(POLL)
            should_exit = await self.on_tick(counter)

    async def on_tick(self, counter: int) -> bool:
        """Notify and check limits, ten times a second; return whether the server should stop."""
        if self.config.callback_notify is not None and counter % 10 == 0:
            now = time.monotonic()
            if now - self.last_notified > self.config.timeout_notify:
                self.last_notified = now
                await self.config.callback_notify()
        if operator_signals.received != self._heeded:
            self._heed(operator_signals.received)
        if self._renewal is not None and counter % 10 == 0:
            self._renewal.check()
        if not self._is_spent:
            reached = self._limits.reached(self.server_state.total_requests, self.limit_max_requests)
            if reached is None and counter % 10 == 0:
                reached = self._limits.exceeded_memory()
            if reached is not None:
                limit, reason = reached
                _log.info("%s Terminating %s.", reason, self.ends)
                self._is_spent = True
                self.on_limit(limit)
        if self.upgrade is not None and self.upgrade.step():
            self.server_state.page[layout.STOPPED] = 1  # the new program is as healthy as this one was
            self.should_exit = True
        return self.should_exit

    def on_limit(self, limit: Limit) -> None:
        """Stop the server; called once, when it has reached `limit`."""
        self.should_exit = True

    def announce(self, what: str) -> None:
        """Log that the server has `Started` or `Finished`."""
        log.announce(f"{what} server process")

    def reload(self) -> None:
        """Read again what may change while the server runs; called after SIGHUP. What cannot be read stays as it is."""
        try:
            self.config.reload_logging()
        except StartupError as error:
            log.report(error)
        self.reopen_logs()
        self.server_state.renew_access_log(self.config)
        if self._renewal is not None:
            self._renewal.renew()

    def reopen_logs(self) -> None:
        """Open log files again that were moved; called after SIGUSR1."""
        from pronghorn.logging import log_files

        log_files.reopen()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, finish the requests in progress, then stop the lifespan.

        Requests and lifespan each have `timeout_graceful_shutdown`. May be called again: finished steps are skipped.
        """
        state, drain = self.server_state, Drain(self)
        if self.upgrade is not None:
            self.upgrade.give_up()
        if state.watchdog is not None:
            state.watchdog.stop()
        if (self.servers or self.started) and not state.shared.draining:
            _log.info("Shutting down")
            state.shared.draining = True
            await drain.stop_accepting(self._sockets, self._has_bound)
        self._close_sockets()
        await listener.settle(self.servers)
        await self._wait_tasks_to_complete()
        drain.abort_connections()
        await drain.cancel_late_calls()
        if self.lifespan is not None and not self.force_exit:
            await self._bounded(self.lifespan.shutdown(), self._deadline())
        if self._clock is not None:
            self._clock.stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM, and those of the operator. SIGINT and SIGTERM are raised again once the server has
        stopped, which also passes them on to a server that installed its handlers earlier.
        """
        with contextlib.ExitStack() as stack:
            if self.config.install_signals:
                stack.enter_context(signal_handlers.handled_by(self.handle_exit))
                stack.enter_context(operator_signals.counted())
            yield
        captured, self._captured_signals = self._captured_signals, []
        if captured:
            signal_handlers.take_last_steps()  # the signal may end the process at once
            outlet.flush()
        for number in reversed(captured):
            signal.raise_signal(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the graceful shutdown; a second SIGINT stops without waiting."""
        self._captured_signals.append(sig)
        self.signalled = True
        if self.should_exit and sig == signal.SIGINT and self._phase is not Phase.LEAVING:
            self.force_exit = True
        else:
            self.should_exit = True

    def _heed(self, received: operator_signals.Received) -> None:
        """Do what the operator's signals ask for. An error must not stop the server."""
        before, self._heeded = self._heeded, received
        try:
            if received.reloads > before.reloads:
                _log.info("Received SIGHUP, reloading the log configuration.")
                self.reload()
            elif received.reopens > before.reopens:
                _log.info("Received SIGUSR1, reopening the log files.")
                self.reopen_logs()
        except Exception as error:
            log.say(logging.ERROR, "Cannot do what the signal asks for", error=error)

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
                    raise cannot_listen(error, name, sock, self.config) from None
                raise
            self._sockets.append(sock)

    async def _listen(
        self, loop: asyncio.AbstractEventLoop, factory: Callable[[], asyncio.Protocol], sock: socket.socket
    ) -> asyncio.Server:
        state = self.server_state
        if self.config.ssl is not None:
            from pronghorn.listen import tls_server
            from pronghorn.listen.readers import Readers

            readers = Readers(loop, state.inbox, state.wire.Reader)
            return await tls_server.listen(loop, factory, sock, self.config, state, readers, state.share, state.wraps)

        async def connect(factory: listener.Factory, sock: socket.socket, address: Any) -> None:
            await loop.connect_accepted_socket(cast("Callable[[], asyncio.Protocol]", factory), sock)

        return await listener.listen(loop, factory, sock, self.config, state.warn, connect, state.share, state.wraps)

    def _start_watchdog(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.config.watchdog is not None:
            from pronghorn.server.watchdog import Watchdog  # few servers have one

            self.server_state.watchdog = Watchdog(loop, self.config.watchdog, lambda: self.should_exit)
            self.server_state.watchdog.start()

    def _start_renewal(self) -> None:
        if self.config.ssl is not None:
            from pronghorn.listen.tls_renewal import Renewal

            self._renewal = Renewal(self.config)

    async def _serve(self, sockets: list[socket.socket] | None) -> None:
        await self._begin(sockets)
        await self._go_on(sockets)

    async def _begin(self, sockets: list[socket.socket] | None) -> None:
        self._load()
        self.announce("Started")
        try:
            await self.startup(sockets)
        except BaseException:
            await self.shutdown(sockets)
            raise

    async def _go_on(self, sockets: list[socket.socket] | None) -> None:
        try:
            if not self.should_exit:
                self._phase = Phase.SERVING
                await self.main_loop()
            if self.started and self._may_serve_on() and (self._captured_signals or self._is_spent):
                await self._serve_on()
        finally:
            self._phase = Phase.STOPPING
            await self.shutdown(sockets)
            if self.started:
                self.announce("Finished")

    async def _serve_on(self) -> None:
        """Serve for `drain_delay` seconds more, while the health path sends clients elsewhere."""
        delay = self.drain_delay
        if not delay:
            return
        if self.upgrade is not None:
            self.upgrade.give_up()
        self.server_state.page[layout.DRAINING] = 1
        _log.info("Draining: the shutdown begins in %g seconds.", delay)
        self._phase = Phase.LEAVING
        end = time.monotonic() + delay
        counter = 0
        while time.monotonic() < end and self._may_serve_on() and not self.force_exit:
            await asyncio.sleep(POLL)
            counter += 1
            await self.on_tick(counter)

    def _may_serve_on(self) -> bool:
        """Return whether no signal but one SIGTERM asks for the stop."""
        return self._captured_signals in ([], [signal.SIGTERM])

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
            await asyncio.wait([task], timeout=POLL)
            if self.should_exit and deadline is None:
                deadline = self._deadline()
            over = deadline is not None and time.monotonic() > deadline
            if self.force_exit or over or (until_signalled and self.signalled):
                task.cancel()
                await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def _wait_tasks_to_complete(self) -> None:
        # For programs that call or replace uvicorn's method of this name.
        await Drain(self).wait(self._deadline())

    def _deadline(self) -> float:
        return deadlines.after(self.config.timeout_graceful_shutdown)

    def _close_sockets(self) -> None:
        release(self._sockets, self.config)

    def _protocol_factory(self, loop: asyncio.AbstractEventLoop) -> Callable[[], asyncio.Protocol]:
        protocol: Any = self.config.http_protocol_class
        if isinstance(protocol, type) and issubclass(protocol, HTTPProtocol):
            return functools.partial(protocol, self.server_state)
        if self.server_state.wraps:
            raise StartupError(
                f"--proxy-protocol and limits on connections need pronghorn's own protocol class, not {protocol!r}."
            )
        return functools.partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=loop,
        )


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
