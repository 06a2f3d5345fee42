"""A stream of HTTP/2: an exchange, its two windows, and the content that waits for them (RFC 9113 sections 5 and 6.9).

Field blocks need no window: they go to the connection at once. Content is kept here until the windows admit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import LENGTH, NO_BODY
from pronghorn.errors import ProtocolError, StreamError
from pronghorn.hpack_tables import STATUS_FIELDS
from pronghorn.http2_constants import (
    CANCEL,
    DATA,
    DEFAULT_WINDOW,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    INTERNAL_ERROR,
    PROTOCOL_ERROR,
    WINDOW_UPDATE,
)
from pronghorn.metrics import layout

from ..access_log import log_response
from ..channel import Channel
from ..endpoint import Endpoint
from .kernels import encode_literals, frame_header, word_frame

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from _typeshed import MaybeNone

    from pronghorn.types import Headers

    from .._interfaces import ConnectionOwner
    from ..exchange import Exchange
    from ..head import Head
    from ..pace import Pace
    from ..request import Request
    from ..shared import Shared
    from ..websocket.session import WebSocket
    from ..writer import Writer

# The states of RFC 9113 section 5.1. An idle stream has no object.
OPEN = 0
HALF_CLOSED_REMOTE = 1  # the client has ended its side
HALF_CLOSED_LOCAL = 2  # we have ended ours
CLOSED = 3

# The end of the content, which follows the part that is queued.
UNENDED = 0
ENDS = 1
ENDS_WITH_TRAILERS = 2

# The application waits while more content than this is queued: on its stream; on all streams of the connection, from
# where on each stream may queue only one message.
MOST_QUEUED = 65536
MOST_QUEUED_TOGETHER = 1048576

# The receive window of a stream doubles up to this size, half of the connection's, while the application keeps up: a
# long path needs more than the initial window.
MOST_WINDOW = 524288

# The payload of a frame is joined with its header up to this size. Above it, copying costs more than another buffer.
JOINED = 4096


class Multiplexer(Endpoint):
    """Carries streams: they queue frames here, and are told when their content may follow.

    `send_window` is the number of bytes of content that the client takes from all streams together, `frame_size` the
    greatest payload of a frame that it accepts, `queued_content` the number of bytes that all streams have queued.
    `steps` counts the requests, and the heads and frames of content sent, since the client's last frame without a
    purpose.
    """

    __slots__ = ("frame_size", "owner", "queued_content", "send_window", "steps", "writer")

    owner: ConnectionOwner | MaybeNone
    writer: Writer
    send_window: int
    frame_size: int
    queued_content: int
    steps: int

    def put(self, frames: bytes) -> None:
        """Queue whole frames. They leave in the order in which they are put."""
        raise NotImplementedError

    def put_content(self, header: bytes, content: Any, size: int) -> None:
        """Queue a DATA frame: its `header`, and `content`, which is `size` bytes or a view of them."""
        raise NotImplementedError

    def put_head(self, number: int, status: bytes, defaults: bytes, block: bytes, data: bytes, ends: bool) -> None:
        """Queue the field block of stream `number`, in three parts, and a first part of its content, which fits into a
        frame and the windows. `ends` ends the stream.
        """
        raise NotImplementedError

    def put_reset(self, number: int, code: int) -> None:
        """Queue RST_STREAM, and ignore later frames of stream `number`, which may be on their way."""
        raise NotImplementedError

    def can_send_at_once(self) -> bool:
        """Return whether content may be put now: the client reads, and no other stream has queued any."""
        raise NotImplementedError

    def expect_head(self, stream: Stream) -> None:
        """Call the stream's `frame_head` at the end of the iteration, unless its content comes before."""
        raise NotImplementedError

    def join_turns(self, stream: Stream) -> None:
        """Let the stream frame its queued content, in turns with the others."""
        raise NotImplementedError

    def return_credit(self, size: int) -> None:
        """Let the client send `size` more bytes of content: the application has taken them, or nobody will."""
        raise NotImplementedError

    def on_ended(self, stream: Stream) -> None:
        """Note that our side of the stream has ended before the client's."""
        raise NotImplementedError

    def on_closed(self, stream: Stream, was_reset: bool) -> None:
        """Forget the stream, of which both sides have ended, or which was reset."""
        raise NotImplementedError

    def answer(self, stream: Stream, status: int) -> None:
        """Answer on the stream for the application."""
        raise NotImplementedError

    def keep_counting(self, exchange: Exchange) -> None:
        """Count the call of `exchange` for as long as it runs, although its stream was answered for it, or reset."""
        raise NotImplementedError

    def spend_reset(self) -> None:
        """Count a stream that the client has made us reset."""
        raise NotImplementedError


