"""Handlers of signals: those that stop a server, and what becomes of ours in forked children."""

from __future__ import annotations

import contextlib
import os
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

# What each of our handlers has replaced: several servers in one loop may end in any order.
_replaced: dict[tuple[int, Handler], Any] = {}

# Handlers of ours that stay for as long as the process lives.
_lasting: list[Handler] = []


def own(handler: Handler) -> Handler:
    """Declare `handler`, whoever puts it in force, to be one that forked children do not inherit."""
    _lasting.append(handler)
    return handler


def obey_as_process_1() -> None:
    """Let SIGTERM end this process until a server handles it: the kernel keeps from process 1 what has no handler."""
    if os.getpid() == 1 and _in_main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)


@contextlib.contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Have `handler` called for them, which Python allows in the main thread only: in others this does nothing."""
    if not _in_main_thread():
        yield
        return
    for number in _NUMBERS:
        original = signal.signal(number, handler)
        _replaced[number, handler] = signal.SIG_DFL if original == _end else original
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


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@own
def _end(number: int, frame: FrameType | None) -> None:
    os._exit(0)  # as at once as the signal does it elsewhere: code of the application's might catch an exception


def _reset_in_child() -> None:
    """Put Python's own handlers in the place of ours, which do nothing in a process without a server."""
    for number in signal.valid_signals():
        if _is_ours(number, signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.set_wakeup_fd(-1)  # through which the child's signals would reach the parent


def _is_ours(number: int, handler: Any) -> bool:
    return handler in _lasting or any(number == each and handler == ours for each, ours in _replaced)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
