"""Limits on one process: the requests that it serves, its resident memory, its age. Past one of them, it ends and
another takes its place.
"""

from __future__ import annotations

import random
import time
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pronghorn.config import Config


class Limit(StrEnum):
    """The limit that a process has reached."""

    REQUESTS = "requests"
    RSS = "rss"
    LIFETIME = "lifetime"


class ProcessLimits:
    """The limits of `config` on this process, whose age counts from here. Raises StartupError if the system cannot tell
    the memory.
    """

    def __init__(self, config: Config) -> None:
        self._max_rss: int | None = None
        if config.limit_max_rss is not None:
            from pronghorn.process import memory  # only where it is limited

            self._max_rss = memory.limit(config.limit_max_rss, config.workers or 1)
            self._resident = memory.resident
        self._lifetime = config.limit_worker_lifetime
        if self._lifetime is not None:
            self._lifetime += random.uniform(0, config.limit_worker_lifetime_jitter)
            self._expires = time.monotonic() + self._lifetime

    def reached(self, requests: int, max_requests: int | None) -> tuple[Limit, str] | None:
        """The first limit that is reached, and the reason in words."""
        if max_requests is not None and requests >= max_requests:
            return Limit.REQUESTS, f"Maximum request limit of {max_requests} exceeded."
        if self._lifetime is not None and time.monotonic() >= self._expires:
            return Limit.LIFETIME, f"Maximum lifetime of {self._lifetime:.0f} seconds exceeded."
        return None

    def exceeded_memory(self) -> tuple[Limit, str] | None:
        """The same for the memory, whose check needs a system call."""
        if self._max_rss is None:
            return None
        try:
            rss = self._resident()
        except OSError:  # no descriptor is free: the next check may find one
            return None
        if rss > self._max_rss:
            return Limit.RSS, f"Resident memory of {_mib(rss)} exceeds the limit of {_mib(self._max_rss)}."
        return None


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
