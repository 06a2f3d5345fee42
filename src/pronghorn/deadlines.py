"""Deadlines: times of `time.monotonic`, in seconds."""

from __future__ import annotations

import time

FOREVER = float("inf")
"""No deadline; also a number of seconds without a limit."""


def after(seconds: float | None) -> float:
    """The time in `seconds` from now; FOREVER for None."""
    return FOREVER if seconds is None else time.monotonic() + seconds
