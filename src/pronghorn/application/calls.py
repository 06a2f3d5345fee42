"""Call an application for a request or a WebSocket: start a task, log the errors, end what the application leaves open,
and cancel the task when the client has left.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from pronghorn.application import tasks
from pronghorn.constants import PHRASES
from pronghorn.errors import is_disconnect
from pronghorn.logging.log import say

if TYPE_CHECKING:
    from pronghorn._wire.exchange import Exchange
    from pronghorn._wire.request import Request
    from pronghorn._wire.shared import Shared
    from pronghorn._wire.websocket.session import WebSocket
    from pronghorn.backend import Wire

Start: TypeAlias = "Callable[[Exchange], None]"

End: TypeAlias = Callable[[Any, BaseException | None, object], None]


class Queue(Protocol):
    """Exchanges that wait for their turn to be answered by the application."""

    def leave(self, exchange: Exchange) -> None:
        """Forget `exchange`, whose client has left. Has no effect unless it waits."""

    def tick(self) -> None:
        """Answer those whose clients have ended their streams: they have left, or will read the answer and leave."""

    def refuse_waiting(self) -> None:
        """Refuse all that wait: the server stops."""


class Server(Protocol):
    """The part of `ServerState` that calls need."""

    app: Any
    wire: Wire
    loop: asyncio.AbstractEventLoop
    context: contextvars.Context
    """Each call starts with a copy of it."""
    eager: bool
    """True if a task begins when it is created."""
    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    limit_concurrency: int | None
    limit_queue: int | None
    limit_websockets: int | None
    queue: Queue | None
    """Set by `concurrency.limit`, if exchanges may wait."""
    cancel_on_disconnect: str
    shared: Shared

    def warn(self, message: str, *arguments: object) -> None: ...

    def count(self, cell: int, amount: int = 1) -> None: ...


def make_starts(server: Server) -> tuple[Start, Start]:
    """The functions that call the application of `server` for a request and for a WebSocket."""
    return _make_start(server, _end_request), _make_start(server, _end_websocket)


def _make_start(server: Server, end: End) -> Start:
    def create(
        call: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, context: contextvars.Context
    ) -> asyncio.Task[None]:
        task = context.run(tasks.create, call, loop)
        # Not at the end of the call: a task factory may wrap it.
        task.add_done_callback(server.tasks.discard, context=server.context)
        return task

    def isolated(exchange: Any, error: BaseException | None, result: object) -> None:
        try:
            end(exchange, error, result)
        except Exception as failure:
            exchange.crash(failure)

    create_task: Any = asyncio.Task if server.eager else create
    application = server.wire.Application(
        server.app, server.tasks, isolated, create_task, server.loop, server.context, server.eager
    )
    return application.start


def end_without_client(server: Server, exchange: Exchange) -> None:
    """Cancel a call whose client is gone, as `cancel_on_disconnect` says: at once, or if it does not end in time. One
    that waits for its turn is forgotten.
    """
    policy = server.cancel_on_disconnect
    task = exchange.task
    if task is None:
        if server.queue is not None:
            server.queue.leave(exchange)
        return
    if task.done():  # the connection has ended after its response
        return
    if policy == "streaming" and exchange.outlives_client():
        if timeout := server.shared.limits.write_timeout:
            _StreamTimeout(server, timeout, task, cast("Request", exchange))
    elif policy == "always" or (policy == "streaming" and exchange.is_stalled()):
        # A task that was just resumed will see the error from its next `send()`, which runs before this callback.
        server.loop.call_soon(_cancel_unless_send_failed, task, exchange)


def log_accepted(session: WebSocket) -> None:
    """Log that the application has accepted."""
    say(logging.INFO, '%s - "WebSocket %s" [accepted]', session.client_text, _target(session.scope))
    say(logging.INFO, "connection open")


def log_denied(session: WebSocket, status: int) -> None:
    """Log that the handshake was answered with an HTTP response."""
    say(logging.INFO, '%s - "WebSocket %s" %d', session.client_text, _target(session.scope), status)
    say(logging.INFO, "connection rejected (%d %s)", status, PHRASES.get(status, ""))


def log_closed() -> None:
    """Log the end of an accepted WebSocket."""
    say(logging.INFO, "connection closed")


class _StreamTimeout:
    """Cancels the `task` of a response that no client receives, once it has streamed for `timeout` seconds."""

    def __init__(self, server: Server, timeout: int, task: asyncio.Task[None], request: Request) -> None:
        self._loop = server.loop
        self._timeout = timeout
        self._task = task
        self._request = request
        self._streamed = True
        # Not in the current context, which may be that of another request: asyncio may keep a timer that is cancelled.
        self._timer = self._loop.call_later(timeout, self._check, context=server.context)
        task.add_done_callback(self._end)

    def _check(self) -> None:
        streams = self._request.is_streaming()
        if streams and self._streamed:
            self._task.cancel()
        elif not self._request.is_complete():
            self._streamed = streams
            self._timer = self._loop.call_later(self._timeout, self._check)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._timer.cancel()


def _end_request(request: Request, error: BaseException | None, result: object) -> None:
    """Log how the application's call ended, and end a response that it leaves incomplete."""
    has_left = request.is_lost() or request.knows_client_left()
    if error is not None:
        if not _is_excused(error, request, has_left):
            _log_exception(error)
    elif result is not None:
        _log_result(result)
    elif has_left:
        pass
    elif not request.is_started():
        say(logging.ERROR, "ASGI callable returned without starting response.")
    else:
        say(logging.ERROR, "ASGI callable returned without completing response.")
    if request.is_lost() or not request.is_complete():
        if has_left:
            request.abandon()
        else:
            request.fail(500)


def _end_websocket(session: WebSocket, error: BaseException | None, result: object) -> None:
    """Log how the application's call ended, and end a session or handshake that it leaves open."""
    failed = error is not None
    if error is not None:
        if not (session.is_over() and is_disconnect(error)):
            _log_exception(error)
    elif result is not None:
        _log_result(result)
    if not session.finish(failed):
        if not failed:
            say(logging.ERROR, "ASGI callable returned without completing handshake.")
        session.fail(500)


def _cancel_unless_send_failed(task: asyncio.Task[None], exchange: Exchange) -> None:
    if not exchange.send_has_failed():
        task.cancel()


def _is_excused(error: BaseException, request: Request, has_left: bool) -> bool:
    """Return whether an application may end with `error`: its client is gone, or the server has cancelled it."""
    if has_left:
        return is_disconnect(error, request.knows_client_left())
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _log_exception(error: BaseException) -> None:
    say(logging.ERROR, "Exception in ASGI application\n", error=error)


def _log_result(result: object) -> None:
    say(logging.ERROR, "ASGI callable should return None, but returned '%s'.", result)


def _target(scope: dict[str, Any]) -> str:
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return target.decode("ascii")
