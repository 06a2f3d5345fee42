"""Signals as something to wait for, beside pipes and the sentinels of processes."""

from __future__ import annotations

import signal
import socket
from types import FrameType, TracebackType
from typing import Any, Self

from pronghorn.handlers import own

# What tells a process to end; a system has some of them.
EXITS = ("SIGINT", "SIGTERM", "SIGBREAK")


class Signals:
    """While entered, the signals of these names, those that the system has, do nothing but wake who waits for this.

    The bytes that `signal.set_wakeup_fd` writes are the queue: none comes between a look at it and the wait.
    """

    def __init__(self, *names: str) -> None:
        self._numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        self._originals: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._original_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._originals = {number: signal.signal(number, ignore) for number in self._numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._originals.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._original_fd)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        return self._reader.fileno()

    def read(self) -> list[str]:
        """The names of those that came since the last time, in order."""
        try:
            numbers = self._reader.recv(4096)
        except BlockingIOError:
            return []
        return [signal.Signals(number).name for number in numbers if number in self._originals]


@own
def ignore(number: int, frame: FrameType | None) -> None:
    """A handler that does nothing. Unlike SIG_IGN it is not inherited, and lets the wake-up descriptor be written."""
