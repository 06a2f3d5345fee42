"""State that all connections of a server share: the application, the wire's constants, connections and tasks."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pronghorn import backend
from pronghorn.application import calls, health
from pronghorn.config import SERVER, trusted_proxies
from pronghorn.logging.access_log import AccessLog
from pronghorn.logging.formatters import TRACE_LOG_LEVEL
from pronghorn.logging.log import say, writes_json
from pronghorn.metrics import layout, page
from pronghorn.server import polls

if TYPE_CHECKING:
    from _typeshed import MaybeNone

    from pronghorn._wire.access_log import AccessLines
    from pronghorn._wire.inbox import Inbox
    from pronghorn._wire.metrics import Metrics
    from pronghorn._wire.observed import Observer
    from pronghorn._wire.outbox import Outbox
    from pronghorn._wire.proxies import Proxies
    from pronghorn._wire.shared import Limits, Shared
    from pronghorn.backend import Wire
    from pronghorn.config import Config
    from pronghorn.listen import admission
    from pronghorn.listen.balance import Share
    from pronghorn.listen.listener import Wrap
    from pronghorn.metrics.page import Page
    from pronghorn.metrics.recorder import Recorder
    from pronghorn.server.watchdog import Watchdog
    from pronghorn.types import ASGI3App, Headers

WARNINGS_A_SECOND = 10

# Returning freed memory to the system and faulting it in again costs more than reading an upload into it. Once a block
# of this size was freed, glibc keeps up to twice as much (mallopt(3), M_MMAP_THRESHOLD).
_LARGEST_BLOCK = 8 * 1024 * 1024


class ServerState:
    """The connections and tasks of one server, and everything that they need. Created before the application is loaded,
    ready after `prepare`; until then `shared` is None.
    """

    app: ASGI3App
    wire: Wire
    outbox: Outbox
    loop: asyncio.AbstractEventLoop
    context: contextvars.Context
    start_request: calls.Start
    start_websocket: calls.Start
    _last_closed: asyncio.Event

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.shared: Shared | MaybeNone = None
        self.inbox: Inbox | MaybeNone = None
        self.recorder: Recorder | MaybeNone = None
        self.page: Page | MaybeNone = None  # until `prepare`: a server can be sent to another process before
        self.limit_concurrency: int | None = None
        self.limit_queue: int | None = None
        self.limit_websockets: int | None = None
        self.queue: calls.Queue | None = None
        self.health_path: str | None = None
        self.cancel_on_disconnect = "streaming"
        self.ignores_lost = False
        self.eager = False
        self.traces = False
        self.watchdog: Watchdog | None = None
        self.share: Share | None = None
        self.owns_process = True
        """False if the process has other servers: then each records only what its thread uses."""
        self.wraps: list[Wrap] = []
        self._admissions: list[admission.Limit] = []
        self._warnings = 0

    @property
    def total_requests(self) -> int:
        """The number of requests since startup."""
        return 0 if self.shared is None else self.shared.total_requests

    @total_requests.setter
    def total_requests(self, number: int) -> None:
        # For third-party protocols; ours counts in the wire.
        self.shared.total_requests = number

    @property
    def is_draining(self) -> bool:
        """True once load balancers should choose another server."""
        # A worker that is stopped because another takes its place is no reason to leave.
        return bool(self.page[layout.DRAINING]) or (self.shared.draining and not self.page[layout.STOPPED])

    @property
    def default_headers(self) -> Headers:
        """The fields that every response begins with; empty before startup. For programs that read uvicorn's."""
        return [] if self.shared is None else list(self.shared.default_fields)

    def remove_connection(self, connection: Any) -> None:
        self.connections.discard(connection)
        if self.share is not None:
            self.share.update()
        for limit in self._admissions:
            limit.leave(connection)
        if not self.connections:
            self._last_closed.set()

    async def wait_for_last_connection(self) -> None:
        """Wait until `remove_connection` removes the last one."""
        self._last_closed.clear()
        await self._last_closed.wait()

    def count(self, cell: int, amount: int = 1) -> None:
        """Add to a cell of `pronghorn.metrics.layout`, if metrics are wanted."""
        if self.recorder is not None:
            self.recorder.count(cell, amount)

    def note_lag(self, seconds: float) -> None:
        """Note that the clock's timer was `seconds` late."""
        if self.recorder is not None:
            self.recorder.lag(seconds)

    def warn(self, message: str, *arguments: object) -> None:
        """Log a client's error, WARNINGS_A_SECOND times a second at most: clients cannot flood the log."""
        self._warnings += 1
        if self._warnings <= WARNINGS_A_SECOND:
            say(logging.WARNING, message, *arguments)

    def tick(self, now: int) -> None:
        """Update the clock and check every connection's deadlines; called once a second."""
        unsaid = self._warnings - WARNINGS_A_SECOND
        self._warnings = 0
        if unsaid > 0:
            say(logging.WARNING, "%d more warnings about clients in the last second.", unsaid)
        self.shared.tick(now)
        # A third-party protocol may have an attribute of that name for anything.
        endpoints = (getattr(each, "connection", None) for each in self.connections)
        if self.recorder is not None:
            self._record(self.recorder)
        self.wire.sweep([each for each in endpoints if isinstance(each, self.wire.Endpoint)], now)
        if self.queue is not None:
            self.queue.tick()

    def _record(self, recorder: Recorder) -> None:
        http1: list[Any] = []
        http2: list[Any] = []
        for each in self.connections:
            connection = getattr(each, "connection", None)
            if isinstance(connection, self.wire.Connection):
                http1.append(connection)
            elif isinstance(connection, self.wire.Endpoint):
                http2.append(connection)
        recorder.connections(http1, http2, sum(len(each.streams) for each in http2))
        if self.owns_process:
            recorder.process()
        else:
            recorder.thread()
        if self.watchdog is not None:
            self.page[layout.BLOCKS] = self.watchdog.blocks

    def prepare(self, config: Config, wire: Wire, loop: asyncio.AbstractEventLoop, state: dict[str, Any]) -> None:
        """Derive everything below `Server` from `config`; `state` is the lifespan's."""
        if self.page is None:
            self.page = page.allocate()
        bytes(_LARGEST_BLOCK)  # freed at once; its pages are never touched
        self.app = _in_context(config)
        self.wire = wire
        self.loop = loop
        self._last_closed = asyncio.Event()
        self.context = contextvars.Context() if config.reset_contextvars else contextvars.copy_context()
        if config.http2:
            wire.load_http2()  # now, so that the first client does not wait for it
        self.limit_concurrency = config.limit_concurrency
        self.limit_queue = config.limit_queue
        self.limit_websockets = config.limit_websockets
        self.queue = None
        self.health_path = config.health_path
        self.cancel_on_disconnect = config.cancel_on_disconnect
        # The WSGI adapter needs the error, and passes it on to the application.
        self.ignores_lost = config.send_after_disconnect == "ignore" and config.interface != "wsgi"
        self.eager = hasattr(asyncio, "eager_task_factory") and loop.get_task_factory() is None
        self.traces = logging.getLogger("pronghorn.error").isEnabledFor(TRACE_LOG_LEVEL)
        self.start_request, self.start_websocket = _starts(self)
        self.outbox = wire.Outbox(loop.call_soon)
        # None where the system has neither epoll nor kqueue.
        self.inbox = None if polls.open_poll is None else wire.Inbox(polls.open_poll, loop, self.outbox, self.context)
        trusted = _proxies(config, wire)
        self._admissions = []
        self.wraps = list(self._wrap(config, trusted))
        self.shared = wire.Shared(
            _limits(config, wire),
            loop.create_future,
            scheme="https" if config.is_ssl else "http",
            root_path=config.root_path,
            state=state,
            fields=[field for field in config.encoded_headers if field != SERVER],
            date=config.date_header,
            server=SERVER[1] if SERVER in config.encoded_headers else b"",
            access_log=_access_log(config, wire, loop),
            websockets=config.ws_protocol_class is not None,
            zlib=backend.load_compression() if config.ws_per_message_deflate else None,
            turns=wire.Turns(functools.partial(loop.call_soon, context=self.context)),
            proxies=trusted if config.proxy_headers else None,
            ignores_lost=self.ignores_lost,
            http2=config.http2,
            sendfile=config.sendfile,
            metrics=self._metrics(config, wire),
            observer=_observer(config, wire),
        )

    def renew_access_log(self, config: Config) -> None:
        """Write to the handlers that the access log has now. One that was off stays off: requests were not timed."""
        renewed = _access_log(config, self.wire, self.loop)
        if renewed is not None and self.shared.access_log is not None:
            self.shared.access_log = renewed

    def _wrap(self, config: Config, trusted: Proxies | None) -> Iterator[Wrap]:
        """The steps before a connection is created, the last one first."""
        if config.limit_connections_per_address is not None:
            yield self._admission(config.limit_connections_per_address, "connections_per_address")
        if config.proxy_protocol and trusted is not None:
            from pronghorn.listen import proxy_protocol  # only used behind such a proxy

            yield proxy_protocol.Receiver(self.loop, trusted, config.timeout_first_byte, self).wrap
        if config.limit_connections is not None:
            yield self._admission(config.limit_connections, "connections")

    def _admission(self, most: int, reason: str) -> Wrap:
        from pronghorn.listen import admission  # only where there is a limit

        limit = admission.Limit(most, reason, self.connections, self)
        self._admissions.append(limit)
        return limit.wrap

    def _metrics(self, config: Config, wire: Wire) -> Metrics | None:
        """The counters of the wire, on the page of this process; None unless a listener shows it."""
        if config.metrics_bind is None:
            return None
        from pronghorn.metrics.recorder import Recorder  # only needed here

        self.recorder = Recorder(self.page)
        return wire.make_metrics(self.page)


