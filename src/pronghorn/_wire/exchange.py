"""What an application talks to: the awaitables that `receive()` and `send()` return, and what they ask for."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from pronghorn.coroutines import mark_coroutine_function

from .scan import stop_with

if TYPE_CHECKING:
    from asyncio import Future, Task
    from collections.abc import Awaitable, Generator
    from typing import Any, NoReturn

    from pronghorn.types import Message

    from .channel import Channel
    from .shared import Shared

# What a step has in place of a message when it is to bring one.
RECEIVE = object()


class Step:
    """`receive()` or `send(message)` under way: nothing happens before it is first driven, as with any coroutine.

    It can be awaited, made a task, or handed to another thread's `run_coroutine_threadsafe`. Cancelling it loses no
    message: one is taken only when it is returned.
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
            return self._go_on()
        self._exchange = None
        if self._message is RECEIVE:
            message = exchange.take()
            if message is not None:
                stop_with(message)
                raise StopIteration
            self._exchange = exchange
            arrival = exchange.arrival()
            # What the iterator of a future does, without the iterator and the exception that ends it.
            arrival._asyncio_future_blocking = True
            return arrival
        message = self._message
        awaited = exchange.deliver(message if type(message) is dict else dict(message))
        if awaited is None:
            raise StopIteration
        self._waiting = awaited.__await__()
        self._exchange = exchange
        return self._go_on()

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

    def close(self) -> None:
        waiting = self._waiting
        self._exchange = None
        self._waiting = None
        if waiting is not None:
            waiting.close()

    def _go_on(self) -> Any:
        """Wait for what a message has met: a full transport, a file."""
        try:
            return next(self._waiting)
        except BaseException:
            self._exchange = None
            raise


Coroutine.register(Step)


class Turn:
    """Awaited, lets the loop run once."""

    __slots__ = ("_over",)

    _over: bool

    def __init__(self) -> None:
        self._over = False

    def __await__(self) -> Any:
        return self

    def __next__(self) -> None:
        if self._over:
            raise StopIteration
        self._over = True

    def throw(self, error: BaseException) -> NoReturn:
        raise error

    def close(self) -> None:
        pass


def _step(exchange: Exchange, message: Any) -> Step:
    # Made without a call of the class, which would cost as much as the rest of a `send` that finishes at once.
    step = Step.__new__(Step)
    step._exchange = exchange
    step._message = message
    step._waiting = None
    return step


class Exchange:
    """One call of an application, with messages both ways. Knows the network only through its channel.

    `task` is the application's, None where it has returned at once. `client_text` names the client in the log.
    """

    __slots__ = ("_arrival", "_channel", "_others", "_shared", "client_text", "task")

    client_text: str
    task: Task[None] | None
    _shared: Shared
    _channel: Channel
    _arrival: Future[Any] | None
    _others: list[Future[Any]] | None

    def begin(self, shared: Shared, channel: Channel, client_text: str) -> None:
        """Initialise what all exchanges have. Not `super().__init__`, which Cython would call through Python."""
        self._shared = shared
        self._channel = channel
        self.client_text = client_text
        self.task = None
        # The future of a pending `receive()`; there are hardly ever others.
        self._arrival = None
        self._others = None

    def receive(self) -> Step:
        """The application's `receive`."""
        return _step(self, RECEIVE)

    def send(self, message: Message) -> Step:
        """The application's `send`."""
        return _step(self, message)

    def take(self) -> dict[str, Any] | None:
        """The next message for the application, or None if there is none yet."""
        raise NotImplementedError

    def deliver(self, message: dict[str, Any]) -> Awaitable[Any] | None:
        """Act on one message from the application; return what must be awaited before it is done, or None.

        Raises `RuntimeError`, `ValueError` or `TypeError` for a message that is out of order or wrong,
        `ClientDisconnected` when the client is gone.
        """
        raise NotImplementedError

    def fail(self, status: int) -> None:
        """The application has failed: answer with `status` in its place, or break off what it has begun."""
        raise NotImplementedError

    def crash(self, error: Exception) -> None:
        """Something else has raised `error`: report it, and end this exchange's connection alone. Raises nothing."""
        self._channel.crash(error)

    def is_stalled(self) -> bool:
        """Whether a response is under way and its application is neither in `receive()` nor in `send()`."""
        return False

    def is_told(self) -> bool:
        """Whether a `send()` has said that the client is gone."""
        return False

    def outlives_client(self) -> bool:
        """Whether the application may go on sending although the client is gone."""
        return False

    def is_waiting(self) -> bool:
        """Whether the application is in `receive()`."""
        return self._arrival is not None and not (self._arrival.done() and self._others is None)

    def wake(self) -> None:
        """Let every pending `receive()` look again."""
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
        """A future that is done when `take` may have something."""
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
    """Content of another buffer type, copied: the application may change it once `send()` returns."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"content is bytes, not {type(data).__name__}")