class Stream(Channel):
    """One stream. `out` is content that is not framed yet; `in_turn` is true while the connection lets it frame some.

    `state`: OPEN -> HALF_CLOSED_REMOTE by `finish_input`, -> HALF_CLOSED_LOCAL by `_end`; HALF_CLOSED_REMOTE -> CLOSED
    by `_end`, HALF_CLOSED_LOCAL -> CLOSED by `finish_input`; any -> CLOSED by `reset`, `lose_client` and `lose`.
    """

    __slots__ = (
        "_body_by",
        "_connection",
        "_continue_due",
        "_declared",
        "_early",
        "_ending",
        "_has_head",
        "_is_patient",
        "_offset",
        "_owed",
        "_queued",
        "_received",
        "_stalled_last_tick",
        "_trailers",
        "_unreturned",
        "_window_size",
        "_write_by",
        "in_turn",
        "number",
        "receive_window",
        "request",
        "send_window",
        "session",
        "state",
    )

    number: int
    state: int
    request: Request | MaybeNone
    session: WebSocket | MaybeNone
    _connection: Multiplexer

    receive_window: int
    _window_size: int
    _unreturned: int
    _owed: int
    _declared: int
    _received: int
    _early: bytes
    _body_by: int
    _is_patient: bool
    _continue_due: bool

    send_window: int
    in_turn: bool
    _has_head: bool
    _queued: int
    _offset: int
    _ending: int
    _trailers: bytes | MaybeNone
    _write_by: int
    _stalled_last_tick: bool

    # Input, called by the connection

    def is_closed(self) -> bool:
        return self.state == CLOSED

    def may_receive(self) -> bool:
        """Return whether the client may still send content, even if nobody reads it."""
        return self.state == OPEN or self.state == HALF_CLOSED_LOCAL

    def reserve(self, size: int) -> None:
        """Take `size` bytes, which the client is sending, out of the window."""
        if size > self.receive_window:
            raise StreamError(FLOW_CONTROL_ERROR, "more content than the window of its stream")
        self.receive_window -= size

    def feed(self, data: bytes) -> None:
        """Add a part of the content. Raises StreamError, or ProtocolError for a body that is too large."""
        size = len(data)
        request = self.request
        self._received += size
        if self._declared >= 0 and self._received > self._declared:
            self._connection.return_credit(size)
            raise StreamError(PROTOCOL_ERROR, "body longer than its Content-Length")
        session = self.session
        limit = self._shared.limits.body_size
        if session is not None:
            self._unreturned += size
            if request is not None:
                self._early += data  # before the application has accepted
                return
            session.feed(data)
            if not session.is_held:
                self._take_credit(0)
        elif request is None:
            self._connection.return_credit(size)
        elif limit and self._received > limit:
            self._connection.return_credit(size)
            raise ProtocolError(413, "body too long")
        else:
            self._unreturned += size
            self._body_by = 0
            self._continue_due = False
            request.feed(data)

    def discard_padding(self, size: int) -> None:
        """Return the credit for padding."""
        self._owed += size
        self._connection.return_credit(size)
        self._grant(False)

    def finish_input(self) -> None:
        """End the client's side of the stream. Raises StreamError for a body shorter than declared."""
        if self._declared > self._received:
            raise StreamError(PROTOCOL_ERROR, "body shorter than its Content-Length")
        self._body_by = 0
        if self.state == HALF_CLOSED_LOCAL:
            self._close(False)
            return
        self.state = HALF_CLOSED_REMOTE
        if self.session is not None:
            self._end_session()
        elif self.request is not None:
            self.request.finish_body()

    def lose_client(self) -> None:
        """End the stream, which either side has reset."""
        exchange = self.exchange()
        if exchange is not None and self._connection.owner is not None:
            self._connection.owner.on_left(exchange)
        self._close(True)
        self.lose()

    def disconnect(self) -> None:
        """Report the end of the connection's input to the application."""
        if self.session is not None:
            self._end_session()
        elif self.request is not None:
            self.request.disconnect()

    def drain(self) -> None:
        """Ask the application to end what could go on for ever: the server stops."""
        if self.session is not None:
            self.session.restart()
        elif self.request is not None and self.request.is_streaming() and not self._is_patient:
            self.request.disconnect()

    def lose(self) -> None:
        """Release everything: the stream was reset, or the connection is lost."""
        self.state = CLOSED
        request = self.request
        session = self.session
        self.request = None
        self.session = None
        if request is not None:
            if request.is_cut_short():
                self._finished(request, request.encoder.status, session is None)
            elif not request.is_complete():
                request.count_end(0, True, session is None)
            request.forget_body()
            request.lose()
        if session is not None:
            session.end_input()
            if request is None and self._connection.owner is not None:
                self._connection.owner.on_closed(session)
        self.disconnect_writers()
        self._forget_content()

    def refuse(self, error: ProtocolError) -> None:
        """Answer with the status of `error`, or reset the stream if the response has begun."""
        self._connection.owner.on_refused(error)
        request = self.request
        if request is not None and request.is_refusable():
            self._connection.owner.on_left(request)
            self._connection.answer(self, error.status)
            request.outlive()
            self._connection.keep_counting(request)
        else:
            self.reset(CANCEL)

    def is_unanswered(self) -> bool:
        """Return whether a part of the response is due, to a request or a handshake whose client is there."""
        if self.state == HALF_CLOSED_LOCAL or self.state == CLOSED:
            return False
        request = self.request
        return self.session is None if request is None else not request.is_lost()

    def give_up(self) -> None:
        """Answer 503 to a request that takes too long, or reset the stream if the response has begun."""
        exchange = self.exchange()
        if not self.answer_late(self._connection.owner, self.request, self.session):
            self.reset(CANCEL)
        elif exchange is not None:
            self._connection.keep_counting(exchange)

    # Output, called by the encoder and the connection

    def room(self) -> int:
        """The number of bytes of content that `send_head` may take."""
        connection = self._connection
        if self._queued or not connection.can_send_at_once():
            return 0
        return max(0, min(connection.frame_size, self.send_window, connection.send_window))

    def send_head(self, status: bytes, defaults: bytes, block: bytes, data: bytes, ends: bool) -> None:
        """Frame the head of the response, and a part of its content that there is `room` for."""
        self._has_head = True
        self.send_window -= len(data)
        self._connection.send_window -= len(data)
        self._connection.steps += 1
        self._connection.put_head(self.number, status, defaults, block, data, ends)
        if ends:
            self._end()

    def send_interim(self, status: bytes, block: bytes) -> None:
        """Frame the head of an interim response (RFC 9110 section 15.2)."""
        self._connection.put_head(self.number, status, b"", block, b"", False)

    def end_content(self) -> None:
        """End our side of the stream after the queued content."""
        if self.state == CLOSED or self.state == HALF_CLOSED_LOCAL:
            return
        if self._queued:
            self._ending = ENDS
        else:
            self._connection.put(frame_header(0, DATA, END_STREAM, self.number))
            self._end()

    def send_trailers(self, block: bytes) -> None:
        """End our side of the stream with a trailer section, after the queued content."""
        self._trailers = block
        if self._queued:
            self._ending = ENDS_WITH_TRAILERS
        else:
            self._send_trailers()

    def frame_head(self) -> None:
        """Frame a head that still waits for its content."""
        if self.request is not None and self.state != CLOSED:
            self.request.frame_head()

    def frame_content(self, most: int) -> bool:
        """Frame up to `most` bytes of content. Return whether more may follow in this stream's next turn."""
        connection = self._connection
        size = min(self._queued, most, connection.frame_size, self.send_window, connection.send_window)
        if size <= 0:
            return self.can_frame_content()
        data = self._take_content(size)
        self._queued -= size
        self.send_window -= size
        connection.send_window -= size
        connection.queued_content -= size
        connection.steps += 1
        is_last = not self._queued
        ends = is_last and self._ending == ENDS
        header = frame_header(size, DATA, END_STREAM if ends else 0, self.number)
        if size <= JOINED:
            connection.put(b"".join((header, data)))
        else:
            connection.put_content(header, data, size)
        self._stalled_last_tick = False
        self._write_by = 0 if is_last else self._shared.deadline(self._shared.limits.write_timeout)
        # A waiting application continues when half of what it may queue is framed.
        if self._has_queued_at_most(MOST_QUEUED // 2):
            if self._write_waiters is not None:
                self.wake_writers(None)
            if self.session is not None:
                self.session.on_writable()
        if ends:
            self._end()
        elif is_last and self._ending == ENDS_WITH_TRAILERS:
            self._send_trailers()
        return self.can_frame_content()

    def can_frame_content(self) -> bool:
        """Return whether content is queued that the stream's window admits."""
        return self._queued > 0 and self.send_window > 0

    def awaits_credit(self) -> bool:
        """Return whether content is queued that cannot be sent before the client opens a window."""
        return self._queued > 0 and (self.send_window <= 0 or self._connection.send_window <= 0)

    def reset(self, code: int) -> None:
        """Break the stream off with the error `code`."""
        if self.state != CLOSED:
            self._connection.put_reset(self.number, code)
            self.lose_client()

    # Channel

    def queued(self, size: int) -> None:
        self._stalled_last_tick = False
        if self.state == CLOSED:
            self.out.clear()
        elif size:
            if not self._queued:
                self._write_by = self._shared.deadline(self._shared.limits.write_timeout)
            self._queued += size
            self._connection.queued_content += size
            self._connection.join_turns(self)
        elif not self._has_head:
            self._connection.expect_head(self)

    def is_writable(self) -> bool:
        return self._has_queued_at_most(MOST_QUEUED)

    def send_file(self, request: Request, message: dict[str, Any]) -> Awaitable[Any]:
        return self._connection.owner.send_file(request, message)

    def need_body(self) -> None:
        request = self.request
        if request is None:
            self._take_credit(0)
            return
        if self._continue_due and not request.is_started():
            self._continue_due = False
            self.send_interim(STATUS_FIELDS[100], b"")
        self._take_credit(request.buffered)
        if self.state == OPEN and not request.buffered and not self._is_patient:
            self._body_by = self._shared.deadline(self._shared.limits.body_timeout)

    def pause_reading(self) -> None:
        pass  # the client runs out of credit

    def skip_body(self, request: Request) -> None:
        self._continue_due = False

    def response_started(self, request: Request, status: int) -> None:
        if self.session is not None:
            self._connection.owner.on_denied(self.session, status)
        elif not self._shared.logs_at_end:
            self._log(request, status)

    def exchange_ended(self) -> None:
        request = self.request
        session = self.session
        self.request = None
        self.session = None
        self._body_by = 0
        if request is not None:
            self._finished(request, request.encoder.status, session is None)
        elif session is not None:
            self.end_content()
            self._connection.owner.on_closed(session)
        self._take_credit(0)

    def accept(self, session: WebSocket, fields: Headers) -> None:
        shared = self._shared
        names = [name.lower() for name, _ in fields]
        defaults = shared.http2_block_beside(b"date" in names, b"server" in names)
        self.request.count_end(200, False, False)
        self.request = None
        self._continue_due = False
        self.send_head(STATUS_FIELDS[200], defaults, encode_literals(fields), b"", False)
        self._connection.owner.on_accepted(session)
        early = self._early
        if early:
            self._early = b""
            session.feed(early)
        if not session.is_held:
            self._take_credit(0)

    def fail(self, request: Request, status: int) -> None:
        if request is not self.request or self._connection.owner is None:
            return
        if request.is_refusable():
            self.response_started(request, status)
            self._connection.answer(self, status)
        else:
            self.reset(INTERNAL_ERROR)

    def abandon(self, request: Request) -> None:
        if request is self.request:
            self.reset(CANCEL)

    def report_slow_client(self, reason: str) -> None:
        if self._connection.owner is not None:
            self._connection.owner.on_slow_client(reason)

    def crash(self, error: Exception) -> None:
        self._connection.crash(error)

    # Lifecycle

    def exchange(self) -> Exchange | None:
        """The exchange in progress."""
        return self.request if self.session is None else self.session

    def on_tick(self, now: int) -> None:
        """Act on deadlines that have passed."""
        if self._body_by and now >= self._body_by:
            self._body_by = 0
            self._shared.timed_out(layout.BODY)
            self.refuse(ProtocolError(408, "timed out waiting for the body"))
        elif self._write_by and now >= self._write_by and self.send_window > 0:
            # Not this stream's window stops it, but the other streams or the connection.
            self._write_by = self._shared.deadline(self._shared.limits.write_timeout)
        elif self._write_by and now >= self._write_by:
            self._write_by = 0
            self._shared.timed_out(layout.WRITE)
            self.report_slow_client("it has read nothing of a stream for %d s" % self._shared.limits.write_timeout)
            self.reset(CANCEL)
        elif self.session is not None:
            self.session.on_tick(now)

    def is_too_slow(self, pace: Pace) -> bool:
        """Return whether the body, for which the application may wait, arrives below the minimum rate: `pace`."""
        request = self.request
        is_awaited = self.state == OPEN and self.session is None and request is not None
        if not is_awaited or self._is_patient or request.buffered or not request.is_waiting():
            return False
        return pace.is_too_slow(self._received)

    def notice_departure(self) -> None:
        """Report to the application that the client has ended the connection's input, and end a response that has made
        no progress since the last tick.
        """
        self.disconnect()
        request = self.request
        if request is not None and request.is_stalled():
            if self._stalled_last_tick:
                request.lose()
                self._connection.owner.on_left(request)
            self._stalled_last_tick = True

    # Private

    def _end_session(self) -> None:
        """End the WebSocket, whose client sends no more."""
        if self.request is not None:
            self._connection.spend_reset()
            self.reset(CANCEL)  # the application has not accepted
            return
        self.session.end_input()
        if self.session is not None:
            self.exchange_ended()

    def _take_credit(self, buffered: int) -> None:
        """Return the credit for the content received, except for `buffered` bytes that nobody has taken."""
        taken = self._unreturned - buffered
        if taken <= 0:
            return
        self._unreturned = buffered
        self._connection.return_credit(taken)
        self._owed += taken
        self._grant(not buffered)

    def _grant(self, grows: bool) -> None:
        """Let the client send what is owed, once that is half of the window, which then grows."""
        if self.state != OPEN or (self.request is None and self.session is None):
            return
        if self._owed * 2 < self._window_size:
            return
        if grows and self._window_size < MOST_WINDOW:
            growth = min(self._window_size, MOST_WINDOW - self._window_size)
            self._window_size += growth
            self._owed += growth
        increment = self._owed
        self._owed = 0
        self.receive_window += increment
        self._connection.put(word_frame(WINDOW_UPDATE, self.number, increment))

    def _take_content(self, size: int) -> Any:
        """Remove `size` bytes from the queued content. A part of one message is a view of it, not a copy."""
        out = self.out
        offset = self._offset
        first = out[0]
        left = len(first) - offset
        if left > size:
            self._offset = offset + size
            return memoryview(first)[offset : offset + size]
        self._offset = 0
        content = memoryview(first)[offset:] if offset else first
        if left == size:
            del out[0]
            return content
        count = 1
        pieces = [content]
        missing = size - left
        while missing:
            piece = out[count]
            if len(piece) > missing:
                self._offset = missing
                pieces.append(memoryview(piece)[:missing])
                break
            pieces.append(piece)
            missing -= len(piece)
            count += 1
        del out[:count]
        return b"".join(pieces)

    def _has_queued_at_most(self, most: int) -> bool:
        """Return whether no more than `most` bytes are queued here, or none if all streams have queued too much."""
        if self._connection.queued_content > MOST_QUEUED_TOGETHER:
            return self._queued == 0
        return self._queued <= most

    def _send_trailers(self) -> None:
        self._connection.put_head(self.number, b"", b"", self._trailers, b"", True)
        self._trailers = None
        self._end()

    def _end(self) -> None:
        """Note that our side of the stream has ended: END_STREAM is framed."""
        self._ending = UNENDED
        self._write_by = 0
        if self.state == OPEN:
            self.state = HALF_CLOSED_LOCAL
            self._connection.on_ended(self)
        elif self.state == HALF_CLOSED_REMOTE:
            self._close(False)

    def _close(self, was_reset: bool) -> None:
        self.state = CLOSED
        self._take_credit(0)
        self._connection.on_closed(self, was_reset)

    def _forget_content(self) -> None:
        self._connection.queued_content -= self._queued
        self._queued = 0
        self._offset = 0
        self._ending = UNENDED
        self._write_by = 0
        self._body_by = 0
        self.out.clear()

    def _finished(self, request: Request, status: int, is_http: bool) -> None:
        """End an exchange, not of a WebSocket if it `is_http`, whose response had `status`: the event for logs."""
        if is_http and self._shared.logs_at_end:
            self._log(request, status)
        if self._shared.times_requests:
            request.count_end(status, request.is_cut_short(), is_http)

    def _log(self, request: Request, status: int) -> None:
        lines = self._shared.access_log
        if lines is not None:
            log_response(lines, request, status, self._connection.owner)


def new_stream(connection: Multiplexer, shared: Shared, number: int, send_window: int, head: Head) -> Stream:
    """The stream that `head` opens. Its client takes `send_window` bytes."""
    stream = Stream.__new__(Stream)  # a call of the class costs more
    stream.out = []
    stream._shared = shared
    stream._write_waiters = None
    stream._connection = connection
    stream.number = number
    stream.state = HALF_CLOSED_REMOTE if head.framing == NO_BODY else OPEN
    stream.request = None
    stream.session = None
    stream.receive_window = DEFAULT_WINDOW
    stream._window_size = DEFAULT_WINDOW
    # Bytes of content that wait for the application; those that it has taken, but for which the client has no credit.
    stream._unreturned = 0
    stream._owed = 0
    stream._declared = head.length if head.framing == LENGTH else -1
    stream._received = 0
    stream._early = b""
    stream._body_by = 0
    # A client that accepts trailers may stream in both directions, for ever. Its calls of gRPC fail if they are ended.
    stream._is_patient = head.accepts_trailers
    stream._continue_due = head.expects_continue
    stream.send_window = send_window
    stream.in_turn = False
    stream._has_head = False
    stream._queued = 0
    stream._offset = 0
    stream._ending = UNENDED
    stream._trailers = None
    stream._write_by = 0
    stream._stalled_last_tick = False
    return stream
