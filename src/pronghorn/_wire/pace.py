"""The pace of a client that sends a body."""

from __future__ import annotations

# Seconds by which a client may fall behind: a network may stall for some of them.
SECONDS = 10


class Pace:
    """One body's pace, for a client that must send `rate` bytes a second on average, but may fall SECONDS behind."""

    __slots__ = ("_credit", "_rate", "_size")

    _credit: int
    _rate: int
    _size: int

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._credit = rate * SECONDS
        self._size = 0

    def is_too_slow(self, size: int) -> bool:
        """Count a second in which the body was awaited, and grew to `size`. Return true if it should be longer."""
        self._credit = min(self._credit + size - self._size, self._rate * SECONDS) - self._rate
        self._size = size
        return self._credit < 0
