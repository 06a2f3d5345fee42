"""The numbers of worker processes that have started and ended."""

from __future__ import annotations

from enum import StrEnum

from pronghorn.process.limits import Limit


class Cause(StrEnum):
    """The cause of a worker's end."""

    REQUESTS = Limit.REQUESTS.value
    """Replaced at `--limit-max-requests`."""
    RSS = Limit.RSS.value
    """Replaced at `--limit-max-rss`."""
    LIFETIME = Limit.LIFETIME.value
    """Replaced at `--limit-worker-lifetime`."""
    RESTART = "restart"
    """Replaced after SIGHUP."""
    SURPLUS = "surplus"
    """Stopped because fewer workers are wanted."""
    SIGNAL = "signal"
    """Ended by a signal that its parent did not send."""
    EXIT = "exit"
    """Exited while it served."""
    NO_ANSWER = "no_answer"
    """Killed because it sent no message in time."""
    START = "start"
    """Failed to start, or did not serve in time."""


class Tally:
    """The workers of one supervisor. Only the supervisor counts; any thread may read.

    The workers that end together with the supervisor are not counted.
    """

    def __init__(self) -> None:
        self.starts = 0
        self.ends = dict.fromkeys(Cause, 0)  # all keys from the beginning: the size never changes under a reader

    def count_start(self) -> None:
        self.starts += 1

    def count_end(self, cause: Cause) -> None:
        self.ends[cause] += 1
