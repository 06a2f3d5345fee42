"""Log lines for a standard stream whose reader may be slow or blocked.

Lines are written at once as long as that does not block. Those that a full pipe does not take are kept, up to a limit,
for a thread that waits for the reader. Past the limit, lines are dropped and counted until the kept ones are written;
then their number is logged.
"""

from __future__ import annotations

import atexit
import contextlib
import enum
import io
import logging
import os
import select
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO

# Bytes kept for one stream.
LIMIT = 1 << 20

# Seconds that a flush waits for the reader.
PATIENCE = 1.0

# A pipe takes this much whole or not at all (POSIX), so the lines of several processes do not mix.
PIECE = getattr(select, "PIPE_BUF", 512)

_NAMES = {1: "standard output", 2: "standard error"}

# Untyped: Windows, where no stream has an outlet, lacks some of the names.
_os: Any = os
_select: Any = select

_log = logging.getLogger("pronghorn.error")


class LineHandler(logging.StreamHandler[Any]):
    """A StreamHandler that does not block on the reader of a standard stream, and reports once that it cannot write."""

    _is_failing = False
    """True from a failed write to the next that succeeds."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.write(self.format(record) + self.terminator)
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def write(self, lines: str) -> None:
        """Write whole lines, each with its newline. The caller holds the handler's lock."""
        stream = self.stream
        outlet = outlet_of(stream)
        if outlet is None:
            stream.write(lines)
            super().flush()
        else:
            outlet.write(lines.encode(stream.encoding, stream.errors), stream)
        if self._is_failing:
            self._is_failing = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Report an OSError, such as a full disk, once until it is over: the next lines would fail in the same way."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_failing:
            self._is_failing = True
            outlet = outlet_of(self.stream)
            name = getattr(self.stream, "name", "a stream") if outlet is None else _NAMES[outlet.fd]
            _log.error("Cannot write the log to %s: %s. Lines are lost.", name, error.strerror or error)

    def flush(self) -> None:
        """Wait until everything is written, for PATIENCE seconds at most."""
        outlet = outlet_of(self.stream)
        if outlet is None or outlet.flush(time.monotonic() + PATIENCE):
            super().flush()

    def is_full(self) -> bool:
        """Return whether lines are being dropped."""
        outlet = outlet_of(self.stream)
        return outlet is not None and outlet.state is State.FULL


class State(enum.Enum):
    OPEN = enum.auto()  # everything is written
    BEHIND = enum.auto()  # lines wait for the thread
    FULL = enum.auto()  # new lines are dropped until none waits


