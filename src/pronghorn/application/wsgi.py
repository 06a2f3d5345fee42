"""WSGI applications (PEP 3333) as ASGI 3, through a2wsgi.

a2wsgi's threads wait for its tasks, and forever if a task has failed. So sending never fails here: what is sent to a
disconnected client is discarded, and the application's thread learns of it between two parts of the response.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, cast

from pronghorn.errors import ClientDisconnected, StartupError, is_disconnect
from pronghorn.types import Message, Receive, Scope, Send

# Concurrent calls of the application, as in a2wsgi.
_THREADS = 10

_log = logging.getLogger("pronghorn.error")


class WSGIAdapter:
    """Adapts a WSGI application to ASGI 3."""

    def __init__(self, app: Any) -> None:
        try:
            from a2wsgi import WSGIMiddleware
        except ImportError:
            raise StartupError("A WSGI application needs a2wsgi: pip install 'pronghorn[wsgi]'.") from None
        self._bridge = cast("Any", WSGIMiddleware(functools.partial(_call, app)))
        self._bridge.executor = DaemonThreads(_THREADS, "WSGI")
        self._answering: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._bridge(scope, receive, send)
            return
        client = _Client(receive, send)
        _current.set(client)
        answering = asyncio.create_task(self._bridge(scope, client.receive, client.send))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
        try:
            await asyncio.shield(answering)  # it receives what the thread sends until the thread ends
        except asyncio.CancelledError:
            client.leave(ClientDisconnected("the request was cancelled"))
            answering.add_done_callback(_report)
            raise
        if client.failure is not None:
            raise client.failure


class DaemonThreads(Executor):
    """At most `size` threads. Unlike those of a ThreadPoolExecutor, they do not delay the end of the process.

    `submit` must only be called by one thread.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._started = 0
        self._idle = threading.Semaphore(0)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        weakref.finalize(self, self._calls.put, None)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put(functools.partial(_complete, future, functools.partial(function, *args, **kwargs)))
        if not self._idle.acquire(blocking=False) and self._started < self._size:
            name = f"{self._name}_{self._started}"
            self._started += 1
            threading.Thread(target=_work, args=(self._calls, self._idle), name=name, daemon=True).start()
        return future


class _Client:
    """The client of one request. `failure` is the reason why it can no longer be reached."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.failure: Exception | None = None
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            # a2wsgi would take it for the end of the body.
            raise ClientDisconnected("the client has left before its request was complete")
        return message

    async def send(self, message: Message) -> None:
        if self.failure is None:
            try:
                await self._send(message)
            except Exception as failure:
                self.leave(failure)

    def leave(self, failure: Exception) -> None:
        self.failure = self.failure or failure

    def check(self) -> None:
        """Raise ClientDisconnected if the client can no longer be reached. Called by the application's thread."""
        if self.failure is not None:
            raise ClientDisconnected("the client has left") from self.failure


_current: contextvars.ContextVar[_Client] = contextvars.ContextVar("client")


def _call(app: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    client = _current.get()
    client.check()

    def start(*arguments: Any, **keywords: Any) -> Callable[[bytes], None]:
        write = start_response(*arguments, **keywords)

        def write_unless_gone(data: bytes) -> None:
            client.check()
            write(data)

        return write_unless_gone

    return _parts(app(environ, start), client)


def _parts(response: Iterable[bytes], client: _Client) -> Iterator[bytes]:
    """Yield the parts of `response` until its client disconnects, then close it, in the thread that created it."""
    try:
        for part in response:
            yield part
            if client.failure is not None:
                return
    finally:
        close = getattr(response, "close", None)
        if close is not None:
            close()


def _report(answering: asyncio.Task[None]) -> None:
    """Log an exception that the application raised after its request was cancelled."""
    if answering.cancelled():
        return
    error = answering.exception()
    if error is not None and not is_disconnect(error):
        _log.error("Exception in WSGI application\n", exc_info=error)


def _work(calls: SimpleQueue[Callable[[], None] | None], idle: threading.Semaphore) -> None:
    while (call := calls.get()) is not None:
        call()
        del call  # and release its objects before waiting for the next
        idle.release()
    calls.put(None)  # for the next thread


def _complete(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
