"""An HTTP/1.1 connection: what was read in, exchanges and bytes to write out (RFC 9112 section 9).

One that was upgraded carries a WebSocket's frames from then on, and looks after nothing but its transport.

It knows no socket and no loop: it writes to a `Transport`, and asks its `ConnectionOwner` for everything else (see
`_interfaces`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import CONTINUE, HTTP_1_1, NO_BODY, PHRASES
from pronghorn.errors import ProtocolError

from .body import Decoder
from .channel import Channel
from .handshake import UPGRADE_REQUIRED, is_asked_for, switch
from .handshake import read as read_handshake
from .head import parse, preamble
from .request import new_request
from .response import new_encoder
from .scan import cut, find_bare_cr, find_head_end, method_end, visible_end
from .websocket import WebSocket
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from _typeshed import MaybeNone

    from pronghorn.types import Headers

    from ._interfaces import Client, ConnectionOwner, Server, Transport
    from .exchange import Exchange
    from .head import Head
    from .outbox import Outbox
    from .proxy import Proxies
    from .request import Request
    from .response import HTTP1Encoder
    from .shared import Shared

# What is being read.
IDLE = 0  # nothing has come of the next request
HEAD = 1  # some of the next request has come: part of its head, or more that waits its turn
BODY = 2  # the body of the request at hand
RESPONDING = 3  # nothing: the request is read, its response is due; what follows it is kept
FRAMES = 4  # a WebSocket's frames
DISCARDING = 5  # nothing: the connection is to be closed, what comes is dropped

# How the connection ends, in order.
OPEN = 0
FLUSHING = 1  # what is gathered is to be written, then the transport closes
FLUSHING_TO_LINGER = 2  # what is gathered is to be written, then the connection lingers
LINGERING = 3  # our half of the stream has ended; the client, which was still sending, has a moment to stop
CLOSED = 4  # the transport was told to close, or is gone

# Which deadline runs.
NO_TIMER = 0
FIRST_BYTE_TIMER = 1  # nothing has come at all
KEEP_ALIVE_TIMER = 2  # nothing has come of the next request
HEAD_TIMER = 3  # the head has begun
BODY_TIMER = 4  # the body has stopped
LINGER_TIMER = 5  # a client that lingers has stopped

# The client whose request does not arrive is told so; one that has sent nothing is not.
_TIMEOUTS = {
    HEAD_TIMER: "timed out waiting for the head",
    BODY_TIMER: "timed out waiting for the body",
}


class Connection(Channel):
    """One connection's state. `deadline` is a second of `Shared.now`, 0 for none; `on_tick` acts on it.

    Reading: IDLE <-> HEAD, HEAD -> BODY or RESPONDING, BODY -> RESPONDING, RESPONDING -> IDLE or HEAD (`_next`) or
    FRAMES (`accept`), any -> DISCARDING (`_close`, `end_input`). Its end goes one way through the states above, by
    `_close`, `_finish`, `_stop_lingering` and `_shut`; `lose` leads to CLOSED from anywhere.
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
        "_requests",
        "_resume_at",
        "_scope",
        "_session",
        "_skipped_crlf",
        "_stalled_last_tick",
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
    ) -> None:
        self.writer = Writer(owner, transport, shared, fd, joins)
        Channel.__init__(self, shared, self.writer.out)
        self.peer_text = "%s:%d" % client if client else ""
        self.request = None
        self.deadline = 0
        self._owner = owner
        self._outbox = outbox
        self._in_outbox = False
        self._scope = shared.connection_scope(client, server)
        proxies = shared.proxies
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
        self._discarded = 0
        self._linger_by = 0
        self._advancing = False
        self._continue_due = False
        self._deferred = False
        self._input_ended = False
        self._paused = False
        self._skipped_crlf = False
        self._stalled_last_tick = False
        self._arm(FIRST_BYTE_TIMER, shared.limits.first_byte)

    # Input

    def receive(self, data: bytes) -> None:
        """Bytes have come."""
        if self.reading == FRAMES:
            self._session.feed(data)
            return
        if self.reading == DISCARDING:
            if self._end == LINGERING:
                self._linger_on(len(data))
            return
        if self._position < len(self._buffer):
            data = self._buffer[self._position :] + data
        self._buffer = data
        self._resume_at -= self._position
        self._position = 0
        if self.reading == IDLE:
            self.reading = HEAD
        elif self.reading == BODY:
            self._arm(BODY_TIMER, self._shared.limits.body)
        if not self._advancing:
            self._advance()
        if self.reading != BODY and len(self._buffer) - self._position > self._shared.limits.body_buffer:
            self._pause()

    def end_input(self) -> None:
        """The client has ended its stream. The connection goes on for the answers that are due.

        A client that closes and one that only half-closes look alike: `receive()` says that it left, `send()` works
        until it is known to be gone.
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
        if self.reading == BODY:
            self._discard_input()
        request.disconnect()

    def lose(self) -> None:
        """The connection is gone."""
        self._discard_input()
        self._end = CLOSED
        self._buffer = b""
        request = self.request
        if request is not None:
            if request.is_cut_short():
                self._finished(request, request.encoder.status)
            request.lose()
            self.request = None
        if self._session is not None:
            self._session.end_input()
        self.disconnect_writers()
        self.writer.lose()
        self._owner = None

    def proceed(self) -> None:
        """Go on with what was read before: the next iteration has come."""
        self._deferred = False
        if not self._advancing and self._end == OPEN:
            self._advance()
            self._resume_if_room()

    def pause_writing(self) -> None:
        """The transport is above its high-water mark."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """The transport is below its low-water mark."""
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
        """Write what is queued; a head that waits for its body waits no longer."""
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

    def give_up(self, reason: str) -> None:
        if self._owner is not None:
            self._owner.on_cut(reason)

    def crash(self, error: Exception) -> None:
        if self._owner is not None:
            self._owner.on_crash(error)

    # What an exchange needs

    def need_body(self) -> None:
        # Not behind a final status: the client may have left the body out by then (RFC 9110 section 10.1.1).
        if self._continue_due and not self.request.is_started():
            self._continue_due = False
            self._arm(BODY_TIMER, self._shared.limits.body)
            self.out.append(CONTINUE)
            self.queued(len(CONTINUE))
        self._resume_if_room()

    def pause_reading(self) -> None:
        self._pause()

    def skip_body(self, request: Request) -> None:
        # Bytes that are never read would be taken for the next request; a few are read for its sake.
        if self._decoder is None or self._continue_due or self._decoder.remaining > self._shared.limits.discard:
            self._encoder(request).keep_alive = False

    def accept(self, session: WebSocket, fields: Headers) -> None:
        answer = switch(self._shared, session.handshake.key, fields)
        self.out.append(answer)
        self.queued(len(answer))
        self.request = None
        self._scope = None
        self.reading = FRAMES
        self._owner.on_accepted(session)
        early = self._buffer[self._position :]
        self._forget_read()
        if early:
            session.feed(early)
        self._resume_if_room()

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
            self._resume_if_room()

    # Life

    def on_tick(self, now: int) -> None:
        if self.deadline and now >= self.deadline:
            self._expire()
        if self.writer.is_overdue(now):
            self._cut_off()
        if self._session is not None:
            self._session.on_tick(now)
        # While reading is paused the end of the stream is not seen.
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
            request.replace(new_encoder(self._shared, request.head.method, True, False))
            self._close()
        else:
            self._break_off()

    def drain(self) -> None:
        """The server is stopping: an idle connection closes, any other once what is under way has its response."""
        if self._session is not None:
            self._session.restart()
        elif self.request is not None:
            if self.request.is_streaming():
                self.request.disconnect()
        elif self._end == OPEN and self.reading == IDLE:
            self._close()

    def exchanges(self) -> list[Exchange]:
        """The requests and WebSockets under way."""
        exchange = self.request if self._session is None else self._session
        return [] if exchange is None else [exchange]

    def is_idle(self) -> bool:
        """Whether no request is under way; the head of one may have begun to arrive."""
        return self.request is None and self._session is None

    # Private

    def _advance(self) -> None:
        """Read on as far as the bytes at hand and the responses due allow."""
        self._advancing = True
        served = 0
        try:
            while self._position < len(self._buffer):
                if self.reading == HEAD:
                    if not self.writer.is_ready():
                        break  # answers that nobody reads
                    if served == self._shared.limits.pipelined:
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
            self._refuse(error)
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
            # One empty line before a request is forgiven (RFC 9112 section 2.2).
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
        """The one step that another head parser takes over."""
        return parse(buffer, start, end, self._shared.limits)

    def _wait_for_head(self, end: int, start: int) -> None:
        """A head that is not whole: refuse what it cannot become, wait for the rest."""
        buffer = self._buffer
        limits = self._shared.limits
        error = preamble(buffer, start) if not self._requests else None
        if error is not None:
            raise error
        if end == -2:
            raise ProtocolError(400, "bare LF in a head")
        space = method_end(buffer, start, len(buffer))
        if space < len(buffer) and (space == start or buffer[space] != 32):
            raise ProtocolError(400, "malformed method")
        if visible_end(buffer, space + 1, len(buffer)) - space > limits.target_size + 1:
            raise ProtocolError(414, "request target too long")
        if len(buffer) - start > limits.head_size:
            raise ProtocolError(431, "head too long")
        bare = find_bare_cr(buffer, max(start, self._resume_at - 1), len(buffer))
        if bare >= 0:
            # No line can hold it: the head is refused for the reason that it would be if it ended here.
            self._parse(cut(buffer, start, bare + 2) + b"\r\n\r\n", 0, bare + 6 - start)
            raise ProtocolError(400, "bare CR in a head")
        if self._resume_at <= start:
            self._arm(HEAD_TIMER, limits.head)
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
        if head.upgrade is not None and shared.websockets and is_asked_for(head):
            self._open_websocket(head, scope, client_text)
            return
        encoder = new_encoder(shared, head.method, is_http11, head.keep_alive and shared.limits.keep_alive > 0)
        has_body = head.framing != NO_BODY
        request = new_request(head, has_body, encoder, self, shared, scope, client_text)
        self.request = request
        if not has_body:
            self.reading = RESPONDING
        else:
            self.reading = BODY  # also of one that is refused for its length
            self._decoder = Decoder(head.framing, head.length, shared.limits)
            self._continue_due = head.expects_continue
            if self._position < len(self._buffer) or self._decoder.done:
                self._read_body()
            if self.reading == BODY and not self._continue_due:
                self._arm(BODY_TIMER, shared.limits.body)
        if self._input_ended:
            request.disconnect()
        if head.upgrade is not None:
            self._owner.on_upgrade(request)
        self._owner.on_request(request)

    def _open_websocket(self, head: Head, scope: dict[str, Any], client_text: str) -> None:
        """Start a session with the handshake in `head`. A denial ends the connection: frames may be on their way."""
        shared = self._shared
        handshake = read_handshake(head, shared.zlib)
        encoder = new_encoder(shared, head.method, True, False)
        self.request = request = new_request(head, False, encoder, self, shared, scope, client_text)
        self.reading = RESPONDING
        self._session = WebSocket(handshake, request, self, shared)
        self._owner.on_websocket(self._session)
        if self._input_ended:
            self._session.end_input()
            self._close()

    def _read_body(self) -> bool:
        """Decode what is here; true when the body is complete."""
        decoder = self._decoder
        content = decoder.feed(self._buffer, self._position)
        self._position = decoder.position
        self._continue_due = False
        request = self.request
        if request.is_complete():
            self._discarded += len(content)
            if self._discarded > self._shared.limits.discard:
                self._close()
                return False
        elif content:
            # An application that waits for this takes it before more can come: to pause now would only close the
            # client's window.
            awaited = request.is_waiting()
            request.feed(content)
            if not awaited and request.buffered > self._shared.limits.body_buffer and not decoder.done:
                self._pause()
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
        """Request and response are complete: the next may come."""
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
                self._resume_if_room()

    def _expect_request(self) -> None:
        """Let the next request come in time; a client that has answers to read has more important things to do."""
        if self._timer == NO_TIMER and self.writer.is_ready():
            self._arm(KEEP_ALIVE_TIMER, self._shared.limits.keep_alive)

    def _may_reuse(self, request: Request) -> bool:
        """Whether another request may follow `request`, whose response is complete: the one place that decides it.

        A stop of the server is no reason by itself: a client whose response has not announced the end may be sending.
        """
        return self._session is None and self.reading != DISCARDING and self._encoder(request).keep_alive

    def _encoder(self, request: Request) -> HTTP1Encoder:
        """The response's framing, as the one that this connection has chosen."""
        return request.encoder  # type: ignore[return-value]

    def _finished(self, request: Request, status: int) -> None:
        """The exchange is over, and `status` was its response's: the one event for whoever logs or counts exchanges."""
        if self._session is None and self._shared.logs_at_end:
            self._log(request, status)

    def _log(self, request: Request, status: int) -> None:
        lines = self._shared.access_log
        if lines is None:
            return
        try:
            lines.log(request, status)
        except Exception as error:  # a filter of the user's, which has nothing to do with the response
            self._owner.on_log_failed(error)

    def _refuse(self, error: ProtocolError) -> None:
        """Answer a request that cannot be understood; nothing behind it can be either."""
        if not self._requests:
            error = preamble(self._buffer, self._position) or error
        self._owner.on_refused(error)
        request = self.request
        if request is not None:
            refusable = request.is_refusable()
            request.lose()
            if not refusable:
                self._break_off()
                return
        self._answer(error.status)

    def _break_off(self) -> None:
        """Leave a response without its end; where only the stream's end would mark that, by a reset."""
        encoder = self._encoder(self.request)
        self.flush()
        if self._end == CLOSED:
            return
        if encoder.ends_with_connection():
            self._abort()
        else:
            self._close()

    def _answer(self, status: int) -> None:
        """Answer in the application's stead, and close."""
        if status == 400:
            text = b"Invalid HTTP request received."
        else:
            text = PHRASES[status].encode("ascii")
        fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
        if status == 426:
            fields += UPGRADE_REQUIRED
        request = self.request
        method = "GET" if request is None else request.head.method
        encoder = new_encoder(self._shared, method, True, False)
        encoder.start(status, fields, False)
        if request is not None:
            request.replace(encoder)
        self.queued(encoder.body(text, False, self.out))
        self._close()

    def _close(self) -> None:
        """Close once everything queued is written, and read no more."""
        if self._end != OPEN:
            return
        # The client is still sending: its answer would be destroyed by a reset (RFC 9112 section 9.6).
        lingers = not self._input_ended and (
            self.reading == BODY
            or self._position < len(self._buffer)
            or (self.reading == FRAMES and not self._session.client_closed)
        )
        self._end = FLUSHING_TO_LINGER if lingers else FLUSHING
        self._discard_input()
        self._resume_if_room()
        self.queued(0)

    def _discard_input(self) -> None:
        self.reading = DISCARDING
        self._decoder = None
        self._disarm()

    def _finish(self) -> None:
        """Everything is handed to the transport: end the stream, and linger if need be."""
        if self._end == FLUSHING:
            self._shut()
            return
        self._end = LINGERING
        self.writer.end()
        self.writer.expect_reading()
        self._discarded = 0
        limits = self._shared.limits
        # Unlike an upload, a WebSocket has no long message that the client must finish first.
        self._linger_by = self._shared.deadline(limits.linger_longest if self._session is None else limits.linger)
        self._arm(LINGER_TIMER, limits.linger)
        self._owner.finish_writing()

    def _linger_on(self, size: int) -> None:
        """A refused client goes on sending: the answer may not have reached it yet."""
        limits = self._shared.limits
        self._discarded += size
        if self._discarded > limits.linger_size:
            self._stop_lingering()
        else:
            self._arm(LINGER_TIMER, limits.linger)
            if self.deadline > self._linger_by:
                self.deadline = self._linger_by

    def _stop_lingering(self) -> None:
        """Nothing more can come."""
        if self._end == FLUSHING_TO_LINGER:
            self._end = FLUSHING
        elif self._end == LINGERING:
            self._shut()

    def _shut(self) -> None:
        """Have the transport close. It may call back before it returns."""
        self._end = CLOSED
        self._disarm()
        self.writer.end()
        self.writer.expect_reading()
        self._owner.close()

    def _abort(self) -> None:
        """Have the transport reset the connection. It may call back before it returns."""
        self._end = CLOSED
        self._disarm()
        self.writer.end()
        self._owner.abort()

    def _arm(self, timer: int, seconds: int) -> None:
        """Let `timer` run for `seconds`, 0 for ever, in place of the one that runs."""
        self.deadline = self._shared.deadline(seconds)
        self._timer = timer if self.deadline else NO_TIMER

    def _disarm(self) -> None:
        self.deadline = 0
        self._timer = NO_TIMER

    def _expire(self) -> None:
        """The client was too slow."""
        timer = self._timer
        self._disarm()
        if timer == LINGER_TIMER:
            self._stop_lingering()
        elif timer in _TIMEOUTS:
            self._refuse(ProtocolError(408, _TIMEOUTS[timer]))
        elif self.reading == IDLE or self.writer.is_ready():  # else a request waits until the client reads
            self._close()

    def _cut_off(self) -> None:
        """The client has not read anything in time. One that has everything is not to blame while it may send."""
        unread = self._owner.unread()
        if not unread and self._end != CLOSED:
            self.writer.expect_reading()
            return
        self.writer.deadline = 0
        if unread:
            self.give_up("it has read nothing for %d s" % self._shared.limits.write)
        self._abort()

    def _notice_departure(self) -> None:
        """The client has ended its stream: tell applications that wait, and end a response that does not go on."""
        request = self.request
        if self.reading == RESPONDING:
            request.disconnect()
            if self._session is not None:
                self._session.end_input()
                self._close()
        if request is not None and request.is_stalled():
            if self._stalled_last_tick:
                request.lose()
                self._owner.on_stalled(request)
            self._stalled_last_tick = True

    def _on_writable(self) -> None:
        self.wake_writers(None)
        if self._session is not None:
            self._session.on_writable()
        elif self.reading <= HEAD and not self._advancing:
            self._expect_request()
            self._advance()
            self._resume_if_room()

    def _defer(self) -> None:
        if not self._deferred:
            self._deferred = True
            self._owner.defer()

    def _pause(self) -> None:
        if not self._paused and not self._input_ended:
            self._paused = True
            self._owner.pause()
            if self.reading == BODY:
                self._disarm()

    def _resume_if_room(self) -> None:
        """Read on when what is kept is within its bound."""
        if not self._paused or self._owner is None:
            return
        limit = self._shared.limits.body_buffer
        if self.reading == FRAMES:
            if self._session.is_held:
                return
        elif self.reading == BODY:
            if self.request.buffered > limit:
                return
            self._arm(BODY_TIMER, self._shared.limits.body)
        elif self.reading != DISCARDING and len(self._buffer) - self._position > limit:
            return
        self._paused = False
        self._owner.resume()
