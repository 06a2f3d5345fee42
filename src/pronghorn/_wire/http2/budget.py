"""The limits on a client of HTTP/2 beyond its requests: frames without a purpose, and streams that are reset."""

from __future__ import annotations

# Frames that make no progress, such as PING or an empty DATA, and how many more each second and each step of progress
# allow. Clients of gRPC send up to three WINDOW_UPDATE for a message of a few bytes.
MOST_FRAMES = 1000
FRAMES_A_SECOND = 100
FRAMES_A_STEP = 4

# Streams that the client resets, makes us reset, or makes us refuse. Each response allows one more, too: a browser
# cancels a lot, but it reads as well (CVE-2023-44487, CVE-2025-8671).
MOST_RESETS = 200
RESETS_A_SECOND = 20

# Seconds in a row in which the budget is used up: after that the client is hostile, not busy.
MOST_STRIKES = 10


class Budget:
    """One client's budget. While it is spent, nothing is read from the client: that slows an attack down, and does not
    end the requests of others behind the same proxy.
    """

    __slots__ = ("_frames", "_resets", "_strikes")

    _frames: int
    _resets: int
    _strikes: int

    def __init__(self) -> None:
        self._frames = MOST_FRAMES
        self._resets = MOST_RESETS
        self._strikes = 0

    def spend_frame(self, steps: int) -> None:
        """Count a frame that makes no progress, after `steps` that have made some."""
        self._frames = min(MOST_FRAMES, self._frames + steps * FRAMES_A_STEP) - 1

    def spend_reset(self) -> None:
        """Count a stream that was reset or refused."""
        self._resets -= 1

    def earn_reset(self) -> None:
        """Count a stream that has ended by its response."""
        if self._resets < MOST_RESETS:
            self._resets += 1

    def is_spent(self) -> bool:
        """Return whether the client has to wait."""
        return self._frames <= 0 or self._resets <= 0

    def refill(self) -> bool:
        """Add what a second allows. Return false if the client has used that up for too long."""
        self._strikes = self._strikes + 1 if self.is_spent() else 0
        self._frames = min(MOST_FRAMES, self._frames + FRAMES_A_SECOND)
        self._resets = min(MOST_RESETS, self._resets + RESETS_A_SECOND)
        return self._strikes <= MOST_STRIKES
