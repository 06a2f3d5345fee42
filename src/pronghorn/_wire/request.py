"""One HTTP exchange: its ASGI scope, the messages from `receive()` and to `send()` (ASGI 3.0, HTTP 2.3 or 2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.errors import ClientDisconnected

from .exchange import Exchange, YieldOnce, as_bytes
from .kernels import monotonic

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from pronghorn.types import Headers

    from .channel import Channel
    from .encoder import Encoder
    from .head import Head
    from .shared import Shared

# The progress of the response, in order.
WAITING = 0  # the application has not started it
STARTED = 1  # its head is known and not yet framed: another response can still replace it
STREAMING = 2  # its head is framed, its body is being sent
SENDING_FILE = 3  # a file is being sent; no other data may be queued
TRAILERS = 4  # its body is complete, trailers are due
COMPLETE = 5
DROPPED = 6  # complete for the application, but cut short because the client has left

# The progress of the request's body, in order.
ARRIVING = 0
ARRIVED = 1
TAKEN = 2  # by the application

# The client's departure, in order.
PRESENT = 0
HALF_CLOSED = 1  # it sends no more: gone, or waiting for its response
LOST = 2

# The call that reported the client's departure to the application; `send()` overrides `receive()`.
UNREPORTED = 0
BY_RECEIVE = 1
BY_SEND = 2

# Parts of a body from this size on are not joined: copying costs more than another message.
LARGE_PART = 32768

# Parts that wait for the application, at most: a part of one byte takes as much memory as one of forty.
MAX_PARTS = 1024


class Request(Exchange):
    """An HTTP exchange. Uses framing only through its `Encoder`, the network only through its `Channel`.

    The response: WAITING -> STARTED by 'http.response.start', -> STREAMING by the first framed byte, <-> SENDING_FILE,
    -> TRAILERS if it has any, -> COMPLETE. `replace`: WAITING or STARTED -> COMPLETE, and back to WAITING by
    `outlive`. Once the client is lost, messages only lead to DROPPED.
    """

    __slots__ = (
        "_body",
        "_client",
        "_parts",
        "_phase",
        "_reported_by",
        "_scope_template",
        "_trailers",
        "answered",
        "began",
        "buffered",
        "encoder",
        "head",
        "is_probe",
    )

    head: Head
    encoder: Encoder
    began: float
    answered: float
    is_probe: bool
    _scope_template: dict[str, Any]

    buffered: int
    _body: int
    _parts: list[bytes] | None

    _phase: int
    _trailers: list[Any] | None

    _client: int
    _reported_by: int

    def feed(self, data: bytes) -> None:
        """Add a part of the body."""
        if self._parts is None:
            self._parts = []
        elif len(self._parts) == MAX_PARTS:
            self._parts = [b"".join(self._parts)]
        self._parts.append(data)
        self.buffered += len(data)
        self.wake()

    def finish_body(self) -> None:
        """Mark the body as complete."""
        self._body = ARRIVED
        self.wake()

    def disconnect(self) -> None:
        """Report the end of the client's stream through `receive()`, after the body received before."""
        if self._client == PRESENT:
            self._client = HALF_CLOSED
        self.wake()

    def lose(self) -> None:
        """Report through `receive()` and `send()` that the client is gone."""
        self._client = LOST
        self.wake()

    def outlive(self) -> None:
        """Lose the client, for which another response has replaced this one: the application may still send its own."""
        self._phase = WAITING
        self.forget_body()
        self.lose()

    def forget_body(self) -> None:
        """Drop a body that will never be complete."""
        if self._body == ARRIVING:
            self._body = TAKEN
            self._parts = None
            self.buffered = 0

    def is_started(self) -> bool:
        """Return whether the application has started the response."""
        return self._phase != WAITING

    def is_streaming(self) -> bool:
        """Return whether the application has started the response and not completed it."""
        return WAITING < self._phase < COMPLETE

    def is_complete(self) -> bool:
        """Return whether the response is complete."""
        return self._phase >= COMPLETE

    def awaits_answer(self) -> bool:
        return self._phase < COMPLETE and self._client == PRESENT

    def is_settled(self) -> bool:
        return self._phase >= COMPLETE and self._client != LOST

    def is_cut_short(self) -> bool:
        """Return whether a lost client was sent only a part of the response."""
        return self._phase == DROPPED or STREAMING <= self._phase < COMPLETE

    def is_lost(self) -> bool:
        """Return whether the client is gone."""
        return self._client == LOST

    def send_has_failed(self) -> bool:
        return self._reported_by == BY_SEND

    def knows_client_left(self) -> bool:
        """Return whether `receive()` or `send()` has reported to the application that the client has left."""
        return self._reported_by != UNREPORTED

    def is_stalled(self) -> bool:
        return self.is_streaming() and not self.is_waiting() and not self._channel.has_write_waiters()

    def outlives_client(self) -> bool:
        return self._shared.ignores_lost

    def is_refusable(self) -> bool:
        """Return whether another response can still replace this one: no byte of it is framed."""
        return self._phase <= STARTED

    def awaits_body(self) -> bool:
        """Return whether a part of the body is due from the client."""
        return self._body == ARRIVING and self._client == PRESENT

    def request_id(self) -> str | None:
        """The id of the request, or None if the server gives none."""
        return None

    def own_fields(self, fields: Headers) -> Headers:
        """The fields that the server adds to a response with `fields`."""
        return []

    def replace(self, encoder: Encoder) -> None:
        """Replace the response by that of `encoder`."""
        self.encoder = encoder
        self._phase = COMPLETE
        self.wake()

    def fail(self, status: int) -> None:
        self._channel.fail(self, status)

    def abandon(self) -> None:
        """End the exchange: the application returned without a complete response because the client has left."""
        self._channel.abandon(self)

    def count_end(self, status: int, is_cancelled: bool, is_http: bool) -> None:
        """Count the end of this request, once. `status` is that of its response, or 0 if it had none; it `is_cancelled`
        if the client left before the end of the response. The handshake of a WebSocket is not `is_http`.
        """
        if self.is_probe:
            return
        metrics = self._shared.metrics
        if metrics is not None:
            metrics.ended(self.head.method, status, self.began, self.answered)
            if is_cancelled:
                metrics.cancelled()
        observer = self._shared.observer
        if observer is not None and is_http:
            observer.on_end(self, status)

    def set_apart(self) -> None:
        """Count this request as a probe of the server's health, not as the application's; do not log it."""
        self.is_probe = True
        self._shared.total_requests -= 1
        if self._shared.metrics is not None:
            self._shared.metrics.probed()

    def frame_head(self) -> int:
        """Frame a head that still waits for its body; return the number of bytes added to the channel's `out`."""
        if self._phase != STARTED:
            return 0
        size = self.encoder.head(self._channel.out)
        self._to_streaming(True)
        return size

    def take(self) -> dict[str, Any] | None:
        if self._phase >= COMPLETE:
            return {"type": "http.disconnect"}
        if self._body != TAKEN:
            if self._body == ARRIVED or self._parts:
                return self._take_body()
            if self._client == PRESENT:
                self._channel.need_body()
        if self._client != PRESENT:
            if self._reported_by == UNREPORTED:
                self._reported_by = BY_RECEIVE
            return {"type": "http.disconnect"}
        return None

    def make_scope(self) -> dict[str, Any]:
        """A new scope for the application."""
        head = self.head
        shared = self._shared
        scope = self._scope_template.copy()
        scope["asgi"] = shared.asgi.copy()
        scope["extensions"] = scope["extensions"].copy()
        scope["method"] = head.method
        scope["path"] = head.path
        scope["raw_path"] = head.raw_path
        if head.query:
            scope["query_string"] = head.query
        scope["headers"] = head.headers
        scope["state"] = shared.state.copy()
        if shared.root_path and head.path != "*":
            scope["path"] = shared.root_path + head.path
            scope["raw_path"] = shared.root_path_bytes + head.raw_path
        return scope

    def _take_body(self) -> dict[str, Any]:
        parts = self._parts
        if not parts:
            body = b""
        elif len(parts[0]) < LARGE_PART and len(parts) > 1:
            body = b"".join(parts)
            self._parts = None
        else:
            body = parts.pop(0)
        self.buffered -= len(body)
        if self._body == ARRIVED and not self._parts:
            self._body = TAKEN
        elif self._client == PRESENT:
            self._channel.need_body()
        return {"type": "http.request", "body": body, "more_body": self._body != TAKEN}

    def deliver(self, message: dict[str, Any]) -> Awaitable[Any] | None:
        kind = message["type"]
        phase = self._phase
        if self._client == LOST:
            return self._deliver_to_nobody(kind, message)
        if kind == "http.response.body" and phase in (STARTED, STREAMING):
            data = message.get("body", b"")
            if type(data) is not bytes:
                data = as_bytes(data)
            return self._send_body(data, bool(message.get("more_body", False)))
        if kind == "http.response.start" and phase == WAITING:
            self.encoder.start(message["status"], message.get("headers", ()), bool(message.get("trailers", False)))
            self._phase = STARTED
            self._channel.queued(0)
            return None
        return self._deliver_other(kind, message)

    def begin_file(self, size: int) -> bool:
        """Begin a part of the body, `size` bytes of a file. Return false if they must not be sent (HEAD)."""
        start = len(self._channel.out)
        present = self.encoder.file(size, self._channel.out)
        if self._phase == STARTED:
            self._to_streaming(True)
        self._count_queued(start)
        self._phase = SENDING_FILE
        return present

    def file_sent(self, size: int) -> None:
        """Count `size` bytes of the file as sent, by other means than the connection's writer."""
        self.encoder.file_sent(size)
        if self._shared.metrics is not None:
            self._shared.metrics.sent(size)

    def end_file(self, present: bool, more: bool) -> None:
        """End the part of the body that `begin_file` began."""
        self._phase = STREAMING
        if present:
            start = len(self._channel.out)
            self.encoder.file_end(self._channel.out)
            self._count_queued(start)
        self._send_body(b"", more)

    def _count_queued(self, start: int) -> None:
        self._channel.queued(sum([len(piece) for piece in self._channel.out[start:]]))

    def _to_streaming(self, more: bool) -> None:
        """Note that the head is framed. Unless `more` follows, the response ends at the same time."""
        self._phase = STREAMING
        if more and self._shared.times_requests:
            self.answered = monotonic()
        self._channel.response_started(self, self.encoder.status)

    def _send_body(self, data: bytes, more: bool) -> Awaitable[Any] | None:
        channel = self._channel
        encoder = self.encoder
        if not more and self._body == ARRIVING:
            channel.skip_body(self)
        size = encoder.body(data, more, channel.out)
        if self._phase == STARTED:
            self._to_streaming(more)
        if more:
            channel.queued(size)
            return None if channel.is_writable() else channel.wait_writable()
        if encoder.has_trailers:
            self._phase = TRAILERS
            channel.queued(size)
        else:
            self._complete(size)
        return None

    def _deliver_to_nobody(self, kind: object, message: dict[str, Any]) -> Awaitable[None]:
        """Raise, as the client is gone, or with `ignores_lost` follow the response until the application ends it."""
        if not self._shared.ignores_lost:
            self._reported_by = BY_SEND
            raise ClientDisconnected("the client has left")
        encoder = self.encoder
        if self._phase >= COMPLETE:
            return YieldOnce()
        if kind == "http.response.start":
            self._phase = STREAMING
            encoder.has_trailers = bool(message.get("trailers", False))
        elif kind == "http.response.pathsend":
            self._phase = DROPPED
        elif kind == "http.response.trailers":
            if not message.get("more_trailers", False):
                self._phase = DROPPED
        elif kind in ("http.response.body", "http.response.zerocopysend"):
            if message.get("more_body", False):
                self._phase = STREAMING
            else:
                self._phase = TRAILERS if encoder.has_trailers else DROPPED
        return YieldOnce()

    def _complete(self, size: int) -> None:
        self._phase = COMPLETE
        self._parts = None
        self.buffered = 0
        self.wake()
        self._channel.queued(size)
        self._channel.exchange_ended()

    def _deliver_other(self, kind: object, message: dict[str, Any]) -> Awaitable[Any] | None:
        """Process a message of an extension, or refuse one that is out of order."""
        phase = self._phase
        channel = self._channel
        if kind == "http.response.trailers" and phase == TRAILERS:
            self._trailers = (self._trailers or []) + list(message.get("headers", ()))
            if not message.get("more_trailers", False):
                self._complete(self.encoder.trailers(self._trailers, channel.out))
        elif kind == "http.response.early_hint" and phase < COMPLETE:
            channel.queued(self.encoder.early_hints(message.get("links", ()), channel.out))
        elif kind in ("http.response.pathsend", "http.response.zerocopysend") and phase in (STARTED, STREAMING):
            if kind not in self._shared.extensions:
                raise RuntimeError(f"{kind!r} is not offered without --sendfile")
            return channel.send_file(self, message)
        else:
            raise RuntimeError(f"{kind!r} is not expected {_PHASES[phase]}")
        return None


