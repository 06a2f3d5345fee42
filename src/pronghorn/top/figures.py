"""Figures from two samples: rates, and percentiles of the time between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pronghorn.top.samples import Key, Sample


class Quantile(NamedTuple):
    """A duration in seconds. If it `is_exceeded`, it is only known that the quantile is longer."""

    seconds: float
    is_exceeded: bool = False


class Change:
    """The change from a sample to a later one of the same place. All rates are None without the first sample.

    If a new server has started between them, its counters have grown from zero.
    """

    def __init__(self, before: Sample | None, after: Sample) -> None:
        self.after = after
        self._seconds = after.at - before.at if before else 0.0
        self._base: dict[Key, float] = {} if before is None or has_restarted(before, after) else before.counters

    def rate(self, counter: str) -> float | None:
        """The rate per second of a counter, for all values of its labels together."""
        rates = self.rates(counter)
        return None if rates is None else sum(rates.values())

    def rates(self, counter: str) -> dict[str, float] | None:
        """The rates per second of a counter by the value of its last label."""
        if self._seconds <= 0:
            return None
        rates: dict[str, float] = {}
        for key, value in self.after.counters.items():
            if key[0] == counter:
                grown = value - self._base.get(key, 0)
                rates[key[-1]] = rates.get(key[-1], 0) + grown / self._seconds
        return rates

    def quantile(self, share: float, histogram: str) -> Quantile | None:
        """The quantile of what a histogram has counted between the samples; None if that is nothing."""
        rates = self.rates(f"{histogram}_bucket") or {}
        return quantile(share, sorted((float(bound), rate) for bound, rate in rates.items()))


def has_restarted(before: Sample, after: Sample) -> bool:
    """Return whether a counter has gone back, which those of one server never do."""
    return any(after.counters.get(key, 0) < value for key, value in before.counters.items())


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> Quantile | None:
    """The quantile of a histogram, interpolated within its bucket. None if the histogram is empty.

    A bucket is its upper bound and the number of durations up to it; the last is without a bound.
    """
    if not buckets or not buckets[-1][1]:
        return None
    rank = share * buckets[-1][1]
    lower, below = 0.0, 0.0
    for bound, up_to in buckets:
        if up_to >= rank and up_to > below:
            if math.isinf(bound):
                break
            return Quantile(lower + (bound - lower) * (rank - below) / (up_to - below))
        lower, below = bound, up_to
    return Quantile(lower, is_exceeded=True)
