"""Samples of a metrics listener, made up."""

from __future__ import annotations

from collections.abc import Mapping

from pronghorn.top.samples import Key, Sample, Worker


def sample(
    at: float = 0,
    counters: Mapping[Key, float] | None = None,
    gauges: Mapping[Key, float] | None = None,
    workers: int = 0,
    phase: str = "ready",
) -> Sample:
    """A sample with the given cells, and workers with process IDs from 1001."""
    serving = [Worker(1001 + index, "serving", 60) for index in range(workers)]
    return Sample(at, phase, "1.2.3", serving, dict(counters or {}), dict(gauges or {}))
