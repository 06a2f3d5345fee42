"""SIGHUP and SIGUSR1 to a server that owns its signals. The handler only counts: each server acts in its event loop,
where no other code is in the middle of something.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

from pronghorn.signal_handlers import reset_after_fork


class Received(NamedTuple):
    """The signals since the process began."""

    reloads: int = 0
    """SIGHUP: read again what may change while a server runs."""
    reopens: int = 0
    """SIGUSR1: open moved log files again."""


received = Received()

# Windows has neither.
_NUMBERS = [getattr(signal, name) for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)]

# The handler that ours replaced, by signal, and the number of calls of `count` that have not ended.
_replaced: dict[int, Any] = {}
_users = 0


@contextlib.contextmanager
def counted(also_ignored: bool = False) -> Iterator[None]:
    """`count` during this block."""
    global _users
    if not count(also_ignored):
        yield
        return
    try:
        yield
    finally:
        _users -= 1
        if not _users:
            _restore()


def count(also_ignored: bool = False) -> bool:
    """Count the signals in `received`; return whether this is possible, which is only in the main thread.

    A handler of the application's wins, whether installed earlier or later. `also_ignored`: take over a signal that is
    ignored, since nohup ignores SIGHUP before it starts a program.
    """
    global _users
    if threading.current_thread() is not threading.main_thread():
        return False
    _users += 1
    free = (signal.SIG_DFL, signal.SIG_IGN) if also_ignored else (signal.SIG_DFL,)
    for number in _NUMBERS:
        if signal.getsignal(number) in free:
            _replaced[number] = signal.signal(number, _count)
    return True


def _restore() -> None:
    for number, original in _replaced.items():
        if signal.getsignal(number) == _count:
            signal.signal(number, original)
    _replaced.clear()


@reset_after_fork
def _count(number: int, frame: FrameType | None) -> None:
    global received
    if signal.Signals(number).name == "SIGHUP":
        received = received._replace(reloads=received.reloads + 1)
    else:
        received = received._replace(reopens=received.reopens + 1)
