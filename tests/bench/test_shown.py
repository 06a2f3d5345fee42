"""A comparison in the terminal and as a page."""

from __future__ import annotations

import pytest

pytest.importorskip("rich")

from pronghorn.bench import terminal
from pronghorn.bench.result import conclusions
from tests.support.figures import printed, result, row


def test_conclusion_compares_speed_and_cpu() -> None:
    assert conclusions(result().rows) == [
        "pronghorn against uvicorn: 2.00 × the requests/s, 0.40 × the CPU per request."
    ]


def test_conclusion_omits_speed_if_the_load_was_the_limit() -> None:
    rows = {"pronghorn": row(limited=True, ratio=None), "uvicorn": row()}
    assert conclusions(rows) == ["pronghorn against uvicorn: 0.40 × the CPU per request."]


def test_terminal_has_all_figures() -> None:
    shown = printed(lambda console: terminal.show(result(), console))
    for text in (
        "100,000",
        "2.00",
        "20.0",
        "2.50",
        "0.90",
        "100%",
        "32",
        "0.40 × the CPU",
        "Mind & the gap.",
        "wrk 4.2",
    ):
        assert text in shown
    assert "All answered 200 with 5 bytes." in shown
    assert "…" not in shown


def test_output_of_left_out_servers_is_shown() -> None:
    reasons = {"granian": "granian exited with status 1\n[tail]"}
    lines = printed(lambda console: terminal.left_out(reasons, console)).split("\n")
    assert [line.strip() for line in lines[:2]] == ["granian is left out: exited with status 1", "[tail]"]


def test_page_has_all_parts() -> None:
    pytest.importorskip("matplotlib")
    from pronghorn.bench import page

    shown = page.html(result())
    for text in ("GET /&lt;b&gt;", "Mind &amp; the gap.", "&lt;traceback&gt;", "python -m uvicorn", "0.40 × the CPU"):
        assert text in shown
    assert shown.count("<svg") == 2
    assert "<?xml" not in shown
    assert "http://" not in shown.replace("http://www.w3.org/", "").replace("http://creativecommons.org/", "").replace(
        "http://purl.org/", ""
    )


def test_page_without_figures_has_no_charts() -> None:
    pytest.importorskip("matplotlib")
    from pronghorn.bench import page

    none = {"pronghorn": row(per_second=None, cpu_us=None, ratio=None, rss=None)}
    assert "<svg" not in page.html(result(rows=none, notes=[], left_out={}))
