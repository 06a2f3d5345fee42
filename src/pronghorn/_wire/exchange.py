"""The application's interface: the awaitables that `receive()` and `send()` return, and the exchange behind them."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from pronghorn.coroutines import mark_coroutine_function

from .kernels import stop_with

if TYPE_CHECKING:
    from asyncio import Future, Task
    from collections.abc import Awaitable, Callable, Generator
    from typing import Any, NoReturn

    from pronghorn.types import Message

    from .channel import Channel
    from .shared import Shared

# Replaces the message in a step that receives.
RECEIVE = object()


class Step:
    """A call of `receive()` or `send(message)`. Like any coroutine, it does nothing until it is first driven.

    It can be awaited, wrapped in a task, or passed to `run_coroutine_threadsafe` from another thread. Cancellation
    loses no message: a message is taken only when it is returned.
    """

    __slots__ = ("_exchange", "_message", "_waiting")

    _exchange: Exchange | None
    _message: Any
    _waiting: Any

    def __await__(self) -> Generator[Any, None, Any]:
        return self

    def __iter__(self) -> Step:
        return self

    def __next__(self) -> Any:
        exchange = self._exchange
        if exchange is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        if self._waiting is not None:
            return self._resume()
        self._exchange = None
        if self._message is RECEIVE:
            message = exchange.take()
            if message is not None:
                stop_with(message)
                raise StopIteration
            self._exchange = exchange
            arrival = exchange.arrival()
            # As `Future.__await__` does, but without an iterator and the exception that ends it.
            arrival._asyncio_future_blocking = True
            return arrival
        message = self._message
        awaited = exchange.deliver(message if type(message) is dict else dict(message))
        if awaited is None:
            raise StopIteration
        self._waiting = awaited.__await__()
        self._exchange = exchange
        return self._resume()

    def send(self, value: Any) -> Any:
        return self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        error = kind if value is None else value
        try:
            if self._waiting is None:
                raise error
            return self._waiting.throw(error)
        except BaseException:
            self._exchange = None
            raise
        finally:
            del error, kind, value, traceback  # the error's traceback refers to this frame

    def close(self) -> None:
        waiting = self._waiting
        self._exchange = None
        self._waiting = None
        if waiting is not None:
            waiting.close()

    def __getattr__(self, name: str) -> str:
        # Programs that list their tasks read the names of the coroutines.
        if name in ("__name__", "__qualname__"):
            return "receive" if self._message is RECEIVE else "send"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _resume(self) -> Any:
        """Continue the wait of a `send()`, for a full transport or a file."""
        try:
            return next(self._waiting)
        except BaseException:
            self._exchange = None
            raise


Coroutine.register(Step)


class YieldOnce:
    """An awaitable that yields to the event loop once."""

    __slots__ = ("_has_yielded",)

    _has_yielded: bool

    def __init__(self) -> None:
        self._has_yielded = False

    def __await__(self) -> Any:
        return self

    def __next__(self) -> None:
        if self._has_yielded:
            raise StopIteration
        self._has_yielded = True

    def throw(self, error: BaseException) -> NoReturn:
        raise error

    def close(self) -> None:
        pass


def _step(exchange: Exchange, message: Any) -> Step:
    # Not `Step()`: that call costs as much as the rest of a `send` that finishes at once.
    step = Step.__new__(Step)
    step._exchange = exchange
    step._message = message
    step._waiting = None
    return step


class Exchange:
    """One call of an application, with messages in both directions. Uses the network only through its channel.

    `scope` is the application's. `task` runs it, or is None if it returned at once. `client_text` is the client in log
    lines.
    """

    __slots__ = ("_arrival", "_channel", "_others", "_shared", "client_text", "scope", "task")

    client_text: str
    scope: dict[str, Any]
    task: Task[None] | None
    _shared: Shared
    _channel: Channel
    _arrival: Future[Any] | None
    _others: list[Future[Any]] | None

    def begin(self, shared: Shared, channel: Channel, client_text: str) -> None:
        """Initialise the fields of this class. Not `super().__init__`, which Cython would call through Python."""
        self._shared = shared
        self._channel = channel
        self.client_text = client_text
        self.task = None
        # The future of a pending `receive()`; more than one is rare.
        self._arrival = None
        self._others = None

    def call(self, app: Callable[..., Any]) -> Any:
        """Call an ASGI 3 application; return its awaitable."""
        return app(self.scope, self.receive, self.send)

    def receive(self) -> Step:
        """The application's `receive`."""
        return _step(self, RECEIVE)

    def send(self, message: Message) -> Step:
        """The application's `send`."""
        return _step(self, message)

    def take(self) -> dict[str, Any] | None:
        """Return the next message for the application, or None if it must wait."""
        raise NotImplementedError

    def deliver(self, message: dict[str, Any]) -> Awaitable[Any] | None:
        """Process one message from the application. Return an awaitable that completes it, or None if it is complete.

        Raises `RuntimeError`, `ValueError` or `TypeError` for a message that is out of order or wrong, and
        `ClientDisconnected` if the client is gone.
        """
        raise NotImplementedError

    def fail(self, status: int) -> None:
        """Answer with `status` for an application that has failed, or break off the response that it has begun."""
        raise NotImplementedError

    def crash(self, error: Exception) -> None:
        """Report any other error, and end this exchange's connection alone. Raises nothing."""
        self._channel.crash(error)

    def awaits_answer(self) -> bool:
        """Return whether nothing has answered, and the client has not ended its stream."""
        raise NotImplementedError

    def is_settled(self) -> bool:
        """Return whether nothing is left to do when the application returns None."""
        return False

    def is_stalled(self) -> bool:
        """Return whether a response has begun and its application is neither in `receive()` nor in `send()`."""
        return False

    def send_has_failed(self) -> bool:
        """Return whether a `send()` has raised an error because the client is gone."""
        return False

    def outlives_client(self) -> bool:
        """Return whether the application may continue to send although the client is gone."""
        return False

    def is_waiting(self) -> bool:
        """Return whether the application is in `receive()`."""
        return self._arrival is not None and not (self._arrival.done() and self._others is None)

    def wake(self) -> None:
        """Let every pending `receive()` check for a message."""
        arrival = self._arrival
        if arrival is not None:
            self._arrival = None
            if not arrival.done():
                arrival.set_result(None)
            if self._others is not None:
                others = self._others
                self._others = None
                for arrival in others:
                    if not arrival.done():
                        arrival.set_result(None)

    def arrival(self) -> Future[Any]:
        """A future that is done when `take` may return a message."""
        future = self._shared.create_future()
        if self._arrival is None or self._arrival.done():
            self._arrival = future
        else:
            self._others = [other for other in self._others or () if not other.done()]
            self._others.append(future)
        return future


mark_coroutine_function(Exchange.receive)
mark_coroutine_function(Exchange.send)


def as_bytes(data: object) -> bytes:
    """Copy content to `bytes`: the application may change a buffer of another type once `send()` returns."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"content is bytes, not {type(data).__name__}")
