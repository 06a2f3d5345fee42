"""A timer of an event loop that repeats, and measures by how much the loop is late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic


class Beat:
    """Calls `on_beat(lag)` in `loop` every `interval` seconds, from `start` to `stop`. `lag` is the number of seconds
    by which the call is late; those that the loop has missed meanwhile are skipped.

    `due` is the time of the next call. It changes at the end of a call, and any thread may read it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, on_beat: Callable[[float], object]) -> None:
        self.due = 0.0
        self._loop = loop
        self._interval = interval
        self._on_beat = on_beat
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.due = self._schedule()

    def stop(self) -> None:
        """May be called again."""
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> float:
        self._timer = self._loop.call_later(self._interval, self._call)
        return monotonic() + self._interval

    def _call(self) -> None:
        lag = max(0.0, monotonic() - self.due)
        due = self._schedule()
        try:
            self._on_beat(lag)
        finally:
            self.due = due
