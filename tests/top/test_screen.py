"""Frames of the live view."""

from __future__ import annotations

import io
import time

import pytest

pytest.importorskip("prometheus_client")
pytest.importorskip("rich")

from rich.console import Console

from pronghorn.top import screen
from pronghorn.top.figures import Change
from pronghorn.top.samples import Sample
from pronghorn.top.watch import View
from tests.support.samples import sample

REQUESTS = ("pronghorn_requests_total", "GET", "2xx")


def lines(view: View, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as captured:
        console.print(screen.draw("127.0.0.1:9000", view, console))
    return [line.rstrip() for line in captured.get().splitlines()]


def crowd(workers: int, requests: float = 0) -> View:
    """A view of a server with everything to show."""
    counters = {REQUESTS: requests, ("pronghorn_worker_starts_total",): float(workers)}
    counters |= {("pronghorn_requests_total", "GET", status): requests for status in ("1xx", "3xx", "4xx", "none")}
    gauges = {("pronghorn_connections", "http1", state): requests for state in ("active", "idle")}
    before: Sample = sample(0, dict.fromkeys(counters, 0))
    return View(Change(before, sample(1, counters, gauges, workers)))


def test_blocks_stand_side_by_side_in_80_columns() -> None:
    shown = lines(crowd(3, 99_999))
    assert shown[0] == "127.0.0.1:9000  ready  pronghorn 1.2.3"
    assert all(heading in shown[2] for heading in ("load", "latency", "status /s", "active", "idle"))
    assert max(map(len, shown)) <= 80
    assert not any("…" in line for line in shown)


def test_layout_does_not_depend_on_the_numbers() -> None:
    few, many = lines(crowd(3, 1)), lines(crowd(3, 99_999))
    assert [line.find("latency") for line in few] == [line.find("latency") for line in many]
    assert few[2].find("status") == many[2].find("status")
    assert len(few) == len(many)


@pytest.mark.parametrize(("height", "workers"), [(24, 8), (24, 9), (24, 500), (18, 9), (17, 3), (16, 3), (40, 24)])
def test_frame_has_no_more_lines_than_the_screen(height: int, workers: int) -> None:
    shown = lines(crowd(workers), height=height)
    listed = sum("serving  " in line for line in shown)
    assert len(shown) <= height
    assert listed == workers or shown[-1] == f"and {workers - listed} more: {workers - listed} serving"


def test_narrow_screen_has_the_blocks_below_each_other() -> None:
    shown = lines(crowd(1), width=45, height=60)
    assert max(map(len, shown)) <= 45
    assert any(line.startswith("HTTP/2") for line in shown)
    assert any(line.startswith("1001") for line in shown)


def test_silent_server_is_shown_as_such_with_its_last_figures() -> None:
    change = crowd(2).change
    shown = lines(View(change, "Connection refused", time.monotonic() - 7))
    assert shown[0] == "127.0.0.1:9000  no answer for 7 s: Connection refused"
    assert any(line.startswith("1002") for line in shown)


def test_server_that_has_never_answered_is_waited_for() -> None:
    assert lines(View()) == ["127.0.0.1:9000"]
    assert lines(View(None, "refused", time.monotonic())) == ["127.0.0.1:9000  no answer for 0 s: refused"]
