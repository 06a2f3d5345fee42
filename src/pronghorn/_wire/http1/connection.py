"""An HTTP/1.1 connection: turns input into exchanges, and queues their output (RFC 9112 section 9).

After an upgrade it only passes input to the WebSocket session, and manages the transport.

It uses no socket and no event loop: it writes to a `Transport`, and leaves everything else to its `ConnectionOwner`
(see `_interfaces`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import CONTINUE, HTTP_1_1, NO_BODY, PIECE_SIZE
from pronghorn.errors import ProtocolError
from pronghorn.metrics import layout

from ..access_log import log_response
from ..channel import Channel
from ..encoder import own_answer
from ..kernels import cut, find_bare_cr, find_head_end, method_end, visible_end
from ..pace import Pace
from ..request import new_request
from ..websocket.handshake import is_websocket_upgrade, switch
from ..websocket.handshake import read as read_handshake
from ..websocket.session import WebSocket
from ..writer import Writer
from .body import Decoder
from .head import parse, preamble
from .response import new_encoder

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from _typeshed import MaybeNone

    from pronghorn.types import Headers

    from .._interfaces import Client, ConnectionOwner, Server, Transport
    from ..exchange import Exchange
    from ..head import Head
    from ..outbox import Outbox
    from ..proxies import Proxies
    from ..request import Request
    from ..shared import Shared
    from .response import HTTP1Encoder

# The beginning of HTTP/2's preface, which reads like the first line of a request.
PREFACE_LINE = b"PRI * HTTP/2.0\r\n"

# The part of the input that is being read.
IDLE = 0  # no byte of the next request has arrived
HEAD = 1  # the next request has begun to arrive: part of its head, or pipelined data not processed yet
BODY = 2  # the body of the current request
RESPONDING = 3  # nothing: the request is complete, its response is due; later input is kept
FRAMES = 4  # WebSocket frames
DISCARDING = 5  # nothing: the connection will close, input is dropped

# Bytes read at a time: a WebSocket message is best read whole.
MESSAGE_SIZE = 262144

# The end of the connection, in order.
OPEN = 0
FLUSHING = 1  # the queued output is to be written, then the transport closes
FLUSHING_TO_LINGER = 2  # the queued output is to be written, then the connection lingers
LINGERING = 3  # our half of the stream has ended; the client was still sending, and has a moment to stop
CLOSED = 4  # the transport is closing or gone

# The running timer, by the event that it waits for.
NO_TIMER = 0
FIRST_BYTE_TIMER = 1  # the first byte on the connection
KEEP_ALIVE_TIMER = 2  # the first byte of the next request
HEAD_TIMER = 3  # the rest of the head
BODY_TIMER = 4  # more of the body
LINGER_TIMER = 5  # more input while lingering

# Timers that answer 408 when they expire. A client that has sent nothing gets no response.
_TIMEOUTS = {
    HEAD_TIMER: "timed out waiting for the head",
    BODY_TIMER: "timed out waiting for the body",
}

_KINDS = {
    FIRST_BYTE_TIMER: layout.FIRST_BYTE,
    KEEP_ALIVE_TIMER: layout.KEEP_ALIVE,
    HEAD_TIMER: layout.HEAD,
    BODY_TIMER: layout.BODY,
}


class Connection(Channel):
    """The state of one connection. `deadline`, on which `on_tick` acts, is a second of `Shared.now`, or 0 for none.
    Forwarding fields count if the client is a trusted proxy and `may_be_proxy`.

    `reading`: IDLE <-> HEAD, HEAD -> BODY or RESPONDING, BODY -> RESPONDING, RESPONDING -> IDLE or HEAD (`_next`) or
    FRAMES (`accept`), any -> DISCARDING (`_close`, `end_input`). `_end` only moves forward, by `_close`, `_finish`,
    `_stop_lingering`, `_shut` and `_abort`; `lose` sets CLOSED from any state.
    """

    __slots__ = (
        "_advancing",
        "_buffer",
        "_continue_due",
        "_decoder",
        "_deferred",
        "_discarded",
        "_end",
        "_in_outbox",
        "_input_ended",
        "_linger_by",
        "_outbox",
        "_owner",
        "_paused",
        "_position",
        "_proxies",
        "_request_by",
        "_requests",
        "_resume_at",
        "_scope",
        "_session",
        "_skipped_crlf",
        "_stalled_last_tick",
        "_timed",
        "_timer",
        "deadline",
        "peer_text",
        "reading",
        "request",
        "writer",
    )

    writer: Writer
    _owner: ConnectionOwner | MaybeNone
    _outbox: Outbox
    _in_outbox: bool

    peer_text: str
    _scope: dict[str, Any] | MaybeNone
    _proxies: Proxies | None

    reading: int
    _buffer: bytes
    _position: int
    _resume_at: int
    _decoder: Decoder | MaybeNone

    request: Request | MaybeNone
    _session: WebSocket | MaybeNone
    _requests: int

    deadline: int
    _timer: int
    _timed: int
    _request_by: int

    _end: int
    _discarded: int
    _linger_by: int

    _advancing: bool
    _deferred: bool

    _skipped_crlf: bool
    _continue_due: bool
    _input_ended: bool
    _paused: bool
    _stalled_last_tick: bool

    def __init__(
        self,
        owner: ConnectionOwner,
        transport: Transport,
        outbox: Outbox,
        shared: Shared,
        client: Client | None,
        server: Server | None,
        fd: int = -1,
        joins: bool = False,
        tls: dict[str, Any] | None = None,
        may_be_proxy: bool = True,
    ) -> None:
        self.writer = Writer(owner, transport, shared, fd, joins)
        Channel.__init__(self, shared, self.writer.out)
        self.peer_text = "%s:%d" % client if client else ""
        self.request = None
        self.deadline = 0
        self._owner = owner
        self._outbox = outbox
        self._in_outbox = False
        self._scope = shared.connection_scope(client, server, tls)
        proxies = shared.proxies if may_be_proxy else None
        self._proxies = proxies if proxies is not None and proxies.trusts_peer(client, server) else None
        self._buffer = b""
        self._position = 0
        self._resume_at = 0
        self.reading = IDLE
        self._end = OPEN
        self._timer = NO_TIMER
        self._decoder = None
        self._session = None
        self._requests = 0
        # The number of the request that `_request_by` is the deadline of.
        self._timed = 0
        self._request_by = 0
        self._discarded = 0
        self._linger_by = 0
        self._advancing = False
        self._continue_due = False
        self._deferred = False
        self._input_ended = False
        self._paused = False
        self._reads_much = False
        self._skipped_crlf = False
        self._stalled_last_tick = False
        self._arm(FIRST_BYTE_TIMER, shared.limits.first_byte_timeout)

    # Input

    def read_size(self) -> int:
        return MESSAGE_SIZE if self.reading == FRAMES else PIECE_SIZE

    def leave_inbox(self, failed: bool) -> None:
        self._owner.leave_inbox(failed)

    def receive(self, data: bytes) -> None:
        if self._shared.metrics is not None:
            self._shared.metrics.received(len(data))
        if self.reading == FRAMES:
            self._session.feed(data)
            return
        if self.reading == DISCARDING:
            if self._end == LINGERING:
                self._continue_lingering(len(data))
            return
        if self._position < len(self._buffer):
            data = self._buffer[self._position :] + data
        self._buffer = data
        self._resume_at -= self._position
        self._position = 0
        if self.reading == IDLE:
            self.reading = HEAD
        elif self.reading == BODY:
            self._arm(BODY_TIMER, self._shared.limits.body_timeout)
        if not self._advancing:
            self._advance()
        if self.reading != BODY and len(self._buffer) - self._position > self._shared.limits.body_buffer_size:
            self.pause_reading()

    def end_input(self) -> None:
        """Process the end of the client's stream. The connection stays open for responses that are due.

        A client that closes and one that half-closes look alike: `receive()` reports a disconnect, while `send()` works
        until the client is known to be gone.
        """
        self._input_ended = True
        request = self.request
        if self._end != OPEN:
            self._stop_lingering()
            return
        if self._session is not None:
            self._session.end_input()
            self._close()
            return
        if self.reading == HEAD and (self._deferred or not self.is_writable()):
            return
        if request is None or request.is_complete():
            self._close()
            return
        self._disconnect(request)

    def lose(self) -> None:
        """Release everything: the connection is lost."""
        self._discard_input()
        self._end = CLOSED
        self._buffer = b""
        request = self.request
        if request is not None:
            if request.is_cut_short():
                self._finished(request, request.encoder.status)
            elif not request.is_complete():
                request.count_end(0, True, self._session is None)
            request.lose()
            self.request = None
        if self._session is not None:
            self._session.end_input()
            if request is None and self._owner is not None:
                self._owner.on_closed(self._session)
        self.disconnect_writers()
        self.writer.lose()
        self._owner = None

    def process_deferred(self) -> None:
        """Continue with deferred input, in the next event-loop iteration."""
        self._deferred = False
        if not self._advancing and self._end == OPEN:
            self._advance()
            self._maybe_resume_reading()

    def pause_writing(self) -> None:
        """Stop writing: the transport is above its high-water mark."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """Write again: the transport is below its low-water mark."""
        if self._end == OPEN:
            self.writer.deadline = 0
        if self.writer.resume():
            self._on_writable()

    # Output

    def queued(self, size: int) -> None:
        self._stalled_last_tick = False
        if not self._in_outbox:
            self._in_outbox = True
            self._outbox.add(self)
        self.writer.queued(size)

    def is_writable(self) -> bool:
        return self.writer.is_ready()

    def flush(self) -> None:
        """Write the queued output. A response head that waits for its body is framed without it."""
        request = self.request
        if request is not None:
            size = request.frame_head()
            if size:
                self.writer.queued(size)
        self.writer.flush()
        if self._end == FLUSHING or self._end == FLUSHING_TO_LINGER:
            self._finish()

    def leave_outbox(self) -> None:
        self._in_outbox = False
        self.flush()
        if self.writer.end_iteration():
            self._on_writable()

    def send_file(self, request: Request, message: dict[str, Any]) -> Awaitable[Any]:
        return self._owner.send_file(request, message)

    def report_slow_client(self, reason: str) -> None:
        if self._owner is not None:
            self._owner.on_slow_client(reason)

    def crash(self, error: Exception) -> None:
        if self._owner is not None:
            self._owner.on_crash(error)

    # Called by exchanges

    def need_body(self) -> None:
        # Never after a final status: the client may have left the body out by then (RFC 9110 section 10.1.1).
        if self._continue_due and not self.request.is_started():
            self._continue_due = False
            self._arm(BODY_TIMER, self._shared.limits.body_timeout)
            self.out.append(CONTINUE)
            self.queued(len(CONTINUE))
        self._maybe_resume_reading()

    def pause_reading(self) -> None:
        if not self._paused and not self._input_ended:
            self._paused = True
            self._owner.pause()
            if self.reading == BODY:
                self._disarm()

    def skip_body(self, request: Request) -> None:
        # An unread body would be parsed as the next request. A short one is read and discarded to keep the connection.
        if self._decoder is None or self._continue_due or self._decoder.remaining > self._shared.limits.discard_size:
            self._encoder(request).keep_alive = False

    def accept(self, session: WebSocket, fields: Headers) -> None:
        answer = switch(self._shared, session.handshake.key, fields)
        self.out.append(answer)
        self.queued(len(answer))
        self.request.count_end(101, False, False)
        self.request = None
        self._scope = None
        self.reading = FRAMES
        self._owner.on_accepted(session)
        early = self._buffer[self._position :]
        self._forget_read()
        if early:
            session.feed(early)
        self._maybe_resume_reading()

    def response_started(self, request: Request, status: int) -> None:
        if self._session is not None:
            self._owner.on_denied(self._session, status)
        elif not self._shared.logs_at_end:
            self._log(request, status)

    def exchange_ended(self) -> None:
        request = self.request
        if request is not None:
            self._finished(request, request.encoder.status)
        if not self._may_reuse(request):
            self._close()
        elif self.reading == RESPONDING:
            self._next()
        else:
            self._discarded = 0
            self._maybe_resume_reading()

    # Lifecycle

    def on_tick(self, now: int) -> None:
        if self.deadline and now >= self.deadline:
            self._expire()
        if self._shared.limits.body_rate and self.reading == BODY and not self._paused and not self._continue_due:
            self._check_pace()
        if self._shared.limits.request_timeout:
            self._check_request(now)
        if self.writer.is_given_up(now, self._end != CLOSED):
            self._abort()
        if self._session is not None:
            self._session.on_tick(now)
        # A paused transport does not report the end of the stream.
        if self._input_ended or (self._paused and self._owner.has_left()):
            self._notice_departure()

    def fail(self, request: Request, status: int) -> None:
        if request is not self.request or self._owner is None:
            return
        if request.is_refusable():
            self.response_started(request, status)
            self._answer(status)
            self._finished(request, status)
        else:
            self._break_off()

    def abandon(self, request: Request) -> None:
        if request is not self.request or self._end != OPEN:
            return
        if request.is_refusable():
            request.count_end(0, True, self._session is None)
            request.replace(new_encoder(self._shared, request.head.method, True, False))
            self._close()
        else:
            self._break_off()

    def drain(self) -> None:
        """Stop serving: close now if idle, otherwise after the current response."""
        if self._session is not None:
            self._session.restart()
        elif self.request is not None:
            if self.request.is_streaming():
                self.request.disconnect()
        elif self._end == OPEN and self.reading == IDLE:
            self._close()

    def exchanges(self) -> list[Exchange]:
        """The current requests and WebSockets."""
        exchange = self.request if self._session is None else self._session
        return [] if exchange is None else [exchange]

    def is_idle(self) -> bool:
        """Return whether there is no exchange. The head of the next request may have begun to arrive."""
        return self.request is None and self._session is None

    # Private

    def _advance(self) -> None:
        """Process the buffer as far as complete data and pending responses allow."""
        self._advancing = True
        served = 0
        refusal = None
        try:
            while self._position < len(self._buffer):
                if self.reading == HEAD:
                    if not self.writer.is_ready():
                        break  # the client does not read its responses
                    if served == self._shared.limits.pipelined_requests:
                        self._defer()
                        break
                    if not self._read_head():
                        break
                    served += 1
                elif self.reading == BODY:
                    if not self._read_body():
                        break
                else:
                    break
        except ProtocolError as error:
            refusal = error
        if refusal is not None:
            # Not while the error is handled: after the preface of HTTP/2, this starts applications.
            self._refuse(refusal)
            refusal = None  # the error's traceback refers to this frame
        self._advancing = False
        if self._position >= len(self._buffer) or self.reading == DISCARDING:
            self._forget_read()
        if self._input_ended and self.reading <= HEAD and not self._deferred and self.is_writable():
            self._close()

    def _forget_read(self) -> None:
        self._buffer = b""
        self._position = 0
        self._resume_at = 0

    def _read_head(self) -> bool:
        buffer = self._buffer
        limits = self._shared.limits
        start = self._position
        if buffer[start] == 13:
            # One empty line before a request is ignored (RFC 9112 section 2.2).
            if self._skipped_crlf:
                raise ProtocolError(400, "malformed method")
            if start + 2 > len(buffer):
                self._expect_request()
                return False
            if buffer[start + 1] != 10:
                raise ProtocolError(400, "bare CR before the request")
            self._skipped_crlf = True
            self._position = start = start + 2
            self._resume_at = start
            if start == len(buffer):
                self.reading = IDLE
                self._expect_request()
                return False
            if buffer[start] == 13:
                raise ProtocolError(400, "malformed method")
        end = find_head_end(buffer, start, max(start, self._resume_at))
        if end < 0 or end - start > limits.head_size:
            self._wait_for_head(end, start)
            return False
        self._skipped_crlf = False
        head = self._parse(buffer, start, end)
        self._position = end
        self._resume_at = end
        self._open(head)
        return True

    def _parse(self, buffer: bytes, start: int, end: int) -> Head:
        """Parse one head: the only step that another parser overrides."""
        return parse(buffer, start, end, self._shared.limits)

    def _wait_for_head(self, end: int, start: int) -> None:
        """Wait for the rest of a head, unless it is already invalid or too long.

        Of several errors, the one whose proof arrives first has priority, as if every byte arrived alone. The same head
        thus always gets the same response, however it is split.
        """
        buffer = self._buffer
        limits = self._shared.limits
        stop = min(len(buffer), start + limits.head_size)
        error = preamble(buffer, start, stop) if not self._requests else None
        if error is not None:
            raise error
        space = method_end(buffer, start, stop)
        if space < stop and (space == start or buffer[space] != 32):
            raise ProtocolError(400, "bare LF in a head" if buffer[space] == 10 else "malformed method")
        if visible_end(buffer, space + 1, stop) - space > limits.target_size + 1:
            raise ProtocolError(414, "request target too long")
        bare = find_bare_cr(buffer, max(start, self._resume_at - 1), stop)
        if end == -2:
            before = cut(buffer, 0, stop if bare < 0 else bare)
            if find_head_end(before, start, max(start, self._resume_at)) == -2:
                raise ProtocolError(400, "bare LF in a head")
        if bare >= 0:
            # Never valid. Parse the head as if it ended here: an earlier error in it has priority.
            self._parse(cut(buffer, start, bare + 2) + b"\r\n\r\n", 0, bare + 6 - start)
            raise ProtocolError(400, "bare CR in a head")
        if len(buffer) - start > limits.head_size:
            raise ProtocolError(431, "head too long")
        if self._resume_at <= start:
            self._arm(HEAD_TIMER, limits.head_timeout)
        self._resume_at = len(buffer)

    def _open(self, head: Head) -> None:
        """Start an exchange with `head`."""
        shared = self._shared
        shared.total_requests += 1
        self._requests += 1
        self._disarm()
        is_http11 = head.version == HTTP_1_1
        scope = self._scope if is_http11 else shared.http10_scope(self._scope)
        client_text = self.peer_text
        if self._proxies is not None:
            origin = self._proxies.origin(head.headers)
            if origin is not None:
                scope = origin.scope(head, scope)
                if origin.client is not None:
                    client_text = "%s:%d" % origin.client
        if head.upgrade is not None and shared.websockets and is_websocket_upgrade(head):
            self._open_websocket(head, scope, client_text)
            return
        encoder = new_encoder(
            shared, head.method, is_http11, head.keep_alive and self._requests < shared.limits.requests
        )
        has_body = head.framing != NO_BODY
        request = new_request(head, has_body, encoder, self, shared, scope, client_text)
        self.request = request
        if not has_body:
            self.reading = RESPONDING
        else:
            self.reading = BODY  # before Decoder() may refuse the length: the connection must linger then
            self._decoder = Decoder(head.framing, head.length, shared.limits)
            self._continue_due = head.expects_continue
            if self._position < len(self._buffer) or self._decoder.done:
                self._read_body()
            if self.reading == BODY and not self._continue_due:
                self._arm(BODY_TIMER, shared.limits.body_timeout)
        if self._input_ended:
            self._disconnect(request)
        # The field of a client that would take HTTP/2 is no mistake (RFC 9113 section 3.1).
        if head.upgrade is not None and not (shared.http2 and head.upgrade == b"h2c"):
            self._owner.on_upgrade(request)
        self._owner.on_request(request)

    def _open_websocket(self, head: Head, scope: dict[str, Any], client_text: str) -> None:
        """Start a session with the handshake in `head`. A denial ends the connection: the client may already be sending
        frames.
        """
        shared = self._shared
        encoder = new_encoder(shared, head.method, True, False)
        self.request = request = new_request(head, False, encoder, self, shared, scope, client_text)
        handshake = read_handshake(head, shared.zlib)
        self.reading = RESPONDING
        self._session = WebSocket(handshake, request, self, shared)
        self._owner.on_websocket(self._session)
        if self._input_ended:
            self._session.end_input()
            self._close()

    def _read_body(self) -> bool:
        """Decode the buffered part of the body. Return whether the body is complete."""
        decoder = self._decoder
        start = self._position
        content = decoder.feed(self._buffer, start)
        self._position = decoder.position
        self._continue_due = False
        request = self.request
        if request.is_complete():
            self._discarded += self._position - start
            if self._discarded > self._shared.limits.discard_size:
                self._close()
                return False
        elif content:
            # A waiting application takes this before more can arrive: pausing now would only close the client's TCP
            # window.
            awaited = request.is_waiting()
            request.feed(content)
            if not awaited and request.buffered > self._shared.limits.body_buffer_size and not decoder.done:
                self.pause_reading()
        if not decoder.done:
            return False
        self._decoder = None
        self.reading = RESPONDING
        self._disarm()
        request.finish_body()
        if request.is_complete():
            self._next()
        return True

    def _next(self) -> None:
        """Go to the next request: this one and its response are complete."""
        self.request = None
        if self._position < len(self._buffer):
            self.reading = HEAD
            if not self._advancing:
                self._defer()
        else:
            self.reading = IDLE
            if self._input_ended:
                self._close()
            else:
                self._expect_request()
                self._maybe_resume_reading()

    def _expect_request(self) -> None:
        """Start the keep-alive timer, unless a timer runs or the client still has responses to read."""
        if self._timer == NO_TIMER and self.writer.is_ready():
            self._arm(KEEP_ALIVE_TIMER, self._shared.limits.keep_alive_timeout)

    def _may_reuse(self, request: Request) -> bool:
        """Return whether the connection may be reused after the response to `request`. Decided only here.

        Shutdown alone is no reason to close: unless its response said "close", the client may be sending a request.
        """
        return self._session is None and self.reading != DISCARDING and self._encoder(request).keep_alive

    def _encoder(self, request: Request) -> HTTP1Encoder:
        """The encoder of `request`, with the type that this connection created it with."""
        return request.encoder  # type: ignore[return-value]

    def _finished(self, request: Request, status: int) -> None:
        """End an exchange whose response had `status`: the event for logs."""
        if self._session is None and self._shared.logs_at_end:
            self._log(request, status)
        if self._shared.times_requests:
            request.count_end(status, request.is_cut_short(), self._session is None)

    def _log(self, request: Request, status: int) -> None:
        lines = self._shared.access_log
        if lines is not None:
            log_response(lines, request, status, self._owner)

    def _refuse(self, error: ProtocolError) -> None:
        """Answer an invalid request and close: its end, and thus the next request, cannot be found."""
        if not self._requests:
            if error.status == 505 and self._shared.http2 and self._buffer.startswith(PREFACE_LINE, self._position):
                self._to_http2()
                return
            stop = min(len(self._buffer), self._position + self._shared.limits.head_size)
            error = preamble(self._buffer, self._position, stop) or error
        self._owner.on_refused(error)
        request = self.request
        if request is None:
            self._answer(error.status)
        elif request.is_refusable():
            self._owner.on_left(request)
            self._answer(error.status)
            request.count_end(error.status, False, self._session is None)
            request.outlive()
            self.request = None
        else:
            request.lose()
            self._break_off()

    def _to_http2(self) -> None:
        """Leave the transport to a connection of HTTP/2 (RFC 9113 section 3.3)."""
        owner = self._owner
        data = self._buffer[self._position :]
        self.lose()
        owner.on_preface(data)

    def _break_off(self) -> None:
        """Leave a response incomplete. Reset the connection if a normal close would mark the response as complete."""
        encoder = self._encoder(self.request)
        self.flush()
        if self._end == CLOSED:
            return
        if encoder.ends_with_connection():
            self._abort()
        else:
            self._close()

    def _answer(self, status: int) -> None:
        """Answer for the application, and close."""
        fields, text = own_answer(status)
        request = self.request
        method = "GET" if request is None else request.head.method
        encoder = new_encoder(self._shared, method, True, False)
        encoder.start(status, fields if request is None else fields + request.own_fields(fields), False)
        if request is not None:
            request.replace(encoder)
        self.queued(encoder.body(text, False, self.out))
        self._close()

    def _close(self) -> None:
        """Stop reading, and close once all queued output is written."""
        if self._end != OPEN:
            return
        # If the client is still sending, closing causes a reset that destroys the response (RFC 9112 section 9.6).
        lingers = not self._input_ended and (
            self.reading == BODY
            or self._position < len(self._buffer)
            or (self.reading == FRAMES and not self._session.client_closed)
        )
        self._end = FLUSHING_TO_LINGER if lingers else FLUSHING
        self._discard_input()
        self._maybe_resume_reading()
        self.queued(0)

    def _discard_input(self) -> None:
        self.reading = DISCARDING
        self._decoder = None
        self._disarm()

    def _finish(self) -> None:
        """Close the transport, or end our half of the stream and linger: all output is handed to the transport."""
        if self._end == FLUSHING:
            self._shut()
            return
        self._end = LINGERING
        self.writer.end()
        self.writer.expect_reading()
        self._discarded = 0
        limits = self._shared.limits
        # A client may have to finish a long upload before it reads the response; a WebSocket's client does not.
        longest = limits.linger_total_timeout if self._session is None else limits.linger_timeout
        self._linger_by = self._shared.deadline(longest)
        self._arm(LINGER_TIMER, limits.linger_timeout)
        self._owner.finish_writing()

    def _continue_lingering(self, size: int) -> None:
        """Discard `size` bytes of a refused client, which may not have read the response yet."""
        limits = self._shared.limits
        self._discarded += size
        if self._discarded > limits.linger_size:
            self._stop_lingering()
        else:
            self._arm(LINGER_TIMER, limits.linger_timeout)
            if self.deadline > self._linger_by:
                self.deadline = self._linger_by

    def _stop_lingering(self) -> None:
        """Close without waiting for more input."""
        if self._end == FLUSHING_TO_LINGER:
            self._end = FLUSHING
        elif self._end == LINGERING:
            self._shut()

    def _shut(self) -> None:
        """Close the transport, which may call back before it returns."""
        self._end = CLOSED
        self._disarm()
        self.writer.end()
        self.writer.expect_reading()
        self._owner.close()

    def _abort(self) -> None:
        """Reset the connection. The transport may call back before it returns."""
        self._end = CLOSED
        self._disarm()
        self.writer.end()
        self._owner.abort()

    def _arm(self, timer: int, seconds: int) -> None:
        """Replace the running timer by `timer`, which expires after `seconds`; 0 means never."""
        self.deadline = self._shared.deadline(seconds)
        self._timer = timer if self.deadline else NO_TIMER

    def _disarm(self) -> None:
        self.deadline = 0
        self._timer = NO_TIMER

    def _expire(self) -> None:
        """Act on the expired timer: stop lingering, answer 408, or close."""
        timer = self._timer
        if timer != LINGER_TIMER and not self._paused and not self._input_ended and self._owner.has_input():
            self.deadline = self._shared.deadline(1)  # the server is slow, not the client
            return
        self._disarm()
        if timer == LINGER_TIMER:
            self._stop_lingering()
        elif timer in _TIMEOUTS:
            self._shared.timed_out(_KINDS[timer])
            self._refuse(ProtocolError(408, _TIMEOUTS[timer]))
        elif self.reading == IDLE or self.writer.is_ready():  # otherwise a request waits until the client reads
            self._shared.timed_out(_KINDS[timer])
            self._close()

    def _check_pace(self) -> None:
        """Refuse a body that arrives too slowly while the application waits for it, or has no use for it."""
        request = self.request
        decoder = self._decoder
        if not (request.is_waiting() or request.is_complete()) or self._owner.has_input():
            return
        if decoder.pace is None:
            decoder.pace = Pace(self._shared.limits.body_rate)
        if decoder.pace.is_too_slow(decoder.size):
            self._shared.timed_out(layout.BODY_RATE)
            self._refuse(ProtocolError(408, "body below the minimum rate"))

    def _check_request(self, now: int) -> None:
        """Give a request up that takes too long. Its deadline begins with the first tick after its head."""
        if self._timed != self._requests:
            self._timed = self._requests
            self._request_by = now + self._shared.limits.request_timeout
        elif self._request_by and now >= self._request_by:
            self._request_by = 0
            request = self.request
            if request is not None and not request.is_complete():
                if not request.is_lost():
                    self._give_up(request)
            elif self._session is None and self._owner.unsent():
                self._give_up(None)

    def _give_up(self, request: Request | None) -> None:
        """Answer 503 to a request that takes too long, or cut off the response that has begun."""
        if not self.answer_late(self._owner, request, self._session):
            self._abort()
        elif self._session is None:
            self.request = None

    def _disconnect(self, request: Request) -> None:
        """Report the end of the client's stream to the application. A body that has not arrived never will."""
        if self.reading == BODY:
            self._discard_input()
        request.disconnect()

    def _notice_departure(self) -> None:
        """Report to waiting applications that the client has ended its stream, and end a response that has made no
        progress since the last tick.
        """
        request = self.request
        if self.reading == RESPONDING:
            request.disconnect()
            if self._session is not None:
                self._session.end_input()
                self._close()
        if request is not None and request.is_stalled():
            if self._stalled_last_tick:
                request.lose()
                self._owner.on_left(request)
            self._stalled_last_tick = True

    def _on_writable(self) -> None:
        self.wake_writers(None)
        if self._session is not None:
            self._session.on_writable()
        elif self.reading <= HEAD and not self._advancing:
            self._expect_request()
            self._advance()
            self._maybe_resume_reading()

    def _defer(self) -> None:
        if not self._deferred:
            self._deferred = True
            self._owner.defer()

    def _maybe_resume_reading(self) -> None:
        """Resume reading if the buffered input is within its limit."""
        if not self._paused or self._owner is None:
            return
        limit = self._shared.limits.body_buffer_size
        if self.reading == FRAMES:
            if self._session.is_held:
                return
        elif self.reading == BODY:
            if self.request.buffered > limit:
                return
            self._arm(BODY_TIMER, self._shared.limits.body_timeout)
        elif self.reading != DISCARDING and len(self._buffer) - self._position > limit:
            return
        self._paused = False
        self._owner.resume()
