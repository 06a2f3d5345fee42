"""The figures as text: sections of rows, for the screen and for scripts. Each figure has a fixed unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pronghorn.top.figures import Change, Quantile
from pronghorn.top.samples import Worker

DURATION = "http_server_request_duration_seconds"
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
PROTOCOLS = {"HTTP/1.1": "http1", "HTTP/2": "http2"}

UNKNOWN = "-"
# Width of the first column of the lines.
LABEL = 11


@dataclass(frozen=True)
class Section:
    """Rows with the same columns. `justify` has `l` or `r` for each column: left or right."""

    justify: str
    rows: Sequence[tuple[str, ...]]
    heading: tuple[str, ...] = ()


def load(change: Change) -> Section:
    """Requests, bytes and processor time."""
    cpu = change.rate("process_cpu_seconds_total")
    rows = [
        ("requests", _number(change.rate("pronghorn_requests_total")), "/s"),
        ("active", _count(change, "http_server_active_requests"), ""),
        ("received", _kibibytes(change.rate("pronghorn_received_bytes_total")), "KiB/s"),
        ("sent", _kibibytes(change.rate("pronghorn_sent_bytes_total")), "KiB/s"),
        ("CPU", _number(None if cpu is None else 100 * cpu), "%"),
    ]
    return Section("lrl", rows, ("load", "", ""))


def latency(change: Change) -> Section:
    """Percentiles of requests' durations."""
    rows = [(name, *_duration(change.quantile(share, DURATION))) for name, share in PERCENTILES.items()]
    return Section("lrl", rows, ("", "latency", ""))


def statuses(change: Change) -> Section:
    """Responses by the class of their status."""
    names = dict.fromkeys(key[-1] for key in change.after.counters if key[0] == "pronghorn_requests_total")
    rates = change.rates("pronghorn_requests_total") or {}
    # `none`, the requests without a response, comes last.
    return Section("lr", [(name, _number(rates.get(name))) for name in sorted(names)], ("", "status /s"))


def connections(change: Change) -> Section:
    """Open connections, streams and WebSockets."""
    gauges = change.after.gauges
    rows: list[tuple[str, ...]] = [
        (name, *(f"{gauges.get(('pronghorn_connections', label, state), 0):.0f}" for state in ("active", "idle")))
        for name, label in PROTOCOLS.items()
    ]
    rows.append(("streams", _count(change, "pronghorn_http2_streams"), ""))
    rows.append(("WebSockets", _count(change, "pronghorn_open_websockets"), ""))
    return Section("lrr", rows, ("open", "active", "idle"))


def incidents(change: Change) -> Section:
    """Refused, slow and lost clients by reason, and the workers that have started and ended since the server's start.

    Only what is not zero.
    """
    rows: list[tuple[str, ...]] = [
        ("refused", _rates(change.rates("pronghorn_refused_requests_total"))),
        ("timeouts", _rates(change.rates("pronghorn_timeouts_total"))),
        ("cancelled", _rate(change.rate("pronghorn_cancelled_responses_total"))),
    ]
    counters = change.after.counters
    if started := counters.get(("pronghorn_worker_starts_total",), 0):
        ended = {key[-1]: value for key, value in counters.items() if key[0] == "pronghorn_worker_ends_total" and value}
        causes = ", ".join(f"{cause} {value:.0f}" for cause, value in ended.items())
        text = f"{started:.0f} started, {sum(ended.values()):.0f} ended"
        rows.append(("workers", f"{text}: {causes}" if causes else text))
    return Section("ll", rows)


def workers(change: Change) -> Section:
    """The processes that serve."""
    return Section(
        "llrrr", [_worker(change, each) for each in change.after.workers], ("PID", "state", "age", "memory", "lag")
    )


def summary(hidden: Iterable[Worker]) -> str:
    """A line about the workers for which there is no room."""
    states = Counter(each.state for each in hidden)
    return f"and {states.total()} more: " + ", ".join(f"{count} {state}" for state, count in states.items())


def sections(change: Change) -> list[Section]:
    """All sections."""
    return [part(change) for part in (load, latency, statuses, connections, incidents, workers)]


def plain(place: str, change: Change) -> str:
    """Everything as lines, without trailing spaces."""
    server = Section("ll", [("server", place), ("phase", change.after.phase), ("version", change.after.version)])
    return "\n\n".join(_lines(section) for section in [server, *sections(change)])


def _lines(section: Section) -> str:
    rows = [section.heading, *section.rows] if section.heading else section.rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = max(widths[0], LABEL)
    lines = []
    for row in rows:
        cells = zip(section.justify, row, widths, strict=True)
        lines.append("  ".join(f"{cell:{'<' if side == 'l' else '>'}{width}}" for side, cell, width in cells).rstrip())
    return "\n".join(lines)


def _worker(change: Change, worker: Worker) -> tuple[str, ...]:
    pid = str(worker.pid)
    memory = change.after.gauges.get(("process_resident_memory_bytes", pid))
    lag = change.after.gauges.get(("pronghorn_event_loop_latest_lag_seconds", pid))
    return (
        pid,
        worker.state,
        _age(worker.age),
        UNKNOWN if memory is None else f"{memory / 2**20:.1f} MiB",
        UNKNOWN if lag is None else f"{lag * 1000:.1f} ms",
    )


def _age(seconds: float) -> str:
    """A time as hours, minutes and seconds, with the days before them."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{f'{days}d ' if days else ''}{hour:02}:{minute:02}:{second:02}"


def _count(change: Change, gauge: str) -> str:
    return f"{change.after.gauges.get((gauge,), 0):.0f}"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"


def _rate(value: float | None) -> str:
    return f"{_number(value)} /s" if value else _zero(value)


def _rates(rates: Mapping[str, float] | None) -> str:
    named = ", ".join(f"{reason} {_rate(rate)}" for reason, rate in (rates or {}).items() if rate)
    return named or _zero(rates)


def _zero(value: object) -> str:
    return UNKNOWN if value is None else "0"


def _kibibytes(value: float | None) -> str:
    return _number(None if value is None else value / 1024)


def _duration(quantile: Quantile | None) -> tuple[str, str]:
    """The number and its unit."""
    if quantile is None:
        return UNKNOWN, ""
    if quantile.is_exceeded:
        return f"> {quantile.seconds:g}", "s"
    return f"{quantile.seconds * 1000:.1f}", "ms"
