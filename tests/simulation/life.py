"""One seed: a server with its clients, from start to drain, and everything that must hold meanwhile and afterwards."""

from __future__ import annotations

import asyncio
import functools
import gc
import hashlib
import itertools
import logging
import math
import random
import signal
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pronghorn import Config, Server, backend
from pronghorn.metrics import layout
from pronghorn.metrics.recorder import Recorder
from pronghorn.server import state
from pronghorn.server.protocol import HTTPProtocol
from tests.simulation.application import Application
from tests.simulation.hostile import Hostile
from tests.simulation.http1 import Conversation
from tests.simulation.http2 import Streams
from tests.simulation.loop import EPOCH, LONGEST, Clock, Loop, Stuck, Task
from tests.simulation.network import Link, Network
from tests.simulation.websocket import Talk

# Seconds that a life may take after the signal, if nothing bounds the shutdown.
LONGEST_STOP = 120

# Lines of the log that begin so are what a client or an application was made to cause.
EXPECTED = (
    "Exception in ASGI application",
    "ASGI callable returned without",
    "Cancel ",
)

_KINDS = (Conversation, Conversation, Conversation, Streams, Talk, Hostile)


class SimulatedServer(Server):
    """Raises no signal in the end: the simulation is no process of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _numbered_protocol() -> type[HTTPProtocol]:
    """A protocol whose instances have hashes that do not depend on their addresses: the server keeps them in sets."""
    numbers = itertools.count(1)

    class Numbered(HTTPProtocol):
        __slots__ = ("_number",)

        def __init__(self, served: state.ServerState) -> None:
            super().__init__(served)
            self._number = next(numbers)

        def __hash__(self) -> int:
            return self._number

    return Numbered


class Life:
    """The life of one seed. `failures` are the invariants that did not hold, one line each."""

    patience = 40.0
    """Seconds that a client waits for what the server owes it, beyond what the application takes."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(f"life {seed}")
        self.clock = Clock()
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []
        self.trace: list[tuple[float, int, int, str]] = []
        self.blocked = 0.0
        self.stop_at = float("inf")
        self.was_forced = False
        self.network = Network(self.now, self.note)
        self.application = Application(self)
        self.clients: list[Any] = []
        self.config = self._configure()

    # For clients and the application

    def now(self) -> float:
        return self.clock.now

    def note(self, connection: int, text: str) -> None:
        """Add to the trace; `connection` is 0 for the server."""
        self.trace.append((self.clock.now, connection, len(self.trace), text))

    def fail(self, text: str) -> None:
        self.note(0, f"FAILURE {text}")
        self.failures.append(text)

    def count(self, kind: str, number: int = 1) -> None:
        self.counts[kind] += number

    def block(self, seconds: float) -> None:
        """Block the event loop."""
        self.clock.now += seconds
        self.blocked += seconds
        self.network.faults["blocked loop"] += 1

    def is_told_to_stop(self, when: float) -> bool:
        """Return whether the server was shutting down at `when`, for sure."""
        return when > self.stop_at + self.config.drain_delay + 0.5 + self.blocked

    def is_stopping(self, when: float | None) -> bool:
        return when is None or when >= self.stop_at

    def ran_out_of_time(self, when: float | None) -> bool:
        """Return whether the time for a graceful shutdown was over."""
        timeout = self.config.timeout_graceful_shutdown
        return timeout is not None and when is not None and when >= self.stop_at + timeout

    def gave_up(self, link: Link) -> bool:
        """Return whether the log says that the client was cut off."""
        start = f"Connection cut off. {link.address[0]}:"
        return any(line.startswith(start) for line in self.log)

    def check_end(self, link: Link, what: str, earliest: float, latest: float) -> None:
        """Check the time when the server closed `link`, if it was not stopping."""
        if link.accepted is None or earliest < EPOCH:  # it was too late for the server to hear of this client
            return
        # The server counts in whole seconds, and does not count those in which it is blocked.
        latest += 2.1 + self.blocked + 4 * link.latency
        closed = link.ended_at if link.ended_at is not None else self.now()
        if self.is_stopping(closed) and self.is_stopping(latest):
            return
        if not earliest - 0.01 <= closed <= latest:
            expected = f"{earliest - EPOCH:.2f} to {latest - EPOCH:.2f}"
            self.fail(f"client {link.number}: {what}: closed at {closed - EPOCH:.2f}, not from {expected}")

    # The life

    def run(self) -> None:
        backend.load(self.config.http)  # A module that is imported below would keep the virtual clock for ever.
        with self._recording(), self.clock.installed(), _quickly(), _in_order(), _at_any_speed():
            loop = Loop(self.clock, self.network, random.Random(f"loop {self.seed}"))
            loop.set_exception_handler(self._on_exception)
            self.config.load()
            self.config.http_protocol_class = _numbered_protocol()
            self.server = SimulatedServer(self.config)
            self._plan()
            try:
                loop.run_until_complete(self._serve(loop))
                self._let_clients_finish()
            except Stuck:
                self.fail("the event loop waits for ever")
            finally:
                self._cancel_rest(loop)
                loop.close()
                self._check_end_of_links()
                self.network.close()
        for client in self.clients:
            client.judge()

    def digest(self) -> str:
        """A hash of all that happened. What happens to several connections at the same time has no order."""
        lines = [f"{when - EPOCH:.9f} {connection} {text}" for when, connection, _, text in sorted(self.trace)]
        return hashlib.sha256("\n".join([*lines, *self.failures]).encode()).hexdigest()

    async def _serve(self, loop: Loop) -> None:
        server = self.server
        await server.serve(sockets=[self.network.listening])
        self.note(0, "stopped")
        for _ in range(4):
            await asyncio.sleep(0)
        self._check_rest(loop)

    def _cancel_rest(self, loop: Loop) -> None:
        """Cancel what a forced exit leaves, as `asyncio.Runner` does."""
        rest = asyncio.all_tasks(loop)
        for task in rest:
            task.cancel()
        if rest:
            loop.run_until_complete(asyncio.wait(rest))

    def _let_clients_finish(self) -> None:
        """Let what is on the way arrive, once the loop no longer runs."""
        self.network.notice_output()
        while (due := self.network.next_event()) < EPOCH + LONGEST:
            self.clock.now = max(self.clock.now, due)
            self.network.run_until(self.clock.now)
            self.network.notice_output()

    def _configure(self) -> Config:
        rng = self.rng
        self.application.lifespan = rng.choice(("off", "off", "quick", "slow"))
        return Config(
            self.application,
            http="h11" if backend.pure_is_wanted() else "auto",
            http2=True,
            ws_per_message_deflate=False,
            lifespan="off" if self.application.lifespan == "off" else "on",
            log_config=None,
            access_log=rng.random() < 0.3,
            proxy_headers=False,
            metrics_bind="127.0.0.1:0",
            timeout_first_byte=5,
            timeout_head=6,
            timeout_body=5,
            timeout_write=4,
            timeout_keep_alive=3,
            ws_ping_interval=4,
            ws_ping_timeout=3,
            timeout_graceful_shutdown=rng.choice((None, None, 0, 2, 8)),
            limit_concurrency=rng.choice((None, None, None, 4)),
            cancel_on_disconnect=rng.choice(("streaming", "streaming", "always", "never")),
            send_after_disconnect=rng.choice(("raise", "ignore")),
            drain_delay=rng.choice((0.0, 0.0, 0.0, 1.5)),
        )

    def _plan(self) -> None:
        """Decide who connects when, and when the server stops."""
        rng = self.rng
        span = rng.choice((0.0, 1.0, 6.0))
        for number in range(1, rng.choice((1, 2, 4, 7)) + 1):
            link = Link(self.network, number, random.Random(f"link {self.seed} {number}"))
            client = rng.choice(_KINDS)(self, link)
            self.clients.append(client)
            self.network.links.append(link)
            self.count(f"{client.kind} connections")
            self.network.after(0.01 + rng.random() * span, lambda link=link, client=client: link.start(client.script()))
        if rng.random() < 0.05:
            self.network.after(rng.random() * span, self._refuse_to_accept)
        self.network.after(0.01 + rng.choice((0.3, 0.3, 3.0, 3.0, 3.0, 12.0, 12.0, 40.0)) * rng.random(), self._stop)

    def _refuse_to_accept(self) -> None:
        self.network.faults["no descriptors"] += 1
        self.network.next_error = OSError(24, "Too many open files")

    def _stop(self) -> None:
        self.note(0, "SIGTERM")
        self.stop_at = self.now()
        self.server.handle_exit(signal.SIGTERM, None)
        if self.rng.random() < 0.1:
            self.network.after(self.rng.random() * 3, self._force)

    def _force(self) -> None:
        self.note(0, "SIGINT")
        self.network.faults["forced exit"] += 1
        self.was_forced = True
        self.server.handle_exit(signal.SIGINT, None)

    # Recording

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Collect what is logged, warned about, or raised where nobody can catch it."""
        handler = _Recorder(self)
        names = ("pronghorn.error", "pronghorn.access", "asyncio")
        loggers = [logging.getLogger(name) for name in names]
        before = [(each.handlers[:], each.level, each.propagate) for each in loggers]
        hook = sys.unraisablehook
        for each in loggers:
            each.handlers[:] = [handler]
            each.propagate = False
            each.setLevel(logging.INFO)
        sys.unraisablehook = lambda raised: self.fail(f"unraisable: {raised.exc_value!r} in {raised.object!r}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                yield
                gc.collect()
        finally:
            sys.unraisablehook = hook
            for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
                each.handlers[:] = handlers
                each.setLevel(level)
                each.propagate = propagate

    def record(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        self.log.append(text)
        self.note(0, f"{record.name}: {text}" if "server process" not in text else "process")
        if record.name == "asyncio":
            self.fail(f"asyncio: {text}")
        elif record.levelno >= logging.ERROR and not text.startswith(EXPECTED):
            self.fail(f"logged: {text}: {record.exc_info and record.exc_info[1]!r}")
        elif record.exc_info and type(record.exc_info[1]).__name__ not in ("Planned", "CancelledError"):
            self.fail(f"logged: {text}: {record.exc_info[1]!r}")

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.fail(f"exception handler: {context.get('message')}: {context.get('exception')!r}")

    # Invariants

    def _check_rest(self, loop: Loop) -> None:
        """Nothing is left after the stop."""
        served = self.server.server_state
        took = self.now() - self.stop_at
        graceful = self.config.timeout_graceful_shutdown
        most = LONGEST_STOP if graceful is None else 2 * graceful + 12
        if took > most + self.blocked + self.config.drain_delay:
            self.fail(f"the stop took {took:.1f} s")
        if served.connections:
            self.fail(f"{len(served.connections)} connections are left")
        tasks = {task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()}
        if self.was_forced:
            tasks = {task for task in tasks if task.get_name() != "lifespan" and task not in served.tasks}
        elif served.tasks:
            self.fail(f"{len(served.tasks)} tasks of requests are left")
        if tasks:
            self.fail(f"tasks are left: {tasks}")
        if (timers := loop.pending_timers()) and not self.was_forced:
            self.fail(f"timers are left: {timers}")
        if watched := loop.watched():
            self.fail(f"{watched} descriptors are watched")
        if not self.was_forced:
            self._check_metrics()

    def _check_metrics(self) -> None:
        served = self.server.server_state
        page = served.page
        if active := page[layout.ACTIVE_REQUESTS]:
            self.fail(f"metrics: {active} requests in progress")
        if opened := page[layout.OPEN_WEBSOCKETS]:
            self.fail(f"metrics: {opened} open WebSockets")
        size = len(layout.METHODS) * len(layout.STATUSES)
        ended = sum(page[layout.REQUESTS : layout.REQUESTS + size])
        if ended != served.total_requests:
            self.fail(f"metrics: {ended} of {served.total_requests} requests have ended")
        accepted = sum(link.accepted is not None for link in self.network.links)
        if page[layout.ACCEPTED] > accepted:
            self.fail(f"metrics: {page[layout.ACCEPTED]} of {accepted} connections")
        received = sum(link.total for link in self.network.links)
        if page[layout.SENT] < received:
            self.fail(f"metrics: {page[layout.SENT]} bytes sent, {received} received")

    def _check_end_of_links(self) -> None:
        for link in self.network.links:
            if link.accepted is not None and link.accepted.fileno() >= 0 and not self.was_forced:
                self.fail(f"client {link.number}: the server has not closed its socket")
        if socket.socket.fileno(self.network.listening) >= 0:
            self.fail("the server still listens")


def _measure_nothing(recorder: Recorder) -> None:
    pass


@contextmanager
def _quickly() -> Iterator[None]:
    """Leave out what takes long, and concerns the real process: its memory."""
    with mock.patch.object(Recorder, "process", _measure_nothing), mock.patch.object(state, "_LARGEST_BLOCK", 0):
        yield


@contextmanager
def _in_order() -> Iterator[None]:
    """Let the server create tasks with hashes of their own where it does not ask the loop."""
    with mock.patch.object(asyncio, "Task", Task):
        yield


@contextmanager
def _at_any_speed() -> Iterator[None]:
    """Let output wait for the end of an iteration that the machine takes long for: the real clock is not the seed's."""
    load = backend.load

    def load_patient(http: str) -> backend.Wire:
        wire = load(http)
        return wire._replace(Outbox=functools.partial(wire.Outbox, max_delay=math.inf))  # type: ignore[arg-type]

    with mock.patch.object(backend, "load", load_patient):
        yield


class _Recorder(logging.Handler):
    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def emit(self, record: logging.LogRecord) -> None:
        self._life.record(record)
