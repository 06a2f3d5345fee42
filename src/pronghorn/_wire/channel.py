"""The interface between an exchange and the connection or stream that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.errors import ClientDisconnected
from pronghorn.metrics import layout

from .endpoint import Endpoint

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable
    from typing import Any

    from pronghorn.types import Headers

    from ._interfaces import ConnectionOwner
    from .request import Request
    from .shared import Shared
    from .websocket.session import WebSocket


class Channel(Endpoint):
    """Carries exchanges: an HTTP/1.1 connection, or a stream of a multiplexing protocol (RFC 9113, RFC 8441).

    After appending framed bytes to `out`, call `queued`.
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
        """Schedule a flush: `size` bytes were added to `out`, or a response head is to be framed (0)."""
        raise NotImplementedError

    def is_writable(self) -> bool:
        """Return whether more output may follow now; if not, await `wait_writable`."""
        raise NotImplementedError

    def wait_writable(self) -> Future[Any]:
        """A future that is done when more output may follow, or fails with `ClientDisconnected`."""
        future = self._shared.create_future()
        if self._write_waiters is None:
            self._write_waiters = []
        self._write_waiters.append(future)
        return future

    def has_write_waiters(self) -> bool:
        """Return whether a `send()` waits for the client to read."""
        return self._write_waiters is not None

    def wake_writers(self, error: Exception | None) -> None:
        """Resume every waiting `send()`, or let it fail with `error`."""
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
        """Resume every waiting `send()` because the client is gone, or let it fail unless `ignores_lost`."""
        self.wake_writers(None if self._shared.ignores_lost else ClientDisconnected("the client has left"))

    def send_file(self, request: Request, message: dict[str, Any]) -> Awaitable[Any]:
        """Return an awaitable that sends the file named in `message`, a pathsend or zerocopysend."""
        raise NotImplementedError

    # Input

    def need_body(self) -> None:
        """Read more of the body for the application."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Pause reading until the application has taken the data already received."""
        raise NotImplementedError

    def skip_body(self, request: Request) -> None:
        """Prepare for a response that ends before the request's body was read."""
        raise NotImplementedError

    # Exchange lifecycle. `fail` and `abandon` have no effect once the client is lost.

    def response_started(self, request: Request, status: int) -> None:
        """Note that the response's head is framed: no other response can replace it."""
        raise NotImplementedError

    def exchange_ended(self) -> None:
        """Note that everything that belongs to the exchange is framed."""
        raise NotImplementedError

    def accept(self, session: WebSocket, fields: Headers) -> None:
        """Accept a WebSocket handshake with `fields`; the session receives all input from now on."""
        raise NotImplementedError

    def fail(self, request: Request, status: int) -> None:
        """Answer `request` with `status` for the application, or break off a response that has begun."""
        raise NotImplementedError

    def abandon(self, request: Request) -> None:
        """End `request`, whose client has left, without a response or without the rest of it."""
        raise NotImplementedError

    def answer_late(self, owner: ConnectionOwner, request: Request | None, session: WebSocket | None) -> bool:
        """Answer 503 to `request`, the handshake of `session` if there is one, because it takes too long: for the
        application, the client has left. Return false if the response has begun: the caller then cuts it off. Without a
        `request`, only the client has not read all of the response.
        """
        self._shared.timed_out(layout.REQUEST)
        if request is None or not request.is_refusable():
            owner.on_overdue(False)
            return False
        owner.on_overdue(True)
        if session is not None:
            owner.on_left(session)
            session.end_input()
            self.fail(request, 503)
        else:
            owner.on_left(request)
            self.fail(request, 503)
            request.outlive()
        return True

    def report_slow_client(self, reason: str) -> None:
        """Report that the client was too slow; the connection is aborted next."""
        raise NotImplementedError
