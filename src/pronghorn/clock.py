"""One tick a second for a whole worker: the Date field, and the deadlines of every connection."""

from __future__ import annotations

import asyncio

from pronghorn.state import ServerState


class Clock:
    """Ticks from `start` to `stop`."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._state.shared.tick(int(self._state.loop.time()))
        self._timer = self._state.loop.call_later(1, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        state = self._state
        now = int(state.loop.time())
        self._timer = state.loop.call_later(1, self._tick)
        state.shared.tick(now)
        state.wire.sweep([each.connection for each in state.connections if hasattr(each, "connection")], now)
