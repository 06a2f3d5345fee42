"""Call an application for a request or a WebSocket: start a task, log the errors, end what the application leaves open,
and cancel the task when the client has left.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine
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

Application: TypeAlias = Callable[..., Awaitable[object]]

Run: TypeAlias = Callable[[Application, Any], Coroutine[Any, Any, None]]
"""Calls the application for one exchange, and ends the exchange. Raises nothing but what ends the event loop."""

# Untyped: has `eager_start` since CPython 3.12. `Server.eager` says whether to use it.
_Task: Any = asyncio.Task


class Server(Protocol):
    """The part of `ServerState` that calls need."""

    app: Any
    loop: asyncio.AbstractEventLoop
    context: contextvars.Context
    """The context that each call starts with a copy of."""
    eager: bool
    """Whether a task begins before `start` returns."""
    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    limit_concurrency: int | None
    cancel_on_disconnect: str
    shared: Shared

    def warn(self, message: str, *arguments: object) -> None: ...


async def run_request(app: Application, request: Request) -> None:
    """Call the application, and end a response that it leaves incomplete."""
    try:
        result = await app(request.scope, request.receive, request.send)
    except BaseException as error:
        if not _is_excused(error, request):
            _log_exception(error)
    else:
        if result is None and request.is_complete() and not request.is_lost():
            return
        if result is not None:
            _log_result(result)
        elif _has_left(request):
            pass
        elif not request.is_started():
            say(logging.ERROR, "ASGI callable returned without starting response.")
        else:
            say(logging.ERROR, "ASGI callable returned without completing response.")
    if request.is_lost() or not request.is_complete():
        try:
            if _has_left(request):
                request.abandon()
            else:
                request.fail(500)
        except Exception as error:
            request.crash(error)


async def run_websocket(app: Application, session: WebSocket) -> None:
    """Call the application, and end a session or handshake that it leaves open."""
    failed = False
    try:
        result = await app(session.scope, session.receive, session.send)
    except BaseException as error:
        failed = True
        if not (session.is_over() and is_disconnect(error)):
            _log_exception(error)
    else:
        if result is not None:
            _log_result(result)
    try:
        if not session.finish(failed):
            if not failed:
                say(logging.ERROR, "ASGI callable returned without completing handshake.")
            session.fail(500)
    except Exception as error:
        session.crash(error)


def start(server: Server, exchange: Exchange, run: Run) -> None:
    """Call the application for `exchange` in a new task, which becomes `exchange.task` unless it ends at once. With too
    many connections or tasks, answer 503 instead.
    """
    limit = server.limit_concurrency
    if limit is not None and (len(server.connections) >= limit or len(server.tasks) >= limit):
        server.warn("Exceeded concurrency limit.")
        exchange.fail(503)
        return
    call = run(server.app, exchange)
    if server.eager:
        task = _Task(call, loop=server.loop, context=server.context.copy(), eager_start=True)
        if task.done():
            return
    else:
        task = server.context.copy().run(tasks.create, call, server.loop)
    exchange.task = task
    server.tasks.add(task)
    task.add_done_callback(server.tasks.discard, context=server.context)


def end_without_client(server: Server, exchange: Exchange) -> None:
    """Cancel a call whose client is gone, as `cancel_on_disconnect` says: at once, or if it does not end in time."""
    policy = server.cancel_on_disconnect
    task = exchange.task
    if task is None:
        return
    if policy == "streaming" and exchange.outlives_client():
        if timeout := server.shared.limits.write_timeout:
            _StreamTimeout(server.loop, timeout, task, cast("Request", exchange))
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

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout: int, task: asyncio.Task[None], request: Request
    ) -> None:
        self._loop = loop
        self._timeout = timeout
        self._task = task
        self._request = request
        self._streamed = True
        self._timer = loop.call_later(timeout, self._check)
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


def _cancel_unless_send_failed(task: asyncio.Task[None], exchange: Exchange) -> None:
    if not exchange.send_has_failed():
        task.cancel()


def _is_excused(error: BaseException, request: Request) -> bool:
    """Return whether an application may end with `error`: its client is gone, or the server has cancelled it."""
    if _has_left(request):
        return is_disconnect(error, request.knows_client_left())
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _has_left(request: Request) -> bool:
    """Return whether the client is gone, or the application knows that it is."""
    return request.is_lost() or request.knows_client_left()


def _log_exception(error: BaseException) -> None:
    say(logging.ERROR, "Exception in ASGI application\n", error=error)


def _log_result(result: object) -> None:
    say(logging.ERROR, "ASGI callable should return None, but returned '%s'.", result)


def _target(scope: dict[str, Any]) -> str:
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return target.decode("ascii")
