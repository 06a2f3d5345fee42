"""Handlers of the signals that stop a server: SIGINT and SIGTERM, on Windows SIGBREAK too."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], Any]

_NUMBERS = [signal.SIGINT, signal.SIGTERM]
if sys.platform == "win32":
    _NUMBERS.append(signal.SIGBREAK)

HANDLED_SIGNALS = tuple(_NUMBERS)

# What each of our handlers has replaced: several servers in one loop may end in any order.
_replaced: dict[tuple[int, Handler], Any] = {}


@contextlib.contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Have `handler` called for them, which Python allows in the main thread only: in others this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in _NUMBERS:
        _replaced[number, handler] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number in _NUMBERS:
            _restore(number, handler, _replaced.pop((number, handler)))


def _restore(number: int, handler: Handler, original: Any) -> None:
    """Put `original` where `handler` is: in force, or to be restored by one that came later."""
    if signal.getsignal(number) == handler:
        signal.signal(number, original)
    for later, replaced in _replaced.items():
        if later[0] == number and replaced == handler:
            _replaced[later] = original
