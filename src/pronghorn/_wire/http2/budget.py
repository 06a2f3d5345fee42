"""What a client of HTTP/2 may cost beyond its requests: frames without a purpose, and streams that are reset."""

from __future__ import annotations

from pronghorn.errors import HTTP2Error
from pronghorn.http2_constants import ENHANCE_YOUR_CALM

# Frames that make no progress, such as PING or an empty DATA, and how many more each second and each step of progress
# allow. Clients of gRPC send up to three WINDOW_UPDATE for a message of a few bytes.
MOST_FRAMES = 1000
FRAMES_A_SECOND = 100
FRAMES_A_STEP = 4

# Streams that the client resets, or makes us reset. Each response allows one more, too: a browser cancels a lot, but it
# reads as well (CVE-2023-44487, CVE-2025-8671).
MOST_RESETS = 200
RESETS_A_SECOND = 20


class Budget:
    """One client's budget. The methods that spend raise HTTP2Error when it is used up."""

    __slots__ = ("_frames", "_resets")

    _frames: int
    _resets: int

    def __init__(self) -> None:
        self._frames = MOST_FRAMES
        self._resets = MOST_RESETS

    def spend_frame(self, steps: int) -> None:
        """Count a frame that makes no progress, after `steps` that have made some."""
        self._frames = min(MOST_FRAMES, self._frames + steps * FRAMES_A_STEP) - 1
        if self._frames < 0:
            raise HTTP2Error(ENHANCE_YOUR_CALM, "too many frames without a purpose")

    def spend_reset(self) -> None:
        """Count a stream that was reset."""
        self._resets -= 1
        if self._resets < 0:
            raise HTTP2Error(ENHANCE_YOUR_CALM, "too many streams reset")

    def earn_reset(self) -> None:
        """Count a stream that has ended by its response."""
        if self._resets < MOST_RESETS:
            self._resets += 1

    def refill(self) -> None:
        """Add what a second allows."""
        self._frames = min(MOST_FRAMES, self._frames + FRAMES_A_SECOND)
        self._resets = min(MOST_RESETS, self._resets + RESETS_A_SECOND)
