"""The figures as text."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from pronghorn.top import report
from pronghorn.top.figures import Change
from pronghorn.top.samples import Worker
from tests.support.samples import sample

GAUGES: Any = {
    ("http_server_active_requests",): 2,
    ("pronghorn_connections", "http1", "active"): 3,
    ("pronghorn_connections", "http1", "idle"): 40,
    ("pronghorn_connections", "http2", "active"): 1,
    ("pronghorn_connections", "http2", "idle"): 0,
    ("pronghorn_http2_streams",): 5,
    ("pronghorn_open_websockets",): 6,
    ("process_resident_memory_bytes", "1001"): 35.5 * 2**20,
    ("pronghorn_event_loop_latest_lag_seconds", "1001"): 0.0123,
}
BEFORE: Any = {
    ("pronghorn_requests_total", "GET", "none"): 0,
    ("pronghorn_requests_total", "GET", "2xx"): 10,
    ("pronghorn_requests_total", "GET", "5xx"): 0,
    ("pronghorn_received_bytes_total",): 0,
    ("pronghorn_sent_bytes_total",): 0,
    ("process_cpu_seconds_total",): 1,
    ("http_server_request_duration_seconds_bucket", "0.1"): 5,
    ("http_server_request_duration_seconds_bucket", "10.0"): 10,
    ("http_server_request_duration_seconds_bucket", "+Inf"): 10,
    ("pronghorn_refused_requests_total", "malformed"): 1,
    ("pronghorn_refused_requests_total", "version"): 1,
    ("pronghorn_timeouts_total", "head"): 0,
    ("pronghorn_cancelled_responses_total",): 0,
    ("pronghorn_worker_starts_total",): 3,
    ("pronghorn_worker_ends_total", "signal"): 0,
    ("pronghorn_worker_ends_total", "no_answer"): 1,
}
GROWTH: Any = {
    ("pronghorn_requests_total", "GET", "2xx"): 90,
    ("pronghorn_requests_total", "GET", "5xx"): 5,
    ("pronghorn_received_bytes_total",): 2048,
    ("pronghorn_sent_bytes_total",): 4096 * 1024,
    ("process_cpu_seconds_total",): 2.5,
    ("http_server_request_duration_seconds_bucket", "0.1"): 90,
    ("http_server_request_duration_seconds_bucket", "10.0"): 91,
    ("http_server_request_duration_seconds_bucket", "+Inf"): 95,
    ("pronghorn_refused_requests_total", "version"): 4,
    ("pronghorn_timeouts_total", "head"): 1,
}
AFTER = {key: value + GROWTH.get(key, 0) for key, value in BEFORE.items()}

PLAIN = """\
server       127.0.0.1:9000
phase        ready
version      1.2.3

load
requests       47.5  /s
active            2
received        1.0  KiB/s
sent         2048.0  KiB/s
CPU           125.0  %

             latency
p50             52.8  ms
p90             95.0  ms
p99             > 10  s

             status /s
2xx               45.0
5xx                2.5
none               0.0

open         active  idle
HTTP/1.1          3    40
HTTP/2            1     0
streams           5
WebSockets        6

refused      version 2.0 /s
timeouts     head 0.5 /s
cancelled    0
workers      3 started, 1 ended: no_answer 1

PID          state         age    memory      lag
1001         serving  00:01:00  35.5 MiB  12.3 ms
1002         serving  00:01:00         -        -"""


def test_all_figures_are_shown() -> None:
    change = Change(sample(10, BEFORE), sample(12, AFTER, GAUGES, workers=2))
    assert report.plain("127.0.0.1:9000", change) == PLAIN


def test_rates_of_the_first_sample_are_unknown() -> None:
    change = Change(None, sample(10, AFTER, GAUGES))
    assert report.load(change).rows[:2] == [("requests", "-", "/s"), ("active", "2", "")]
    assert report.latency(change).rows[0] == ("p50", "-", "")
    assert report.statuses(change).rows[0] == ("2xx", "-")
    assert report.incidents(change).rows[:3] == [("refused", "-"), ("timeouts", "-"), ("cancelled", "-")]


def test_single_process_starts_no_workers() -> None:
    change = Change(None, sample(0, {("pronghorn_worker_starts_total",): 0}))
    assert [row[0] for row in report.incidents(change).rows] == ["refused", "timeouts", "cancelled"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.9, "00:00:59"), (3_661, "01:01:01"), (86_399, "23:59:59"), (90_000, "1d 01:00:00")]
)
def test_age_is_in_hours_after_the_days(seconds: float, text: str) -> None:
    shown = sample()
    shown.workers.append(Worker(1, "ready", seconds))
    assert report.workers(Change(None, shown)).rows == [("1", "ready", text, "-", "-")]


def test_hidden_workers_are_counted_by_state() -> None:
    hidden = [Worker(1, "serving", 0), Worker(2, "starting", 0), Worker(3, "serving", 0)]
    assert report.summary(hidden) == "and 3 more: 2 serving, 1 starting"
