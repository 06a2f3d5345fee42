"""One tick a second for the whole server, instead of a timer for each request."""

from __future__ import annotations

import asyncio

from pronghorn.server.state import ServerState


class Clock:
    """Calls `ServerState.tick` from `start` to `stop`, once a second while the event loop is not blocked.

    A blocked server neither reads nor writes, so that time does not count against any client.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._now = int(self._state.loop.time())
        self._state.tick(self._now)
        self._timer = self._state.loop.call_later(1, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        if self._timer is not None:
            self._state.note_lag(self._state.loop.time() - self._timer.when())
        self._timer = self._state.loop.call_later(1, self._tick)
        self._now += 1
        self._state.tick(self._now)
