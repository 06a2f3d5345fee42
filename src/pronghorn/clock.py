"""One tick a second for a whole worker, in place of a timer for each request."""

from __future__ import annotations

import asyncio

from pronghorn.state import ServerState


class Clock:
    """Ticks from `start` to `stop`."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._state.tick(int(self._state.loop.time()))
        self._timer = self._state.loop.call_later(1, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._timer = self._state.loop.call_later(1, self._tick)
        self._state.tick(int(self._state.loop.time()))
