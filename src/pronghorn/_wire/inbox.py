"""The reading side of one event loop: one callback serves all sockets that are readable."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pronghorn.constants import MIN_BATCH

from .endpoint import Endpoint
from .kernels import monotonic, readable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from typing import Any

    from _typeshed import MaybeNone

    from ._interfaces import Poll, ReaderLoop
    from .outbox import Outbox

# The sockets served in one batch, MIN_BATCH at least. It adapts, so that a batch takes about MAX_TIME.
FIRST_BATCH = 64
MAX_BATCH = 256
# Seconds after which the event loop runs its other callbacks.
MAX_TIME = 0.001
# Bytes that may wait for the rest of a batch. More are best processed while they are in the processor's cache.
SMALL = 16384

# In place of input that a callback reads itself.
UNREAD = b"unread"


class Inbox:
    """Reads from the sockets of its members: first from all that are ready, then they process what was read, then
    `outbox` writes their output. Each step thus keeps its code and data in the processor's caches.

    `open_poll` creates a `select.epoll`, or an object like it. It is open, and watched by `loop`, only while there are
    members. `run` is called in a copy of `context`.
    """

    __slots__ = ("_batch", "_context", "_loop", "_members", "_open_poll", "_outbox", "_poll")

    _batch: int
    _context: Context
    _loop: ReaderLoop
    _members: dict[int, Endpoint]
    _open_poll: Callable[[], Poll]
    _outbox: Outbox
    _poll: Poll | MaybeNone

    def __init__(self, open_poll: Callable[[], Poll], loop: ReaderLoop, outbox: Outbox, context: Context) -> None:
        self._batch = FIRST_BATCH
        self._context = context
        self._loop = loop
        self._members = {}
        self._open_poll = open_poll
        self._outbox = outbox
        self._poll = None

    def add(self, fd: int, member: Endpoint) -> None:
        """Let `member` read from `fd`. Raises OSError at a limit of the system."""
        if self._poll is None:
            poll = self._open_poll()
            # Not in the context of the application, from which this may be called.
            self._context.copy().run(self._loop.add_reader, poll.fileno(), self.run)
            self._poll = poll
        self._members[fd] = member
        try:
            self._poll.register(fd, 1)
        except OSError:
            self._forget(fd)
            raise

    def remove(self, fd: int) -> None:
        """Stop reading from `fd`, which is still open. Has no effect if it is not read from."""
        if fd in self._members:
            with contextlib.suppress(OSError):  # closed already
                self._poll.unregister(fd)
            self._forget(fd)

    def has_input(self) -> bool:
        """Return whether a socket has input that is left to the next iteration of the loop."""
        return self._poll is not None and len(readable(self._poll, 1)) > 0

    def run(self) -> None:
        """Serve the sockets that are ready. Called by the event loop."""
        start = monotonic()
        end = start + MAX_TIME
        while self._poll is not None:
            ready = readable(self._poll, self._batch)
            if len(ready) < self._batch:
                self._serve(ready)
                return
            self._serve(ready)
            now = monotonic()
            if now - start > MAX_TIME:
                self._batch = max(MIN_BATCH, self._batch // 2)
            if now > end:
                return
            self._batch = min(MAX_BATCH, self._batch * 2)
            start = now

    def _serve(self, ready: list[int]) -> None:
        self._outbox.hold()
        try:
            self._read_all(ready)
        finally:
            self._outbox.run()

    def _read_all(self, ready: list[int]) -> None:
        waiting: list[tuple[Endpoint, int, bytes]] = []
        try:
            for fd in ready:
                member = self._members.get(fd)
                if member is None:  # removed by the one before
                    continue
                data = self._read(member, fd)
                if data is not None:
                    if len(data) > SMALL:
                        self._process(member, fd, data)
                    else:
                        waiting.append((member, fd, data))
        finally:
            self._process_from(waiting, 0)

    def _process_from(self, waiting: list[tuple[Endpoint, int, bytes]], index: int) -> None:
        try:
            while index < len(waiting):
                member, fd, data = waiting[index]
                index += 1
                self._process(member, fd, data)
        finally:
            if index < len(waiting):  # an interrupt of the program must not lose what others have sent
                self._process_from(waiting, index)

    def _read(self, member: Endpoint, fd: int) -> bytes | None:
        try:
            try:
                return member.read(fd)
            except OSError:  # the system reports it once: the transport would not notice
                member.leave_inbox(True)
        except Exception as error:
            member.crash(error)
        return None

    def _process(self, member: Endpoint, fd: int, data: bytes) -> None:
        try:
            if data:
                member.receive(data)
            elif fd in self._members:  # otherwise it has paused, and will read the end again
                member.leave_inbox(False)
        except Exception as error:
            member.crash(error)

    def _forget(self, fd: int) -> None:
        del self._members[fd]
        if not self._members:
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()
            self._poll = None


class Reader(Endpoint):
    """Calls `callback`, which reads, until `cancel`. `report` gets what it raises."""

    __slots__ = ("_arguments", "_callback", "_report")

    _arguments: tuple[Any, ...]
    _callback: Callable[..., object] | None
    _report: Callable[[Exception], object]

    def __init__(
        self, callback: Callable[..., object], arguments: tuple[Any, ...], report: Callable[[Exception], object]
    ) -> None:
        self._callback = callback
        self._arguments = arguments
        self._report = report

    def cancel(self) -> None:
        self._callback = None

    def read(self, fd: int) -> bytes | None:
        return UNREAD

    def receive(self, data: bytes) -> None:
        if self._callback is not None:
            self._callback(*self._arguments)

    def crash(self, error: Exception) -> None:
        self._report(error)