def _starts(state: ServerState) -> tuple[calls.Start, calls.Start]:
    """The functions that call the application for a request and for a WebSocket.

    They keep within the limits on concurrent calls. Requests for `health_path` do not reach the application.
    """
    start_request, start_websocket = calls.make_starts(state)
    if state.limit_concurrency is not None or state.limit_websockets is not None:
        from pronghorn.application import concurrency  # only where it is limited

        start_request, start_websocket = concurrency.limit(state, start_request, start_websocket)
    if state.health_path is not None:
        start_request = health.answering(state.health_path, state, start_request)
    return start_request, start_websocket


def _limits(config: Config, wire: Wire) -> Limits:
    return wire.Limits(
        head_size=config.head_size(),
        head_fields=config.limit_head_fields,
        target_size=config.limit_target_size,
        body_size=config.limit_body_size or 0,
        first_byte_timeout=_seconds(config.timeout_first_byte),
        head_timeout=_seconds(config.timeout_head),
        body_timeout=_seconds(config.timeout_body),
        write_timeout=_seconds(config.timeout_write),
        keep_alive_timeout=_seconds(config.timeout_keep_alive),
        message_size=config.ws_max_size,
        queued_messages=max(1, config.ws_max_queue),
        ping_interval=_seconds(config.ws_ping_interval),
        ping_timeout=_seconds(config.ws_ping_timeout),
        body_rate=config.limit_body_rate or 0,
        requests=config.limit_requests_per_connection or 0,
        request_timeout=_seconds(config.timeout_request),
    )


