"""One tick a second for the whole server, instead of a timer for each request."""

from __future__ import annotations

from pronghorn.server.beat import Beat
from pronghorn.server.state import ServerState


class Clock:
    """Calls `ServerState.tick` from `start` to `stop`, once a second while the event loop is not blocked.

    A blocked server neither reads nor writes, so that time does not count against any client.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._beat: Beat | None = None

    def start(self) -> None:
        loop = self._state.loop
        self._now = int(loop.time())
        self._state.tick(self._now)
        self._beat = Beat(loop, 1, self._tick)
        self._beat.start()

    def stop(self) -> None:
        if self._beat is not None:
            self._beat.stop()

    def _tick(self, lag: float) -> None:
        self._state.note_lag(lag)
        self._now += 1
        self._state.tick(self._now)
