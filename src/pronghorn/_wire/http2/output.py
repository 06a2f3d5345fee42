"""The sending half of an HTTP/2 connection: frames are queued and written, streams take turns, and the connection ends
(RFC 9113 sections 5.2, 5.4.1 and 6.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.http2_constants import (
    CANCEL,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    GREATEST_WINDOW,
    HEADERS,
    LEAST_FRAME_SIZE,
    NO_ERROR,
    PING,
)

from ..kernels import cut
from ..writer import Writer
from .kernels import frame_header, frame_response
from .stream import Multiplexer

if TYPE_CHECKING:
    from typing import Any

    from .._interfaces import ConnectionOwner, Transport
    from ..exchange import Exchange
    from ..outbox import Outbox
    from ..shared import Shared
    from .stream import Stream

# The end of the connection, in order.
SERVING = 0
NOTICED = 1  # the client is asked to open no more streams; those that it has opened meanwhile are served
LEAVING = 2  # later streams are not served; the connection closes when the others have ended
FLUSHING = 3  # the queued output is to be written, then our half of the connection ends
LINGERING = 4  # our half has ended; the client has a moment to read everything
GONE = 5  # the transport is closing or gone

# Output queued while the client does not read, from which on nothing is read from it either: it can make us answer
# every frame.
MOST_UNREAD = 65536

# Bytes of content that a stream may frame in its turn.
TURN = 16384

# Seconds for the round trip between the two GOAWAY frames, and the payload of the PING that measures it.
NOTICE = 1
NOTICE_PING = b"pronghrn"


class Output(Multiplexer):
    """The sending half. `streams` are those that are open, by number.

    `_end`: SERVING -> NOTICED by `drain`, -> LEAVING by `_leave`; SERVING, NOTICED or LEAVING -> FLUSHING by `_close`;
    -> LINGERING -> GONE by `_finish`, `_shut`, `_abort`. `lose` sets GONE from any state.
    """

    __slots__ = (
        "_discarded",
        "_end",
        "_end_by",
        "_ended",
        "_heads",
        "_in_outbox",
        "_input_ended",
        "_last_served",
        "_linger_by",
        "_outbox",
        "_paused",
        "_shared",
        "_turns",
        "_unread",
        "streams",
    )

    streams: dict[int, Stream]
    _shared: Shared
    _outbox: Outbox
    _in_outbox: bool

    _heads: list[Stream]
    _turns: list[Stream]
    _ended: list[Stream]
    _unread: int

    _last_served: int
    _end: int
    _end_by: int
    _linger_by: int
    _discarded: int

    _input_ended: bool
    _paused: bool

    def begin(
        self, owner: ConnectionOwner, transport: Transport, outbox: Outbox, shared: Shared, fd: int, joins: bool
    ) -> None:
        """Initialise the fields of this class and of `Multiplexer`."""
        self.owner = owner
        self.writer = Writer(owner, transport, shared, fd, joins)
        self.send_window = DEFAULT_WINDOW
        self.frame_size = LEAST_FRAME_SIZE
        self.queued_content = 0
        self.steps = 0
        self.streams = {}
        self._shared = shared
        self._outbox = outbox
        self._in_outbox = False
        # Streams with a head to frame, with content to frame, and those that have ended before the client's side.
        self._heads = []
        self._turns = []
        self._ended = []
        # Bytes queued since the client has last read.
        self._unread = 0
        self._last_served = 0
        self._end = SERVING
        self._end_by = 0
        self._linger_by = 0
        self._discarded = 0
        self._reads_much = False
        self._input_ended = False
        self._paused = False

    # Frames

    def put(self, frames: bytes) -> None:
        self.writer.out.append(frames)
        self._count(len(frames))

    def put_content(self, header: bytes, content: Any, size: int) -> None:
        out = self.writer.out
        out.append(header)
        out.append(content)
        self._count(len(header) + size)

    def put_head(self, number: int, status: bytes, defaults: bytes, block: bytes, data: bytes, ends: bool) -> None:
        size = len(status) + len(defaults) + len(block)
        if size <= self.frame_size:
            frames = frame_response(number, status, defaults, block, data, ends)
            self.writer.out.append(frames)
            self._count(len(frames))
            return
        block = status + defaults + block
        kind = HEADERS
        start = 0
        while start < size:
            end = min(start + self.frame_size, size)
            flags = END_HEADERS if end == size else 0
            if ends and not data and not start:
                flags |= END_STREAM
            self.put(frame_header(end - start, kind, flags, number) + cut(block, start, end))
            kind = CONTINUATION
            start = end
        if data:
            self.put(frame_header(len(data), DATA, END_STREAM if ends else 0, number) + data)

    def can_send_at_once(self) -> bool:
        return not self._turns and self.writer.is_ready()

    def expect_head(self, stream: Stream) -> None:
        self._heads.append(stream)
        self._schedule()

    def join_turns(self, stream: Stream) -> None:
        if not stream.in_turn:
            stream.in_turn = True
            self._turns.append(stream)
            self._schedule()

    def on_ended(self, stream: Stream) -> None:
        self._ended.append(stream)
        self._schedule()

    # Writing

    def flush(self) -> None:
        """Write the queued output. A response head that waits for its content is framed without it."""
        heads = self._heads
        if heads:
            self._heads = []
            for stream in heads:
                stream.frame_head()
        if self._ended:
            self._reset_ended()
        if self._turns:
            self._take_turns()
        if self._input_ended and self.has_all_input():
            self._reset_starved()
        self.writer.flush()
        if self._end == FLUSHING:
            self._finish()

    def leave_outbox(self) -> None:
        self._in_outbox = False
        self.flush()
        if self.writer.end_iteration():
            self._on_writable()

    def pause_writing(self) -> None:
        """Stop writing: the transport is above its high-water mark."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """Write again: the transport is below its low-water mark."""
        if not self.is_ending():
            self.writer.deadline = 0
        if self.writer.resume():
            self._on_writable()

    def crash(self, error: Exception) -> None:
        if self.owner is not None:
            self.owner.on_crash(error)

    # The end

    def is_ending(self) -> bool:
        """Return whether the connection will close as soon as possible: nothing is read any more."""
        return self._end >= FLUSHING

    def is_gone(self) -> bool:
        """Return whether the transport is closing or gone."""
        return self._end == GONE

    def is_leaving(self) -> bool:
        """Return whether the client has been told that streams above `_last_served` are not served."""
        return self._end == LEAVING

    def drain(self) -> None:
        """Stop serving: ask the client for no more streams, and close after the last response."""
        if self._end == SERVING:
            self._end = NOTICED
            self._end_by = self._shared.deadline(NOTICE)
            self._put_goaway(GREATEST_WINDOW, NO_ERROR, b"")
            self.put(frame_header(8, PING, 0, 0) + NOTICE_PING)
        for stream in list(self.streams.values()):
            stream.drain()

    def exchanges(self) -> list[Exchange]:
        """The current requests and WebSockets."""
        return [exchange for stream in self.streams.values() if (exchange := stream.exchange()) is not None]

    def is_idle(self) -> bool:
        """Return whether there is no exchange."""
        return not self.streams

    def end_input(self) -> None:
        """Process the end of the client's stream of bytes. The connection stays open for responses that are due."""
        self._input_ended = True
        if self.is_ending():
            self._stop_lingering()
            return
        for stream in list(self.streams.values()):
            stream.disconnect()
        self._close_if_done()
        self._schedule()

    def lose(self) -> None:
        """Release everything: the connection is lost."""
        self._end = GONE
        for stream in list(self.streams.values()):
            stream.lose()
        self._forget()
        self.writer.lose()
        self.owner = None

    # For the reading half

    def has_input_waiting(self) -> bool:
        """Return whether so much input waits that no more may be read."""
        raise NotImplementedError

    def has_all_input(self) -> bool:
        """Return whether the client's stream of bytes has ended, and all of it is processed."""
        raise NotImplementedError

    def forget_input(self) -> None:
        """Drop the input that waits, and all deadlines of the client."""
        raise NotImplementedError

    # Private

    def _count(self, size: int) -> None:
        self._schedule()
        writer = self.writer
        writer.queued(size)
        if not writer.is_ready():
            self._unread += size
            if self._unread > MOST_UNREAD:
                self._pause()

    def _schedule(self) -> None:
        if not self._in_outbox:
            self._in_outbox = True
            self._outbox.add(self)

    def _take_turns(self) -> None:
        """Let the streams frame their content in turns, as far as the client and the iteration allow."""
        turns = self._turns
        writer = self.writer
        while turns and self.send_window > 0 and writer.is_ready():
            stream = turns.pop(0)
            stream.in_turn = False
            if stream.frame_content(TURN) and not stream.in_turn:
                stream.in_turn = True
                turns.append(stream)

    def _reset_ended(self) -> None:
        """Reset the streams whose clients have not ended them with the response (section 8.1)."""
        ended = self._ended
        self._ended = []
        for stream in ended:
            if not stream.is_closed():
                stream.reset(NO_ERROR)

    def _reset_starved(self) -> None:
        """Reset the streams that wait for a window, which the client can no longer open."""
        for stream in list(self.streams.values()):
            if stream.awaits_credit():
                stream.reset(CANCEL)

    def _put_goaway(self, last: int, code: int, reason: bytes) -> None:
        header = frame_header(8 + len(reason), GOAWAY, 0, 0)
        self.put(header + last.to_bytes(4, "big") + code.to_bytes(4, "big") + reason)

    def _on_writable(self) -> None:
        self._unread = 0
        if self._turns:
            self._schedule()
        self._maybe_resume()

    def _on_pong(self, payload: bytes) -> None:
        if payload == NOTICE_PING and self._end == NOTICED:
            self._leave()

    def _end_in_time(self) -> None:
        """Take the next step of the end: its time has come."""
        if self._end == NOTICED:
            self._leave()
        else:
            self._stop_lingering()

    def _leave(self) -> None:
        """Serve no later streams, and close when the others have ended."""
        if self._end < LEAVING:
            self._end = LEAVING
            self._end_by = 0
            self._put_goaway(self._last_served, NO_ERROR, b"")
            self._close_if_done()

    def _close_if_done(self) -> None:
        if not self.streams and (self._end == LEAVING or self._input_ended):
            self._close(NO_ERROR, "")

    def _close(self, code: int, reason: str) -> None:
        """Stop reading, end all streams, and close once all queued output is written."""
        if self.is_ending():
            return
        if self._end < LEAVING or code != NO_ERROR:
            self._put_goaway(self._last_served, code, reason.encode("ascii"))
        self._end = FLUSHING
        owner = self.owner
        for stream in list(self.streams.values()):
            exchange = stream.exchange()
            if exchange is not None:
                owner.on_left(exchange)
            stream.lose()
        self._forget()
        self._maybe_resume()
        self._schedule()

    def _forget(self) -> None:
        self.streams.clear()
        self._turns.clear()
        self._heads.clear()
        self._ended.clear()
        self._end_by = 0
        self.forget_input()

    def _finish(self) -> None:
        """End our half of the connection and linger: all output is handed to the transport."""
        if self._input_ended:
            self._shut()
            return
        self._end = LINGERING
        self.writer.end()
        self.writer.expect_reading()
        limits = self._shared.limits
        self._discarded = 0
        self._linger_by = self._shared.deadline(limits.linger_total_timeout)
        self._end_by = self._shared.deadline(limits.linger_timeout)
        self.owner.finish_writing()

    def _continue_lingering(self, size: int) -> None:
        """Discard `size` bytes of a client that may not have read everything yet."""
        if self._end != LINGERING:
            return
        limits = self._shared.limits
        self._discarded += size
        if self._discarded > limits.linger_size:
            self._shut()
        else:
            self._end_by = min(self._shared.deadline(limits.linger_timeout), self._linger_by)

    def _stop_lingering(self) -> None:
        if self._end == LINGERING:
            self._shut()

    def _shut(self) -> None:
        """Close the transport, which may call back before it returns."""
        self._end = GONE
        self.writer.end()
        self.writer.expect_reading()
        self.owner.close()

    def _abort(self) -> None:
        """Reset the connection. The transport may call back before it returns."""
        self._end = GONE
        self.writer.end()
        self.owner.abort()

    def _pause(self) -> None:
        if not self._paused and not self._input_ended and self.owner is not None:
            self._paused = True
            self.owner.pause()

    def _maybe_resume(self) -> None:
        """Resume reading unless input waits, or the client does not read."""
        if self._paused and self.owner is not None and self._unread <= MOST_UNREAD and not self.has_input_waiting():
            self._paused = False
            self.owner.resume()