def _seconds(timeout: float | None) -> int:
    # The clock ticks once a second, so timeouts are whole seconds. None may end early.
    return 0 if not timeout else math.ceil(timeout)


def _proxies(config: Config, wire: Wire) -> Proxies | None:
    trusted = trusted_proxies.of(config)
    return wire.Proxies(trusted, config.forwarded_headers) if trusted else None


def _observer(config: Config, wire: Wire) -> Observer | None:
    if config.request_id_header is None and config.log_slow is None:
        return None
    field = (config.request_id_header or "").lower().encode()
    if config.log_slow is None:
        return wire.load_observer()(field, 0.0, None)
    from pronghorn.logging import slow_requests  # only where they are logged

    return wire.load_observer()(field, config.log_slow, slow_requests.report)


def _in_context(config: Config) -> ASGI3App:
    """The application; if lines of the log may have the IDs of requests, called in the context of its request."""
    if config.request_id_header is None and not writes_json():
        return config.loaded_app
    from pronghorn.logging import request_context

    return request_context.keep(config.loaded_app)


def _access_log(config: Config, wire: Wire, loop: asyncio.AbstractEventLoop) -> AccessLines | None:
    name = config.request_id_header or "x-request-id"
    log = AccessLog.create(logging.getLogger("pronghorn.access"), config.access_log_format, name.lower())
    if not config.access_log or not log.enabled():
        return None
    lines = wire.AccessLines if log.pieces is None else wire.FormattedLines
    return lines(log, loop.call_soon)
