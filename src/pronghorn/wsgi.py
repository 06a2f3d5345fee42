"""WSGI applications (PEP 3333) as ASGI 3, through a2wsgi.

Its threads wait for its tasks, for ever where one of those has failed. So none does here: a client that has left takes
everything, and it is the application's thread that hears of it, between two parts of its response.
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

# Calls of the application at once, as a2wsgi has it.
_THREADS = 10

_log = logging.getLogger("pronghorn.error")


class WSGIAdapter:
    """A WSGI application as an ASGI 3 one."""

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
            await asyncio.shield(answering)  # which takes what the thread sends until that has ended
        except asyncio.CancelledError:
            client.leave(ClientDisconnected("the request was cancelled"))
            answering.add_done_callback(_report)
            raise
        if client.failure is not None:
            raise client.failure


class DaemonThreads(Executor):
    """At most `size` threads. They do not hold the end of the process, as those of a ThreadPoolExecutor do.

    `submit` is called by one thread.
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
    """Whom one request is from. `failure` is why nothing reaches it any more."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.failure: Exception | None = None
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            # The bridge would take it for the end of the body.
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
        """Called by the application's thread: there is no point in a response that goes nowhere."""
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
    """The parts of `response` until its client leaves; closed then too, in the thread that has made it."""
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
    """Log what an application has raised whose request was cancelled before."""
    if answering.cancelled():
        return
    error = answering.exception()
    if error is not None and not is_disconnect(error):
        _log.error("Exception in WSGI application\n", exc_info=error)


def _work(calls: SimpleQueue[Callable[[], None] | None], idle: threading.Semaphore) -> None:
    while (call := calls.get()) is not None:
        call()
        del call  # and what it holds, while the next is waited for
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