def new_request(
    head: Head,
    has_body: bool,
    encoder: Encoder,
    channel: Channel,
    shared: Shared,
    scope_template: dict[str, Any],
    client_text: str,
) -> Request:
    """The exchange that `head` begins. Its scope is a copy of the connection's or stream's `scope_template`."""
    observer = shared.observer
    # A call of the class costs more.
    request = Request.__new__(Request) if observer is None else observer.new_request(head)
    request.begin(shared, channel, client_text)
    request._body = ARRIVING if has_body else ARRIVED
    request._client = PRESENT
    request._parts = None
    request._phase = WAITING
    request._reported_by = UNREPORTED
    request.is_probe = False
    request._scope_template = scope_template
    request._trailers = None
    # The times when the head was read, and when that of the response was framed, if somebody needs them.
    request.answered = 0.0
    request.began = 0.0
    if shared.times_requests:
        request.began = monotonic()
        if shared.metrics is not None:
            shared.metrics.began()
    request.buffered = 0
    request.encoder = encoder
    request.head = head
    request.scope = request.make_scope()
    return request


_PHASES = (
    "before 'http.response.start'",
    "after 'http.response.start'",
    "after 'http.response.start'",
    "while a file is being sent",
    "while 'http.response.trailers' is due",
    "after the response is complete",
    "after the response is complete",
)
