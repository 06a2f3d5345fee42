"""The service that an honest client gets during an attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Outcome(NamedTuple):
    """Of an honest client's requests: their number, those that failed, times in milliseconds. The growth of the server
    in bytes, and the number of connections that the attacker has opened.
    """

    requests: int
    failures: int
    p50: float
    p99: float
    grown: int
    connections: int = 0


def measured(times: Sequence[float], failures: int, grown: int, connections: int = 0) -> Outcome:
    """The outcome of requests that were answered within `times`, in seconds, and of `failures`."""
    requests = len(times) + failures
    p50, p99 = (1000 * _quantile(share, sorted(times)) for share in (0.5, 0.99))
    return Outcome(requests, failures, p50, p99, grown, connections)


def _quantile(share: float, times: Sequence[float]) -> float:
    """The time within which this share of the requests was answered; NaN without any."""
    return times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")
