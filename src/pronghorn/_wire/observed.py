"""Requests with an id and with a record of where their time goes, for servers whose options ask for either."""

from __future__ import annotations

import re
from os import urandom
from typing import TYPE_CHECKING

from .encoder import has_field
from .exchange import Exchange
from .kernels import monotonic
from .request import Request

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable
    from typing import Any

    from pronghorn.types import Headers

    from .head import Head

# A client's id is taken over if it can be a word of any log line: printable, without spaces and quotes.
_SANE = re.compile(rb"[!#-&(-~]{1,128}")

# An id is this many hexadecimal digits, and is cut from random bytes for this many ids.
DIGITS = 32
IDS_AT_ONCE = 64


class Observer:
    """Makes the requests of one worker, and judges their durations.

    `field` is the lower-case name of the header field with the request's id; empty for requests without ids. A request
    that took `slow` seconds or more is passed to `report`, unless that is None, as `report(request, status)`. The
    status is 0 if the client left before it was sent a response. `report` raises nothing.
    """

    __slots__ = ("_field", "_ids", "_position", "_report", "_slow")

    _field: bytes
    _ids: str
    _position: int
    _report: Callable[[Any, int], object] | None
    _slow: float

    def __init__(self, field: bytes, slow: float, report: Callable[[Any, int], object] | None) -> None:
        self._field = field
        self._slow = slow
        self._report = report
        self._ids = ""
        self._position = 0

    def new_request(self, head: Head) -> ObservedRequest:
        """A request with its id, for `new_request` to complete."""
        request = ObservedRequest.__new__(ObservedRequest)
        request._field = self._field
        request._id = (self._given_id(head.headers) or self._made_id()) if self._field else None
        request._called = 0.0
        request._waits = 0
        request._waits_since = 0.0
        request._waited = 0.0
        request._awaits_body = False
        return request

    def on_end(self, request: Request, status: int) -> None:
        """Note the end of a request."""
        if self._report is not None and monotonic() - request.began >= self._slow:
            self._report(request, status)

    def _given_id(self, fields: Headers) -> str | None:
        """The id from the request's own field. Several fields, or one that could deceive a reader, do not count."""
        values = [value for name, value in fields if name == self._field]
        if len(values) != 1 or _SANE.fullmatch(values[0]) is None:
            return None
        return values[0].decode("ascii")

    def _made_id(self) -> str:
        if self._position == len(self._ids):
            self._ids = urandom(IDS_AT_ONCE * DIGITS // 2).hex()
            self._position = 0
        self._position += DIGITS
        return self._ids[self._position - DIGITS : self._position]


class ObservedRequest(Request):
    """A request with an id, which is in its scope and in its response, and with the times of its waits."""

    __slots__ = ("_awaits_body", "_called", "_field", "_id", "_waited", "_waits", "_waits_since")

    _field: bytes
    _id: str | None
    _called: float
    _waits: int
    _waits_since: float
    _waited: float
    _awaits_body: bool

    def request_id(self) -> str | None:
        return self._id

    def own_fields(self, fields: Headers) -> Headers:
        if self._id is None or has_field(fields, self._field):
            return []
        return [(self._field, self._id.encode("ascii"))]

    def times(self) -> tuple[float, float, float, float]:
        """Seconds since the head was read: all of them, and the parts that were spent in the queue, before the
        application was called, in waiting for the client, and in the application.
        """
        now = monotonic()
        total = now - self.began
        queue = (self._called or now) - self.began
        client = self._waited + (now - self._waits_since if self._waits else 0.0)
        return total, queue, client, total - queue - client

    def make_scope(self) -> dict[str, Any]:
        scope = Request.make_scope(self)
        if self._id is not None:
            scope["state"]["request_id"] = self._id
        return scope

    def call(self, app: Callable[..., Any]) -> Any:
        self._called = monotonic()
        return app(self.scope, self.receive, self.send)

    def arrival(self) -> Future[Any]:
        future = Exchange.arrival(self)
        # Not while it waits for the client to leave, as frameworks do beside a response.
        if self.awaits_body() and not self._awaits_body:
            self._awaits_body = True
            self.begin_wait()
            future.add_done_callback(self._stop_awaiting_body)  # also if the application gives up
        return future

    def deliver(self, message: dict[str, Any]) -> Awaitable[Any] | None:
        if self._id is not None and message["type"] == "http.response.start" and not self.is_started():
            fields = list(message.get("headers", ()))
            message = {**message, "headers": fields + self.own_fields(fields)}
        awaited = Request.deliver(self, message)
        return awaited if awaited is None or self.is_lost() else ClientWait(self, awaited)

    def begin_wait(self) -> None:
        """Note that the application waits for the client. Waits may overlap: they count once."""
        if self._waits == 0:
            self._waits_since = monotonic()
        self._waits += 1

    def end_wait(self) -> None:
        """Note that the application can go on."""
        self._waits -= 1
        if self._waits == 0:
            self._waited += monotonic() - self._waits_since

    def _stop_awaiting_body(self, future: object = None) -> None:
        self._awaits_body = False
        self.end_wait()


class ClientWait:
    """Awaits what a `send()` of `request` must wait for, and counts the time."""

    __slots__ = ("_request", "_waiting")

    _request: ObservedRequest | None
    _waiting: Any

    def __init__(self, request: ObservedRequest, awaited: Awaitable[Any]) -> None:
        self._request = request
        self._waiting = awaited.__await__()
        request.begin_wait()

    def __await__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._waiting)
        except BaseException:
            self._end()
            raise

    def throw(self, error: BaseException) -> Any:
        try:
            return self._waiting.throw(error)
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        self._end()
        self._waiting.close()

    def _end(self) -> None:
        request = self._request
        if request is not None:
            self._request = None
            request.end_wait()
