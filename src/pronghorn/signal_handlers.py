"""Signal handlers: installing those that stop a server, and removing ours in forked child processes."""

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

HANDLED_SIGNALS = tuple(_NUMBERS)

# The handler that each of ours replaced. Several servers in one event loop may end in any order.
_replaced: dict[tuple[int, Handler], Any] = {}

# Our handlers that stay installed until the process ends.
_permanent: list[Handler] = []

# Steps to take before a signal ends this process.
_last_steps: list[Callable[[], object]] = []


def reset_after_fork(handler: Handler) -> Handler:
    """Decorator: forked child processes do not inherit `handler`, whichever code installs it."""
    _permanent.append(handler)
    return handler


def handle_sigterm_as_process_1() -> None:
    """Let SIGTERM end this process before a server handles it. The kernel ignores signals to process 1 that have no
    handler.
    """
    if os.getpid() == 1:
        _handle_early_sigterm()


@contextlib.contextmanager
def before_death(step: Callable[[], object]) -> Iterator[None]:
    """Call `step` before SIGTERM, or another signal that stops a server, ends this process inside the block."""
    _last_steps.append(step)
    _handle_early_sigterm()
    try:
        yield
    finally:
        _last_steps.remove(step)


def take_last_steps() -> None:
    """Do what `before_death` promises: a signal is about to end this process."""
    for step in _last_steps:
        step()


@contextlib.contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Install `handler` for `HANDLED_SIGNALS`. Does nothing outside the main thread, where Python forbids it."""
    if not _in_main_thread():
        yield
        return
    for number in _NUMBERS:
        original = signal.signal(number, handler)
        _replaced[number, handler] = signal.SIG_DFL if original == _exit else original
    try:
        yield
    finally:
        for number in _NUMBERS:
            _restore(number, handler, _replaced.pop((number, handler)))


def _restore(number: int, handler: Handler, original: Any) -> None:
    """Replace `handler` by `original`, both as the current handler and as the one that a later server restores."""
    if signal.getsignal(number) == handler:
        signal.signal(number, original)
    for later, replaced in _replaced.items():
        if later[0] == number and replaced == handler:
            _replaced[later] = original


def _handle_early_sigterm() -> None:
    """Handle SIGTERM until a server does. Does nothing if a program handles it."""
    if _in_main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@reset_after_fork
def _exit(number: int, frame: FrameType | None) -> None:
    """End this process without an exception, which the application might catch."""
    take_last_steps()
    if os.getpid() == 1:  # it cannot die from the signal
        os._exit(0)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _reset_in_child() -> None:
    """Restore Python's own handlers: ours have no effect in a process without a server."""
    for number in signal.valid_signals():
        if _is_ours(number, signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.set_wakeup_fd(-1)  # the parent reads it, and would mistake the child's signals for its own


def _is_ours(number: int, handler: Any) -> bool:
    return handler in _permanent or any(number == each and handler == ours for each, ours in _replaced)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
