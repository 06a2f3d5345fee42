"""Wait for signals together with pipes and process sentinels."""

from __future__ import annotations

import signal
import socket
from types import FrameType, TracebackType
from typing import Any, Self

from pronghorn.signal_handlers import reset_after_fork

# The signals that end a process. No system has them all.
EXIT_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")

# The signals that a new worker blocks until it has handlers for them.
HANDLED_LATER = [getattr(signal, name) for name in ("SIGINT", "SIGUSR1") if hasattr(signal, name)]


class Signals:
    """Context manager: while active, the named signals only wake the process that waits on this object. Names that the
    system does not have are ignored.

    `signal.set_wakeup_fd` queues signals in a socket: one between `read` and the next wait is not missed.
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
        """The names of the signals since the previous call, in order."""
        try:
            numbers = self._reader.recv(4096)
        except BlockingIOError:
            return []
        return [signal.Signals(number).name for number in numbers if number in self._originals]


@reset_after_fork
def ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, a handler is not inherited, and Python still writes to the wake-up descriptor."""