class Outlet:
    """The log lines for the descriptor `fd`. Thread-safe."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._ready = _select.poll()
        self._ready.register(fd, _select.POLLOUT)
        self._held = contextlib.ExitStack()
        self._open()
        self.begin()

    def begin(self) -> None:
        """Start empty; again in a forked child, since the thread and the kept lines are the parent's."""
        self.state = State.OPEN
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._has_timed_out = False
        self.thread: threading.Thread | None = None

    def write(self, lines: bytes, stream: TextIO) -> None:
        """Write `lines` after the output that is buffered in `stream`, which has this descriptor."""
        with self._lock:
            if self.state is State.OPEN:
                written = self._write_at_once(lines, stream)
                if written == len(lines):
                    return
                lines = lines[written:]
            self._keep(lines)

    def flush(self, deadline: float) -> bool:
        """Wait until everything is written; return whether it is. After a timeout, later calls do not wait until the
        reader has read something.
        """
        with self._changed:
            if not self._has_timed_out:
                timeout = deadline - time.monotonic()
                self._has_timed_out = not self._changed.wait_for(lambda: self.state is State.OPEN, timeout)
            return self.state is State.OPEN

    def take_dropped(self) -> int:
        """Return the number of lines dropped since the last call."""
        with self._changed:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def _open(self) -> None:
        """Choose how to write without blocking. O_NONBLOCK would affect every process that shares the stream, such as
        the shell, so a pipe or terminal is opened a second time.
        """
        self._held.close()
        status = os.fstat(self.fd)
        self._identity = status.st_dev, status.st_ino
        self._piece = PIECE
        self._waits = False
        self._write: Callable[[bytes], int]
        if stat.S_ISREG(status.st_mode):
            self._own = self.fd
            self._piece = sys.maxsize
        elif stat.S_ISSOCK(status.st_mode) and self._has_opened_socket():
            return
        else:
            try:
                self._own = os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | _os.O_NONBLOCK | _os.O_NOCTTY)
                self._held.callback(os.close, self._own)
            except OSError:  # not Linux, another user's pipe, or out of descriptors
                self._own = self.fd
                self._waits = True
        self._write = lambda data: os.write(self._own, data)

    def _has_opened_socket(self) -> bool:
        import socket  # for systemd services, whose journal reads from one

        if socket.getdefaulttimeout() is not None:  # it would set O_NONBLOCK
            return False
        try:
            sock = socket.socket(fileno=os.dup(self.fd))
        except OSError:  # out of descriptors
            return False
        self._held.enter_context(sock)
        self._own = sock.fileno()
        do_not_wait: int = getattr(socket, "MSG_DONTWAIT", 0)
        self._write = lambda data: sock.send(data, do_not_wait)
        return True

    def _write_at_once(self, lines: bytes, stream: TextIO) -> int:
        """Write what is possible without blocking; return the number of bytes."""
        status = os.fstat(self.fd)
        if self._identity != (status.st_dev, status.st_ino):  # after os.dup2
            self._open()
        events = self._ready.poll(0)
        if not events:
            return 0
        stream.flush()
        if self._waits and events[0][1] == _select.POLLOUT:  # else the reader is gone, and a write fails at once
            return 0
        return self._write_pieces(lines, 0)

    def _write_pieces(self, lines: bytes, written: int) -> int:
        """Write `lines` from the offset `written` on; return the new offset."""
        size = len(lines)
        try:
            while written < size:
                end = written + self._piece
                if end < size:
                    end = lines.rfind(b"\n", written, end) + 1 or end
                written += self._write(lines[written:end])
        except BlockingIOError:
            return written
        return written

    def _keep(self, lines: bytes) -> None:
        if self.state is State.FULL or (self._kept and self._size + len(lines) > LIMIT) or not self._has_thread():
            if self.state is State.BEHIND:
                self.state = State.FULL
            self._dropped += lines.count(b"\n")
            return
        self.state = State.BEHIND
        self._kept.append(lines)
        self._size += len(lines)
        self._changed.notify_all()

    def _has_thread(self) -> bool:
        if self.thread is None:
            thread = threading.Thread(target=self._write_kept, name=f"log {self.fd}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # too many threads
                return False
            self.thread = thread
        return True

    def _write_kept(self) -> None:
        """Write the kept lines as the reader takes them; runs in the thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._kept)
                lines = self._kept[0]
            try:
                self._write_all(lines)
            except OSError:
                self._drop_kept()
            else:
                self._remove_first()

    def _write_all(self, lines: bytes) -> None:
        ready = _select.poll()
        ready.register(self._own, _select.POLLOUT)
        written = 0
        while written < len(lines):
            ready.poll()
            written = self._write_pieces(lines, written)

    def _remove_first(self) -> None:
        """Remove the first kept lines, which are written."""
        with self._lock:
            self._size -= len(self._kept.popleft())
            self._has_timed_out = False
            if self._kept:
                return
            self.state = State.OPEN
            self._changed.notify_all()
        _report()

    def _drop_kept(self) -> None:
        """Drop the kept lines: the reader is gone. Not logged, since that line might fail in the same way, forever."""
        with self._lock:
            self._dropped += sum(lines.count(b"\n") for lines in self._kept)
            self._kept.clear()
            self._size = 0
            self.state = State.OPEN
            self._changed.notify_all()


_outlets: dict[int, Outlet] = {}


def outlet_of(stream: Any) -> Outlet | None:
    """The outlet of a standard stream; None for any other stream, such as a test's replacement, and on Windows."""
    if type(stream) is not io.TextIOWrapper or os.name == "nt":
        return None
    buffer: Any = stream.buffer
    raw = buffer.raw if type(buffer) is io.BufferedWriter else buffer
    if type(raw) is not io.FileIO or raw.closed:
        return None
    fd = raw.fileno()
    if fd not in _NAMES:
        return None
    outlet = _outlets.get(fd)
    if outlet is None:
        outlet = _outlets.setdefault(fd, Outlet(fd))
    return outlet


def threads() -> set[threading.Thread]:
    """The threads that write kept lines. A forked child does without them."""
    return {outlet.thread for outlet in _outlets.values() if outlet.thread is not None}


def flush() -> None:
    """Wait until everything is written, for PATIENCE seconds at most: the process is about to end."""
    deadline = time.monotonic() + PATIENCE
    for outlet in list(_outlets.values()):
        outlet.flush(deadline)
    _report(final=True)


def _report(final: bool = False) -> None:
    """Log the number of dropped lines, unless that line would be dropped too; a later call then logs it.

    An outlet that is still dropping lines is left for a later call as well, unless this one is `final`.
    """
    logger: logging.Logger | None = _log
    while logger is not None:
        if any(isinstance(handler, LineHandler) and handler.is_full() for handler in logger.handlers):
            return
        logger = logger.parent if logger.propagate else None
    for outlet in list(_outlets.values()):
        if (final or outlet.state is not State.FULL) and (dropped := outlet.take_dropped()):
            _log.warning("%d lines of the log were dropped: %s was not read in time.", dropped, _NAMES[outlet.fd])


def _begin_child() -> None:
    for outlet in _outlets.values():
        outlet.begin()


atexit.register(flush)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_child)
