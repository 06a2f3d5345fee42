"""An HTTP/2 connection: its reading half, which turns frames into streams, and keeps its client within limits (RFC 9113
sections 3 to 6).

Like that of HTTP/1.1, it uses no socket and no event loop, but a `Transport` and a `ConnectionOwner`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import HTTP_2, LENGTH, NO_BODY, UNTIL_END
from pronghorn.errors import HTTP2Error, ProtocolError, StreamError
from pronghorn.http2_constants import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    GREATEST_FRAME_SIZE,
    GREATEST_WINDOW,
    HAS_PRIORITY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LEAST_FRAME_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    NO_ERROR,
    NO_RFC7540_PRIORITIES,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    WINDOW_UPDATE,
)
from pronghorn.metrics import layout

from ..encoder import own_answer
from ..head import new_head
from ..kernels import cut
from ..pace import Pace
from ..request import new_request
from ..websocket.handshake import read_extended
from ..websocket.session import WebSocket
from .budget import Budget
from .fields import check_trailers, read_head
from .hpack import Decoder
from .kernels import frame_header, word_frame
from .output import Output
from .response import new_encoder
from .stream import new_stream

if TYPE_CHECKING:
    from typing import Any

    from .._interfaces import Client, ConnectionOwner, Server, Transport
    from ..exchange import Exchange
    from ..head import Head
    from ..outbox import Outbox
    from ..proxies import Proxies
    from ..request import Request
    from ..shared import Shared
    from .stream import Stream

# The part of the input that is being read.
PREFACE_DUE = 0  # the client's preface
SETTINGS_DUE = 1  # the SETTINGS frame that follows it
FRAMES = 2

# Frames that are processed in one event-loop iteration, before other connections have their turn.
MOST_FRAMES_A_TURN = 256

# Bytes read at a time. Several streams share them, and the larger the parts, the less often applications are called.
READ_SIZE = 262144

# Streams that a client may have open at once, including those that it has reset and whose applications still run.
MOST_STREAMS = 128

# Bytes that the client may send before the applications take some: half are left for others if one takes nothing.
CONNECTION_WINDOW = 1048576

# The compressed block of one head, in bytes and frames: more would be held for a client that never ends it.
MOST_BLOCK_SIZE = 65536
MOST_CONTINUATIONS = 16

# Settings in one frame: each costs work, and a client needs eight.
MOST_SETTINGS = 32

# Streams that we have reset, of which late frames are ignored.
MOST_REMEMBERED = 256


class HTTP2Connection(Output):
    """One connection. `reading` only moves forward: PREFACE_DUE -> SETTINGS_DUE -> FRAMES. `may_be_proxy` is as for
    HTTP/1.1.
    """

    __slots__ = (
        "_abandoned",
        "_acknowledged_by",
        "_advancing",
        "_block",
        "_block_continuations",
        "_block_ends",
        "_block_number",
        "_budget",
        "_buffer",
        "_data_ends",
        "_data_left",
        "_data_number",
        "_decoder",
        "_deferred",
        "_head_by",
        "_idle_by",
        "_initial_window",
        "_last",
        "_opened",
        "_owed",
        "_paces",
        "_padding_left",
        "_position",
        "_proxies",
        "_remembered",
        "_request_ends",
        "_scope",
        "_skips",
        "_started",
        "_throttled",
        "_trailers_scope",
        "_window",
        "_window_by",
        "peer_text",
        "reading",
    )

    _scope: dict[str, Any]
    _trailers_scope: dict[str, Any]
    peer_text: str
    _proxies: Proxies | None

    reading: int
    _buffer: bytes
    _position: int
    _decoder: Decoder
    _block: list[bytes] | None
    _block_number: int
    _block_ends: bool
    _block_continuations: int
    _data_number: int
    _data_left: int
    _padding_left: int
    _data_ends: bool
    _window: int
    _owed: int

    _last: int
    _skips: bool
    _started: int
    _initial_window: int
    _remembered: dict[int, None]
    _abandoned: list[Exchange]
    _opened: list[Stream]

    _budget: Budget
    _idle_by: int
    _acknowledged_by: int
    _head_by: int
    _window_by: int
    _paces: dict[int, Pace]
    _request_ends: dict[int, int]

    _advancing: bool
    _deferred: bool
    _throttled: bool

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
        self.begin(owner, transport, outbox, shared, fd, joins)
        self.peer_text = "%s:%d" % client if client else ""
        scope = shared.connection_scope(client, server, tls)
        self._scope = shared.http2_scope(scope, False)
        self._trailers_scope = shared.http2_scope(scope, True)
        proxies = shared.proxies if may_be_proxy else None
        self._proxies = proxies if proxies is not None and proxies.trusts_peer(client, server) else None
        self.reading = PREFACE_DUE
        self._buffer = b""
        self._position = 0
        self._decoder = Decoder()
        self._block = None
        self._block_number = 0
        self._block_ends = False
        self._block_continuations = 0
        self._data_number = 0
        self._data_left = 0
        self._data_ends = False
        self._padding_left = 0
        self._window = CONNECTION_WINDOW
        self._owed = 0
        self._last = 0
        self._skips = False
        self._started = 0
        self._initial_window = DEFAULT_WINDOW
        self._remembered = {}
        self._abandoned = []
        self._opened = []
        self._budget = Budget()
        self._idle_by = shared.deadline(shared.limits.first_byte_timeout)
        self._acknowledged_by = 0
        self._head_by = 0
        self._window_by = 0
        self._paces = {}
        self._request_ends = {}
        self._advancing = False
        self._deferred = False
        self._throttled = False
        self._send_settings()

    # Input

    def read_size(self) -> int:
        return READ_SIZE

    def leave_inbox(self, failed: bool) -> None:
        self.owner.leave_inbox(failed)

    def receive(self, data: bytes) -> None:
        if self._shared.metrics is not None:
            self._shared.metrics.received(len(data))
        if self.is_ending():
            self._continue_lingering(len(data))
            return
        if self._position < len(self._buffer):
            data = self._buffer[self._position :] + data
        self._buffer = data
        self._position = 0
        if not self._advancing and not self._deferred and not self._throttled:
            self._started = 0
            self._advance()
        elif len(self._buffer) - self._position > self._shared.limits.body_buffer_size:
            self._pause()

    def process_deferred(self) -> None:
        """Continue with deferred input, in the next event-loop iteration."""
        self._deferred = False
        if not self._advancing and not self.is_ending() and not self._throttled:
            self._started = 0
            self._advance()
            self._maybe_resume()
            self._close_if_done()
            if self._input_ended:
                self._schedule()

    def drain(self) -> None:
        if self.reading == PREFACE_DUE:
            self._leave()
        else:
            Output.drain(self)

    def has_input_waiting(self) -> bool:
        waiting = len(self._buffer) - self._position
        return self._throttled or (self._deferred and waiting > self._shared.limits.body_buffer_size)

    def has_all_input(self) -> bool:
        return self._input_ended and not self._deferred and not self._throttled

    def forget_input(self) -> None:
        self._buffer = b""
        self._position = 0
        self._block = None
        self._data_left = 0
        self._padding_left = 0
        self._idle_by = 0
        self._head_by = 0
        self._acknowledged_by = 0
        self._window_by = 0
        self._deferred = False
        self._throttled = False
        self._abandoned.clear()
        self._opened = []

    def on_tick(self, now: int) -> None:
        if self.writer.is_given_up(now, not self.is_gone()):
            self._abort()
        if self._end_by and now >= self._end_by:
            self._end_in_time()
        if self.is_ending():
            return
        if self._abandoned:
            self._forget_finished()
        if not self._budget.refill():
            self._fail(HTTP2Error(ENHANCE_YOUR_CALM, "too many frames without a purpose, or streams reset"))
            return
        if self._shared.limits.request_timeout:
            self._check_requests(now)
        if self._throttled:
            if not self._budget.is_spent():
                self._throttled = False
                self._defer()
            return  # what the client owes may be in our buffer
        self._expire(now)
        self._check_window(now)
        if self._shared.limits.body_rate and self._window > 0 and not self.owner.has_input():
            self._check_paces()
        departed = self._input_ended or (self._paused and self.owner.has_left())
        for stream in list(self.streams.values()):
            stream.on_tick(now)
            if departed and not stream.is_closed():
                stream.notice_departure()

    # Streams

    def return_credit(self, size: int) -> None:
        self._owed += size
        if self._owed * 2 >= CONNECTION_WINDOW and not self.is_ending():
            increment = self._owed
            self._owed = 0
            self._window += increment
            self.put(word_frame(WINDOW_UPDATE, 0, increment))

    def put_reset(self, number: int, code: int) -> None:
        self.put(word_frame(RST_STREAM, number, code))
        self._remembered[number] = None
        if len(self._remembered) > MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def on_closed(self, stream: Stream, was_reset: bool) -> None:
        self.streams.pop(stream.number, None)
        if stream.in_turn:
            stream.in_turn = False
            self._turns.remove(stream)
        if was_reset:
            exchange = stream.exchange()
            if exchange is not None:
                self.keep_counting(exchange)
        else:
            self._budget.earn_reset()
        if not self.streams:
            self._expect_request()

    def answer(self, stream: Stream, status: int) -> None:
        request = stream.request
        fields, text = own_answer(status)
        encoder = new_encoder(self._shared, stream, "GET" if request is None else request.head.method, False)
        encoder.start(status, fields if request is None else fields + request.own_fields(fields), False)
        if request is not None:
            request.replace(encoder)
        encoder.body(text, False, stream.out)
        stream.exchange_ended()

    def keep_counting(self, exchange: Exchange) -> None:
        if exchange.task is not None:
            self._abandoned.append(exchange)

    def spend_reset(self) -> None:
        self._budget.spend_reset()

    # Private: frames

    def _advance(self) -> None:
        """Process the buffer as far as whole frames go, or parts of DATA."""
        self._advancing = True
        failure = None
        try:
            frames = 0
            while not self.is_ending() and self._read_one():
                frames += 1
                if self._budget.is_spent():
                    self._throttled = True
                    self._pause()
                    break
                if frames == MOST_FRAMES_A_TURN:
                    self._defer()
                    break
        except HTTP2Error as error:
            failure = error
        self._start_opened()  # not while the error is handled: an application would see it
        if failure is not None:
            self._fail(failure)
            failure = None  # the error's traceback refers to this frame
        self._advancing = False
        if self._position >= len(self._buffer):
            self._buffer = b""
            self._position = 0
        elif not self.is_ending() and not self._head_by and not self._deferred and not self._throttled:
            self._head_by = self._shared.deadline(self._shared.limits.head_timeout)

    def _read_one(self) -> bool:
        """Process a frame, or the available part of one. Return false if bytes are missing."""
        if self._data_left or self._padding_left:
            return self._read_data()
        start = self._position
        available = len(self._buffer) - start
        if self.reading == PREFACE_DUE:
            return self._read_preface(start, available)
        if available < 9:
            return False
        buffer = self._buffer
        size = buffer[start] << 16 | buffer[start + 1] << 8 | buffer[start + 2]
        kind = buffer[start + 3]
        flags = buffer[start + 4]
        number = _uint31(buffer, start + 5)
        if size > LEAST_FRAME_SIZE:
            raise HTTP2Error(FRAME_SIZE_ERROR, "frame above the maximum size")
        if self.reading == SETTINGS_DUE and (kind != SETTINGS or flags & ACK):
            raise HTTP2Error(PROTOCOL_ERROR, "no SETTINGS after the preface")
        if self._block is not None and (kind != CONTINUATION or number != self._block_number):
            raise HTTP2Error(PROTOCOL_ERROR, "frame within a field block")
        if kind == DATA:
            if flags & PADDED and size and available < 10:
                return False
            self._head_by = 0
            self._begin_data(start, size, flags, number)
            return True
        if available < 9 + size:
            return False
        if kind == HEADERS and self._started >= self._shared.limits.pipelined_requests:
            self._defer()
            return False
        self._position = start + 9 + size
        if self._block is None:
            self._head_by = 0
        try:
            self._read_frame(kind, flags, number, start + 9, start + 9 + size)
        except StreamError as error:
            self._fail_stream(number, error)
        return True

    def _read_frame(self, kind: int, flags: int, number: int, start: int, end: int) -> None:
        if kind == HEADERS:
            self._read_headers(flags, number, start, end)
        elif kind == CONTINUATION:
            self._read_continuation(flags, start, end)
        elif kind == WINDOW_UPDATE:
            self._read_window_update(number, start, end)
        elif kind == RST_STREAM:
            self._read_rst_stream(number, start, end)
        elif kind == SETTINGS:
            self._read_settings(flags, number, start, end)
        elif kind == PING:
            self._read_ping(flags, number, start, end)
        elif kind == GOAWAY:
            if number:
                raise HTTP2Error(PROTOCOL_ERROR, "GOAWAY on a stream")
            if end - start < 8:
                raise HTTP2Error(FRAME_SIZE_ERROR, "malformed GOAWAY")
            self._spend_frame()
        elif kind == PRIORITY:
            if not number:
                raise HTTP2Error(PROTOCOL_ERROR, "PRIORITY without a stream")
            if end - start != 5:
                kind_of_error = HTTP2Error if number > self._last else StreamError  # an idle stream cannot be reset
                raise kind_of_error(FRAME_SIZE_ERROR, "malformed PRIORITY")
            self._spend_frame()
        elif kind == PUSH_PROMISE:
            raise HTTP2Error(PROTOCOL_ERROR, "PUSH_PROMISE from a client")
        else:
            self._spend_frame()  # a frame of an extension is ignored (section 5.5)

    def _spend_frame(self) -> None:
        steps = self.steps
        self.steps = 0
        self._budget.spend_frame(steps)

    def _read_preface(self, start: int, available: int) -> bool:
        size = min(available, len(PREFACE))
        if cut(self._buffer, start, start + size) != PREFACE[:size]:
            raise HTTP2Error(PROTOCOL_ERROR, "not the preface of HTTP/2")
        if size < len(PREFACE):
            return False
        self._position = start + size
        self.reading = SETTINGS_DUE
        return True

    def _begin_data(self, start: int, size: int, flags: int, number: int) -> None:
        """Read the header of a DATA frame, and the length of its padding."""
        if not number:
            raise HTTP2Error(PROTOCOL_ERROR, "DATA without a stream")
        if size > self._window:
            raise HTTP2Error(FLOW_CONTROL_ERROR, "more content than the window of the connection")
        self._window -= size
        self._position = start + 9
        padding = 0
        prefix = 0
        if flags & PADDED:
            if not size:
                raise HTTP2Error(FRAME_SIZE_ERROR, "DATA without its padding length")
            prefix = 1
            padding = self._buffer[start + 9]
            if padding >= size:
                raise HTTP2Error(PROTOCOL_ERROR, "padding longer than its frame")
            self._position += 1
        self._data_number = number
        self._data_left = size - prefix - padding
        self._data_ends = flags & END_STREAM != 0
        self._padding_left = padding
        stream = self.streams.get(number)
        if not self._data_left and not self._data_ends:
            self._spend_frame()
        if stream is None:
            self._check_closed(number, "DATA")
            if prefix:
                self.return_credit(prefix)
        elif not stream.may_receive():
            self.return_credit(prefix)
            self._fail_stream(number, StreamError(STREAM_CLOSED, "DATA after the end of its stream"))
        else:
            try:
                stream.reserve(size)
            except StreamError as error:
                self.return_credit(prefix)
                self._fail_stream(number, error)
            else:
                if prefix:
                    stream.discard_padding(prefix)
        if not self._data_left and not self._padding_left:
            self._end_data()

    def _read_data(self) -> bool:
        """Pass on the available part of a DATA frame."""
        start = self._position
        available = len(self._buffer) - start
        if not available:
            return False
        number = self._data_number
        if self._data_left:
            size = min(available, self._data_left)
            self._position = start + size
            self._data_left -= size
            stream = self.streams.get(number)
            if stream is None:
                self.return_credit(size)
            else:
                data = self._buffer if size == len(self._buffer) else cut(self._buffer, start, start + size)
                try:
                    stream.feed(data)
                except StreamError as error:
                    self._fail_stream(number, error)
                except ProtocolError as error:
                    self._budget.spend_reset()
                    stream.refuse(error)
        else:
            size = min(available, self._padding_left)
            self._position = start + size
            self._padding_left -= size
            stream = self.streams.get(number)
            if stream is None:
                self.return_credit(size)
            else:
                stream.discard_padding(size)
        if not self._data_left and not self._padding_left:
            self._end_data()
        return True

    def _end_data(self) -> None:
        if self._data_ends:
            stream = self.streams.get(self._data_number)
            if stream is not None:
                try:
                    stream.finish_input()
                except StreamError as error:
                    self._fail_stream(self._data_number, error)

    def _read_headers(self, flags: int, number: int, start: int, end: int) -> None:
        if not number & 1:
            raise HTTP2Error(PROTOCOL_ERROR, "HEADERS on a stream that a client cannot open")
        padding = 0
        if flags & PADDED:
            if start == end:
                raise HTTP2Error(FRAME_SIZE_ERROR, "HEADERS without its padding length")
            padding = self._buffer[start]
            start += 1
        if flags & HAS_PRIORITY:
            if end - start < 5:
                raise HTTP2Error(FRAME_SIZE_ERROR, "HEADERS without its priority")
            start += 5
        if start + padding > end:
            raise HTTP2Error(PROTOCOL_ERROR, "padding longer than its frame")
        block = cut(self._buffer, start, end - padding)
        self._block_number = number
        self._block_ends = flags & END_STREAM != 0
        if flags & END_HEADERS:
            self._read_block(block)
        else:
            self._block = [block]
            self._block_continuations = 0
            self._head_by = self._shared.deadline(self._shared.limits.head_timeout)

    def _read_continuation(self, flags: int, start: int, end: int) -> None:
        blocks = self._block
        if blocks is None:
            raise HTTP2Error(PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        blocks.append(cut(self._buffer, start, end))
        self._block_continuations += 1
        if self._block_continuations > MOST_CONTINUATIONS or sum(map(len, blocks)) > MOST_BLOCK_SIZE:
            raise HTTP2Error(ENHANCE_YOUR_CALM, "field block too long")
        if flags & END_HEADERS:
            self._block = None
            self._head_by = 0
            self._read_block(b"".join(blocks))

    def _read_block(self, block: bytes) -> None:
        """Open a stream with a whole field block, or end its input with a trailer section."""
        number = self._block_number
        limits = self._shared.limits
        decoder = self._decoder
        fields = decoder.decode(block, limits.head_size)
        stream = self.streams.get(number)
        if stream is not None:
            if not stream.may_receive():
                raise StreamError(STREAM_CLOSED, "HEADERS after the end of its stream")
            if not self._block_ends:
                raise StreamError(PROTOCOL_ERROR, "trailer section that does not end its stream")
            if decoder.malformed is not None:
                raise StreamError(PROTOCOL_ERROR, "malformed field in a trailer section")
            check_trailers(fields)
            stream.finish_input()
            return
        if number <= self._last:
            self._check_closed(number, "HEADERS")
            return
        if number > self._last + 2:
            self._skips = True
        self._last = number
        if self.is_leaving():
            return  # the client has been told that it is not served
        self._last_served = number
        if len(self.streams) >= MOST_STREAMS:
            raise StreamError(REFUSED_STREAM, "more streams than allowed")
        if self._abandoned and len(self.streams) + len(self._abandoned) >= MOST_STREAMS:
            self._forget_finished()
            if len(self.streams) + len(self._abandoned) >= MOST_STREAMS:
                raise StreamError(REFUSED_STREAM, "more applications than streams are running")
        if decoder.malformed is not None:
            raise StreamError(PROTOCOL_ERROR, "malformed field")
        self._started += 1
        self.steps += 1
        self._shared.total_requests += 1
        try:
            if decoder.size > limits.head_size:
                raise ProtocolError(431, "head too long")
            head = read_head(fields, self._block_ends, limits)
            if limits.body_size and head.framing == LENGTH and head.length > limits.body_size:
                raise ProtocolError(413, "body too long")
        except ProtocolError as error:
            self._refuse(number, error)
        else:
            self._open(number, head)
        if number >= limits.last_stream:
            self._leave()

    def _read_window_update(self, number: int, start: int, end: int) -> None:
        if end - start != 4:
            raise HTTP2Error(FRAME_SIZE_ERROR, "malformed WINDOW_UPDATE")
        increment = _uint31(self._buffer, start)
        if not number:
            if not increment:
                raise HTTP2Error(PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            if self.send_window + increment > GREATEST_WINDOW:
                raise HTTP2Error(FLOW_CONTROL_ERROR, "window above its maximum")
            if not self._turns:
                self._spend_frame()
            else:
                self._schedule()
            self.send_window += increment
            self._window_by = 0
            return
        stream = self.streams.get(number)
        if stream is None:
            self._check_not_idle(number, "WINDOW_UPDATE")
            self._spend_frame()
            return
        if not increment:
            raise StreamError(PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if stream.send_window + increment > GREATEST_WINDOW:
            raise StreamError(FLOW_CONTROL_ERROR, "window above its maximum")
        stream.send_window += increment
        if stream.can_frame_content():
            self.join_turns(stream)
        else:
            self._spend_frame()

    def _read_rst_stream(self, number: int, start: int, end: int) -> None:
        if end - start != 4:
            raise HTTP2Error(FRAME_SIZE_ERROR, "malformed RST_STREAM")
        self._check_not_idle(number, "RST_STREAM")
        self._budget.spend_reset()
        stream = self.streams.get(number)
        if stream is not None:
            stream.lose_client()

    def _read_settings(self, flags: int, number: int, start: int, end: int) -> None:
        size = end - start
        if number:
            raise HTTP2Error(PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            if size:
                raise HTTP2Error(FRAME_SIZE_ERROR, "acknowledgement of SETTINGS with content")
            self._acknowledged_by = 0
            self._spend_frame()
            return
        if size % 6:
            raise HTTP2Error(FRAME_SIZE_ERROR, "malformed SETTINGS")
        if size > 6 * MOST_SETTINGS:
            raise HTTP2Error(ENHANCE_YOUR_CALM, "too many settings")
        buffer = self._buffer
        window = self._initial_window
        for at in range(start, end, 6):
            setting = buffer[at] << 8 | buffer[at + 1]
            value = _uint31(buffer, at + 2)
            if buffer[at + 2] & 0x80:
                value += GREATEST_WINDOW + 1
            if setting == INITIAL_WINDOW_SIZE:
                if value > GREATEST_WINDOW:
                    raise HTTP2Error(FLOW_CONTROL_ERROR, "initial window above its maximum")
                window = value
            elif setting == MAX_FRAME_SIZE:
                if not LEAST_FRAME_SIZE <= value <= GREATEST_FRAME_SIZE:
                    raise HTTP2Error(PROTOCOL_ERROR, "frame size out of its range")
            elif setting in (ENABLE_PUSH, ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES) and value > 1:
                raise HTTP2Error(PROTOCOL_ERROR, "setting that is neither 0 nor 1")
        if window != self._initial_window:
            self._change_window(window - self._initial_window)
            self._initial_window = window
        self.put(frame_header(0, SETTINGS, ACK, 0))
        if self.reading == SETTINGS_DUE:
            self.reading = FRAMES
            self._acknowledged_by = self._shared.deadline(self._shared.limits.first_byte_timeout)
            self._idle_by = self._acknowledged_by
        else:
            self._spend_frame()

    def _change_window(self, change: int) -> None:
        """Change the windows of all streams, which may become negative (section 6.9.2)."""
        for stream in self.streams.values():
            if stream.send_window + change > GREATEST_WINDOW:
                raise HTTP2Error(FLOW_CONTROL_ERROR, "window above its maximum")
            stream.send_window += change
            if stream.can_frame_content():
                self.join_turns(stream)

    def _read_ping(self, flags: int, number: int, start: int, end: int) -> None:
        if number:
            raise HTTP2Error(PROTOCOL_ERROR, "PING on a stream")
        if end - start != 8:
            raise HTTP2Error(FRAME_SIZE_ERROR, "malformed PING")
        self._spend_frame()
        payload = cut(self._buffer, start, end)
        if not flags & ACK:
            self.put(frame_header(8, PING, ACK, 0) + payload)
        else:
            self._on_pong(payload)

    # Private: streams

    def _open(self, number: int, head: Head) -> None:
        """Start an exchange with `head`."""
        shared = self._shared
        scope = self._trailers_scope if head.accepts_trailers else self._scope
        client_text = self.peer_text
        if self._proxies is not None:
            origin = self._proxies.origin(head.headers)
            if origin is not None:
                scope = origin.scope(head, scope)
                if origin.client is not None:
                    client_text = "%s:%d" % origin.client
        stream = new_stream(self, shared, number, self._initial_window, head)
        encoder = new_encoder(shared, stream, head.method, head.accepts_trailers)
        has_body = head.framing != NO_BODY and head.upgrade is None
        request = new_request(head, has_body, encoder, stream, shared, scope, client_text)
        stream.request = request
        self.streams[number] = stream
        self._idle_by = 0
        if self._input_ended:
            request.disconnect()
        if head.upgrade is not None:
            self._open_websocket(stream, request)
        self._opened.append(stream)

    def _open_websocket(self, stream: Stream, request: Request) -> None:
        """Start a session with an extended CONNECT (RFC 8441)."""
        shared = self._shared
        try:
            if not shared.websockets or request.head.upgrade != b"websocket":
                raise ProtocolError(501, "protocol not supported")
            handshake = read_extended(request.head, shared.zlib)
        except ProtocolError as error:
            stream.refuse(error)
            return
        stream.session = WebSocket(handshake, request, stream, shared)

    def _start_opened(self) -> None:
        """Start the applications of the streams that were opened.

        Not before: some of their bodies have arrived as well, and streams that the client has reset meanwhile cost no
        more than a head.
        """
        opened = self._opened
        if opened:
            self._opened = []
            for stream in opened:
                if stream.session is not None:
                    self.owner.on_websocket(stream.session)
                elif stream.request is not None:
                    self.owner.on_request(stream.request)

    def _refuse(self, number: int, error: ProtocolError) -> None:
        """Answer an invalid request, which has no exchange, with the status of `error`."""
        self.owner.on_refused(error)
        self._budget.spend_reset()
        head = new_head("GET", HTTP_2, [])
        if not self._block_ends:
            head.framing = UNTIL_END
        stream = new_stream(self, self._shared, number, self._initial_window, head)
        self.streams[number] = stream
        self.answer(stream, error.status)

    def _fail_stream(self, number: int, error: StreamError) -> None:
        """Reset the stream with the code of `error`."""
        self.owner.on_refused(error)
        self._budget.spend_reset()
        stream = self.streams.get(number)
        if stream is not None:
            stream.reset(error.code)
        else:
            self.put_reset(number, error.code)

    def _check_not_idle(self, number: int, kind: str) -> None:
        if number > self._last or not number & 1:
            raise HTTP2Error(PROTOCOL_ERROR, f"{kind} on an idle stream")

    def _check_closed(self, number: int, kind: str) -> None:
        """Check a frame on a stream that is not open: it may be late if we have reset the stream."""
        self._check_not_idle(number, kind)
        if number not in self._remembered and not self.is_leaving():
            # If the client has left numbers out, this may be one of them (section 5.1.1).
            code = PROTOCOL_ERROR if self._skips and kind == "HEADERS" else STREAM_CLOSED
            raise HTTP2Error(code, f"{kind} on a closed stream")

    def _forget_finished(self) -> None:
        """Forget the applications of reset streams that have ended."""
        self._abandoned = [each for each in self._abandoned if each.task is not None and not each.task.done()]

    # Private: the connection

    def _send_settings(self) -> None:
        """Queue our settings, and the greater window of the connection."""
        settings = [
            (MAX_CONCURRENT_STREAMS, MOST_STREAMS),
            (MAX_HEADER_LIST_SIZE, self._shared.limits.head_size),
            (NO_RFC7540_PRIORITIES, 1),
        ]
        if self._shared.websockets:
            settings.append((ENABLE_CONNECT_PROTOCOL, 1))
        payload = b"".join([key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings])
        increment = CONNECTION_WINDOW - DEFAULT_WINDOW
        self.put(frame_header(len(payload), SETTINGS, 0, 0) + payload)
        self.put(word_frame(WINDOW_UPDATE, 0, increment))

    def _close_if_done(self) -> None:
        if not self._input_ended or self.has_all_input():
            Output._close_if_done(self)

    def _expect_request(self) -> None:
        """Start the deadline for the next request, or close if there is none to come."""
        timeout = self._shared.limits.keep_alive_timeout
        self._idle_by = self._shared.deadline(timeout)
        if not timeout:
            self._leave()
        self._close_if_done()

    def _fail(self, error: HTTP2Error) -> None:
        """Close because of the client's error, which also ends all streams."""
        self.owner.on_refused(error)
        self._close(error.code, error.reason)

    def _may_have_input(self) -> bool:
        """Return whether the server is slow to read, not the client to send."""
        return not self._paused and not self._input_ended and self.owner.has_input()

    def _expire(self, now: int) -> None:
        """Act on the deadlines of the connection."""
        if self._acknowledged_by and now >= self._acknowledged_by:
            self._shared.timed_out(layout.SETTINGS)
            self._fail(HTTP2Error(SETTINGS_TIMEOUT, "timed out waiting for the acknowledgement of SETTINGS"))
        elif self._head_by and now >= self._head_by:
            if self._may_have_input():
                self._head_by = self._shared.deadline(1)
            else:
                self._shared.timed_out(layout.HEAD)
                self._fail(HTTP2Error(PROTOCOL_ERROR, "timed out waiting for the rest of a frame"))
        elif self._idle_by and now >= self._idle_by:
            if self._may_have_input():
                self._idle_by = self._shared.deadline(1)
            else:
                self._shared.timed_out(layout.KEEP_ALIVE)
                self._close(NO_ERROR, "")

    def _check_paces(self) -> None:
        """Refuse the bodies that arrive too slowly."""
        paces = self._paces
        self._paces = {}
        for number, stream in list(self.streams.items()):
            pace = paces.get(number) or Pace(self._shared.limits.body_rate)
            if stream.is_too_slow(pace):
                self._shared.timed_out(layout.BODY_RATE)
                stream.refuse(ProtocolError(408, "body below the minimum rate"))
            else:
                self._paces[number] = pace

    def _check_requests(self, now: int) -> None:
        """Give the requests up that take too long. A deadline begins with the first tick after a request's head."""
        ends = self._request_ends
        self._request_ends = {}
        for number, stream in list(self.streams.items()):
            if not stream.is_unanswered():
                continue
            end = ends.get(number) or now + self._shared.limits.request_timeout
            if now < end:
                self._request_ends[number] = end
                continue
            stream.give_up()

    def _check_window(self, now: int) -> None:
        """Close if the client has not opened the window of the connection in time, although content waits for it."""
        if self.send_window > 0 or not self.queued_content:
            self._window_by = 0
        elif not self._window_by:
            self._window_by = self._shared.deadline(self._shared.limits.write_timeout)
        elif now >= self._window_by:
            self._shared.timed_out(layout.WRITE)
            self.owner.on_slow_client("it has read nothing of its streams for %d s" % self._shared.limits.write_timeout)
            self._close(ENHANCE_YOUR_CALM, "the window of the connection is closed")

    def _defer(self) -> None:
        if not self._deferred:
            self._deferred = True
            self.owner.defer()


def _uint31(data: bytes, at: int) -> int:
    """The integer in the lower 31 bits of `data[at : at + 4]`: the highest bit is reserved."""
    return (data[at] & 0x7F) << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]
