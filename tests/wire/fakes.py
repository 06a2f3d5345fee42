"""An event loop and a connection's owner without sockets, time or asyncio.

The loop runs callbacks when a test asks it to. An application is started as soon as its request arrives, as by the
server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any

CLIENT = ("127.0.0.1", 50000)
SERVER = ("127.0.0.1", 8000)

App = Callable[[dict[str, Any], Callable[..., Any], Callable[..., Any]], Awaitable[None]]


class FakeFuture:
    """The part of a future that `_wire` needs."""

    def __init__(self, loop: FakeLoop) -> None:
        self._loop = loop
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None
        self.callbacks: list[Callable[[], None]] = []

    _asyncio_future_blocking = False

    def done(self) -> bool:
        return self._done

    def set_result(self, result: Any) -> None:
        self._end(result, None)

    def set_exception(self, error: BaseException) -> None:
        self._end(None, error)

    def __await__(self) -> Generator[Any, None, Any]:
        while not self._done:
            yield self
        if self._error is not None:
            raise self._error
        return self._result

    def _end(self, result: Any, error: BaseException | None) -> None:
        assert not self._done
        self._done = True
        self._result = result
        self._error = error
        for callback in self.callbacks:
            self._loop.call_soon(callback)


class FakeLoop:
    """Runs callbacks in order: `turn` those that are due, `run` all until none is left."""

    def __init__(self) -> None:
        self._ready: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., Any], *arguments: Any) -> None:
        self._ready.append((callback, arguments))

    def create_future(self) -> FakeFuture:
        return FakeFuture(self)

    def turn(self) -> None:
        for _ in range(len(self._ready)):
            callback, arguments = self._ready.popleft()
            callback(*arguments)

    def run(self) -> None:
        for _ in range(10000):
            if not self._ready:
                return
            self.turn()
        raise AssertionError("the loop does not come to rest")


class FakeTask:
    """Drives an application. `error` is the exception it raised."""

    def __init__(self, loop: FakeLoop, coroutine: Any, ended: Callable[[FakeTask], None]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._ended = ended
        self.done = False
        self.error: BaseException | None = None
        self.step()

    def step(self) -> None:
        try:
            future = self._coroutine.send(None)
        except StopIteration:
            pass
        except Exception as error:
            self.error = error
        else:
            if future is None or future.done():
                self._loop.call_soon(self.step)
            else:
                future.callbacks.append(self.step)
            return
        self.done = True
        self._ended(self)


class FakeOwner:
    """A `ConnectionOwner` and its `Transport`. Records everything a connection asks for.

    `requests` are those that came, `refused` the errors, `writes` one item a call, `calls` the names of the other
    methods in order. `unsent_bytes` and `client_has_left` are the answers to its questions. `tasks` are the
    applications', `files` the arguments of `send_file`.
    """

    connection: Any
    shared: Any
    outbox: Any

    def __init__(self, loop: FakeLoop, app: App | None) -> None:
        self.loop = loop
        self.app = app
        self.requests: list[Any] = []
        self.tasks: list[FakeTask] = []
        self.refused: list[Any] = []
        self.writes: list[bytes] = []
        self.calls: list[str] = []
        self.files: list[tuple[Any, dict[str, Any]]] = []
        self.paused = False
        self.finished = False
        self.closed = False
        self.aborted = False
        self.unsent_bytes = 0
        self.client_has_left = False

    @property
    def written(self) -> bytes:
        """All bytes written."""
        return b"".join(self.writes)

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        ended = self.closed or self.aborted or self.finished
        assert not ended, "written after the end"
        self.writes.append(bytes(data))

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))

    def on_request(self, request: Any) -> None:
        self.requests.append(request)
        if self.app is not None:
            running = self.app(request.scope, request.receive, request.send)
            self.tasks.append(FakeTask(self.loop, running, lambda task: self._make_good(request)))

    def on_upgrade(self, request: Any) -> None:
        pass

    def on_websocket(self, session: Any) -> None:
        self.calls.append("on_websocket")

    def on_accepted(self, session: Any) -> None:
        self.calls.append("on_accepted")

    def on_denied(self, session: Any, status: int) -> None:
        self.calls.append("on_denied")

    def on_refused(self, error: Any) -> None:
        self.refused.append(error)

    def pause(self) -> None:
        assert not self.paused
        self.paused = True
        self.calls.append("pause")

    def resume(self) -> None:
        assert self.paused
        self.paused = False
        self.calls.append("resume")

    def defer(self) -> None:
        self.calls.append("defer")
        self.loop.call_soon(self.connection.process_deferred)

    def finish_writing(self) -> None:
        self.finished = True
        self.calls.append("finish_writing")

    def close(self) -> None:
        self.closed = True
        self.calls.append("close")

    def abort(self) -> None:
        self.aborted = True
        self.calls.append("abort")

    def unsent(self) -> int:
        return self.unsent_bytes

    def unread(self) -> int:
        return self.unsent_bytes

    def delivered(self, handed: int) -> int:
        return handed - self.unsent_bytes

    def on_slow_client(self, reason: str) -> None:
        self.calls.append("on_slow_client")

    def on_log_failed(self, error: Exception) -> None:
        raise error

    def on_crash(self, error: Exception) -> None:
        raise error

    def has_left(self) -> bool:
        return self.client_has_left

    def on_stalled(self, request: Any) -> None:
        self.calls.append("on_stalled")

    def send_file(self, request: Any, message: dict[str, Any]) -> FakeFuture:
        self.files.append((request, message))
        return self.loop.create_future()

    def _make_good(self, request: Any) -> None:
        if not request.is_complete():
            request.fail(500)


def make_connection(
    wire: Any,
    limits: Any = None,
    app: App | None = None,
    connection_class: Any = None,
    client: Any = CLIENT,
    server: Any = SERVER,
    **shared_options: Any,
) -> tuple[Any, FakeOwner]:
    """A connection of the form `wire` and its owner.

    `limits` are a `Limits`, or a dict of its arguments. Without `app` requests are only recorded. Responses carry no
    `date` and no `server` unless `shared_options`, which go to `Shared`, say so. `owner.shared`, `owner.outbox` and
    `owner.loop` are what the connection was given.
    """
    loop = FakeLoop()
    owner = FakeOwner(loop, app)
    if limits is None or isinstance(limits, dict):
        limits = wire.shared.Limits(**(limits or {}))
    shared_options.setdefault("date", False)
    shared_options.setdefault("server", b"")
    owner.shared = wire.shared.Shared(limits, loop.create_future, **shared_options)
    owner.outbox = wire.outbox.Outbox(loop.call_soon)
    owner.connection = (connection_class or wire.connection.Connection)(
        owner, owner, owner.outbox, owner.shared, client, server
    )
    return owner.connection, owner


async def read_body(receive: Callable[[], Awaitable[dict[str, Any]]]) -> bytes:
    """The whole body as an application reads it, or the part received before the client left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        part: bytes = message["body"]
        body += part
        if not message["more_body"]:
            return body


def three_ways(data: bytes, tail: bytes) -> dict[str, list[bytes]]:
    """The same bytes as a parser may get them: whole, byte by byte, or followed by `tail`."""
    return {
        "whole": [data],
        "byte by byte": [data[index : index + 1] for index in range(len(data))],
        "with a tail": [data + tail],
    }
