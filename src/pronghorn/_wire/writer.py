"""The output of a connection: it is gathered, written once per event-loop iteration, and must be read by the client in
time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.metrics.layout import WRITE

from .kernels import send_buffers_now, send_now

if TYPE_CHECKING:
    from typing import Any

    from _typeshed import MaybeNone

    from ._interfaces import ConnectionOwner, Transport
    from .shared import Shared

# Bytes gathered before they are written in the middle of an iteration: asyncio's default high-water mark.
FLUSH_AT = 65536
# Bytes that one connection may write per iteration before it yields to other connections and to `connection_lost`. With
# 1 MiB, 16 streams of chunks of 64 KiB cost 10 to 20 % more CPU, in the system.
MAX_PER_ITERATION = 262144
# Buffers are joined up to this total size. Above it, copying costs more than a system call with several buffers.
JOIN_UP_TO = 32768
# More buffers than this are joined too: one system call gets no more.
MOST_BUFFERS = 64

# Backpressure on further output.
READY = 0
YIELDING = 1  # until the next iteration: MAX_PER_ITERATION is reached
FULL = 2  # until the transport is below its low-water mark
ENDED = 3  # for ever: the stream has ended, or the connection is lost


class Writer:
    """Writes for the connection that owns it.

    `out` is the list of what is to be written: framed bytes, or views of bytes. The writer empties it, and never
    replaces it. `fd` is the transport's socket, which stays open as long as the transport, or -1 if only the transport
    may write to it; `joins` joins what the transport gets, whose `writelines` applies no backpressure. `deadline` is
    the second of `Shared.now` by which the client must have read something, 0 for none.

    Transitions: READY -> YIELDING by `queued`, back by `end_iteration`; READY or YIELDING -> FULL by `pause`, back by
    `resume`; any -> ENDED by `end`.
    """

    __slots__ = (
        "_acknowledged",
        "_fd",
        "_handed",
        "_iteration_size",
        "_joins",
        "_owner",
        "_shared",
        "_state",
        "_transport",
        "_transport_has_data",
        "_unflushed",
        "deadline",
        "out",
    )

    out: list[bytes]
    deadline: int
    _owner: ConnectionOwner | MaybeNone
    _transport: Transport | MaybeNone
    _shared: Shared
    _fd: int
    _joins: bool

    _unflushed: int
    _iteration_size: int

    _handed: int
    _acknowledged: int
    _transport_has_data: bool
    _state: int

    def __init__(self, owner: ConnectionOwner, transport: Transport, shared: Shared, fd: int, joins: bool) -> None:
        self.out = []
        self._state = READY
        self.deadline = 0
        self._owner = owner
        self._transport = transport
        self._shared = shared
        self._fd = fd
        self._joins = joins
        self._unflushed = 0
        self._iteration_size = 0
        self._handed = 0
        self._acknowledged = 0
        self._transport_has_data = False

    def is_ready(self) -> bool:
        """Return whether more output may follow now."""
        return self._state == READY

    def queued(self, size: int) -> None:
        """Count `size` bytes that were added to `out`, and write if there are many."""
        self._unflushed += size
        if self._unflushed > FLUSH_AT:
            self._iteration_size += self._unflushed
            self.flush()
            if self._iteration_size > MAX_PER_ITERATION and self._state == READY:
                self._state = YIELDING

    def end_iteration(self) -> bool:
        """End the iteration; return whether the connection had yielded and may now continue."""
        self._iteration_size = 0
        if self._state != YIELDING:
            return False
        self._state = READY
        return True

    def flush(self) -> None:
        """Write and empty `out`."""
        out = self.out
        if not out:
            return
        size = self._unflushed
        self._unflushed = 0
        if self._state == ENDED:
            out.clear()
        elif len(out) == 1:
            self.put(out.pop())
        elif size <= JOIN_UP_TO or len(out) > MOST_BUFFERS:
            data = b"".join(out)
            out.clear()
            self.put(data)
        else:
            buffers = out.copy()
            out.clear()
            self._put_buffers(buffers, size)

    def put(self, data: bytes) -> None:
        """Write `data` now: directly to the socket, at half the cost, unless the transport still has older data."""
        self._count(len(data))
        if self._may_write_directly():
            sent = send_now(self._fd, data)
            self._transport_has_data = sent < len(data)
            if not self._transport_has_data:
                return
            if sent > 0:
                data = data[sent:]
        # A transport that has lost its client, but has not reported it yet, would log each further write.
        if not self._transport.is_closing():
            self._transport.write(data)

    def _put_buffers(self, buffers: list[Any], size: int) -> None:
        """Write `buffers`, `size` bytes in all, in the way of `put`."""
        self._count(size)
        if self._may_write_directly():
            sent = send_buffers_now(self._fd, buffers)
            self._transport_has_data = sent < size
            if not self._transport_has_data:
                return
            if sent > 0:
                buffers = _rest(buffers, sent)
        if self._transport.is_closing():
            return
        if self._joins:
            self._transport.write(b"".join(buffers))
        else:
            self._transport.writelines(buffers)

    def _count(self, size: int) -> None:
        self._handed += size
        if self._shared.metrics is not None:
            self._shared.metrics.sent(size)

    def _may_write_directly(self) -> bool:
        """Return whether the socket may be written to: the transport has no older data."""
        return self._fd >= 0 and not (self._transport_has_data and self._owner.unsent())

    def pause(self) -> None:
        """Stop output: the transport is above its high-water mark."""
        if self._state != ENDED:
            self._state = FULL
        if self._owner is not None:
            self.expect_reading()

    def resume(self) -> bool:
        """Allow output: the transport is below its low-water mark. Return false if the connection yields anyway."""
        if self._state == FULL:
            self._state = READY
        return self._state != YIELDING

    def end(self) -> None:
        """Refuse further output."""
        self._state = ENDED

    def lose(self) -> None:
        """Drop all output: the transport is gone."""
        self._state = ENDED
        self.deadline = 0
        self.out.clear()
        self._unflushed = 0
        self._owner = None
        self._transport = None

    def expect_reading(self) -> None:
        """Start the deadline: the client must read something within `Limits.write_timeout`."""
        self._acknowledged = self._owner.delivered(self._handed)
        self.deadline = self._shared.deadline(self._shared.limits.write_timeout)

    def is_given_up(self, now: int, is_open: bool) -> bool:
        """Return whether to abort the connection: its client has read nothing in time, which is reported.

        A client that has read something gets more time, and so does one that has received all output while the
        connection `is_open`.
        """
        if not self.deadline or now < self.deadline:
            return False
        if self._owner.delivered(self._handed) > self._acknowledged:
            self.expect_reading()
            return False
        unread = self._owner.unread()
        if not unread and is_open:
            self.expect_reading()
            return False
        self.deadline = 0
        if unread:
            self._shared.timed_out(WRITE)
            self._owner.on_slow_client("it has read nothing for %d s" % self._shared.limits.write_timeout)
        return True


def _rest(buffers: list[Any], start: int) -> list[Any]:
    """The buffers without their first `start` bytes."""
    index = 0
    while start >= len(buffers[index]):
        start -= len(buffers[index])
        index += 1
    rest = buffers[index:]
    if start:
        rest[0] = memoryview(rest[0])[start:]
    return rest
