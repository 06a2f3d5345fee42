"""Turns the pages of a server's processes into metrics of prometheus_client."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pronghorn import __version__
from pronghorn.metrics import layout
from pronghorn.metrics.layout import Family, Kind, Samples

if TYPE_CHECKING:
    from pronghorn.metrics.page import Pages, Reading


class Server(Protocol):
    """The server whose metrics are shown. Everything may be called in any thread."""

    pages: Pages

    def phase(self) -> str:
        """`starting`, `ready` or `draining`."""

    def workers(self) -> list[tuple[int, str, float]]:
        """The process ID, state and age in seconds of each process that serves."""

    def worker_events(self) -> tuple[int, Mapping[Any, int]]:
        """The numbers of workers started, and ended by cause."""


class PageCollector(Collector):
    """The metrics of `server`, read anew for each scrape."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        reading = self._server.pages.read()
        for family in layout.FAMILIES:
            yield _metric(family, reading)
        cpu = CounterMetricFamily(
            "pronghorn_worker_cpu_seconds", "Processor time of each worker and those before it.", labels=["worker"]
        )
        for slot, spent in sorted(reading.cpu.items()):
            cpu.add_metric([str(slot)], spent * layout.NANOSECONDS)
        yield cpu
        started, ended = self._server.worker_events()
        yield CounterMetricFamily("pronghorn_worker_starts", "Worker processes started.", started)
        ends = CounterMetricFamily("pronghorn_worker_ends", "Worker processes ended, by cause.", labels=["cause"])
        for cause, count in ended.items():
            ends.add_metric([str(cause)], count)
        yield ends
        yield GaugeMetricFamily("pronghorn_workers", "Processes that serve.", len(self._server.workers()))
        yield InfoMetricFamily(
            "pronghorn", "The server.", {"version": __version__, "python": platform.python_version()}
        )


def _metric(family: Family, reading: Reading) -> Metric:
    match family.kind:
        case Kind.HISTOGRAM:
            return _histogram(family, reading.total)
        case Kind.GAUGE if family.samples is not None:
            gauge = GaugeMetricFamily(family.name, family.help, labels=["pid"])
            pages = reading.workers if family.samples is Samples.WORKERS else reading.processes
            for pid, cells in pages.items():
                gauge.add_metric([str(pid)], cells[family.first] * family.scale)
            return gauge
    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=list(family.labels))
    for index, values in enumerate(itertools.product(*family.labels.values())):
        metric.add_metric(values, reading.total[family.first + index] * family.scale)
    return metric


def _histogram(family: Family, cells: list[int]) -> Metric:
    first = family.first
    count = len(layout.BOUNDS) + 1
    below = itertools.accumulate(cells[first : first + count])
    bounds = [str(float(bound * layout.NANOSECONDS)) for bound in layout.BOUNDS]
    buckets = list(zip([*bounds, "+Inf"], below, strict=True))
    return HistogramMetricFamily(family.name, family.help, buckets, cells[first + count] * family.scale)
