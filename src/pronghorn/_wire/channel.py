"""The interface between an exchange and the connection, or the stream of one, that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.errors import ClientDisconnected

from .endpoint import Endpoint

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable
    from typing import Any

    from pronghorn.types import Headers

    from .request import Request
    from .shared import Shared
    from .websocket import WebSocket


class Channel(Endpoint):
    """Carries exchanges: an HTTP/1.1 connection, or a stream of a protocol that multiplexes (RFC 9113, RFC 8441).

    `out` takes framed bytes, each time followed by `queued`.
    """

    __slots__ = ("_shared", "_write_waiters", "out")

    out: list[bytes]
    _shared: Shared
    _write_waiters: list[Future[Any]] | None

    def __init__(self, shared: Shared, out: list[bytes]) -> None:
        self.out = out
        self._shared = shared
        # Futures of `send()` calls that wait for the client to read.
        self._write_waiters = None

    # Output

    def queued(self, size: int) -> None:
        """`size` bytes were added to `out`; 0 where a response head waits to be framed."""
        raise NotImplementedError

    def is_writable(self) -> bool:
        """Whether more output is welcome; if not, `wait_writable`."""
        raise NotImplementedError

    def wait_writable(self) -> Future[Any]:
        """A future that is done when more output is welcome; raises `ClientDisconnected` if the client leaves."""
        future = self._shared.create_future()
        if self._write_waiters is None:
            self._write_waiters = []
        self._write_waiters.append(future)
        return future

    def has_write_waiters(self) -> bool:
        """Whether a `send()` waits for the client to read."""
        return self._write_waiters is not None

    def wake_writers(self, error: Exception | None) -> None:
        """Let every `send()` that waits for the client go on, or fail with `error`."""
        waiters = self._write_waiters
        if waiters is not None:
            self._write_waiters = None
            for future in waiters:
                if not future.done():
                    if error is None:
                        future.set_result(None)
                    else:
                        future.set_exception(error)

    def disconnect_writers(self) -> None:
        """The client is gone: let every `send()` that waits for it go on, or fail if the application is to hear it."""
        self.wake_writers(None if self._shared.ignores_lost else ClientDisconnected("the client has left"))

    def send_file(self, request: Request, message: dict[str, Any]) -> Awaitable[Any]:
        """A coroutine that sends the file which a pathsend or zerocopysend message names."""
        raise NotImplementedError

    # Input

    def need_body(self) -> None:
        """The application asks for more of the body."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Read no more until the application has taken what it has."""
        raise NotImplementedError

    def skip_body(self, request: Request) -> None:
        """The response is about to end although part of the request's body was not read."""
        raise NotImplementedError

    # The course of an exchange. `fail` and `abandon` have no effect once the client is lost.

    def response_started(self, request: Request, status: int) -> None:
        """The response's head is framed: no other response can take its place."""
        raise NotImplementedError

    def exchange_ended(self) -> None:
        """Everything that belongs to the exchange is framed."""
        raise NotImplementedError

    def accept(self, session: WebSocket, fields: Headers) -> None:
        """Accept a WebSocket's handshake with `fields`; the session gets what comes from now on."""
        raise NotImplementedError

    def fail(self, request: Request, status: int) -> None:
        """Answer `request` with `status` in the application's place, or break off a response that has begun."""
        raise NotImplementedError

    def abandon(self, request: Request) -> None:
        """End `request` without a response, or without the rest of one: its client has left."""
        raise NotImplementedError

    def give_up(self, reason: str) -> None:
        """Report that the client was too slow, before it is cut off."""
        raise NotImplementedError
