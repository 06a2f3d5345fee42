"""The reports of the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")

from bench.markdown import table
from bench.outcome import Headline, Outcome
from bench.summary import ahead, summary_table
from pronghorn.bench.outcome import Column

SPEED = Headline("Plain", "per_second", ratio="ratio")
TIME = Headline("Start", "median", least_is_best=True)


def speed(name: str, **speeds: int) -> Outcome:
    """A measurement of answers per second."""
    outcome = Outcome(name, "Plain", [Column("per_second", "requests/s", str)], headlines=[SPEED])
    outcome.rows = {
        server: {"per_second": value, "cpu_us": 1e6 / value, "ratio": speeds["pronghorn"] / value}
        for server, value in speeds.items()
    }
    return outcome


def test_table_is_markdown() -> None:
    assert table(["server", "RSS"], [["floor", "1"]]) == "| server | RSS |\n| --- | ---: |\n| floor | 1 |"


def test_summary_compares_with_uvicorn_and_the_best_other_server() -> None:
    (line,) = summary_table([speed("plain", pronghorn=100, uvicorn=40, weft=80, floor=200)]).splitlines()[2:]
    assert line == "| Plain | 100 | 2.50 × | 1.25 × weft |"


def test_peer_that_is_ahead_is_listed() -> None:
    outcomes = [speed("plain", pronghorn=100, uvicorn=40, weft=101, peregrine=125, floor=200)]
    assert summary_table(outcomes).endswith("| **0.80 ×** peregrine |")
    assert ahead(outcomes) == ["- Plain: peregrine 1.25 times, weft 1.01 times (even)"]


def test_lower_value_is_ahead_when_less_is_better() -> None:
    outcome = Outcome("startup", "Start", (), headlines=[TIME])
    outcome.rows = {"pronghorn": {"median": 20}, "uvicorn": {"median": 30}, "weft": {"median": 10}}
    assert ahead([outcome]) == ["- Start: weft 2.00 times"]


def test_row_that_does_not_count_is_not_compared() -> None:
    outcome = Outcome("latency", "p99", (), headlines=[Headline("p99", "p99", least_is_best=True, only="kept")])
    outcome.rows = {"pronghorn": {"p99": 20, "kept": True}, "uvicorn": {"p99": 10, "kept": False}}
    assert ahead([outcome]) == []


def test_summary_needs_the_subject() -> None:
    outcome = Outcome("plain", "Plain", (), headlines=[SPEED])
    outcome.rows = {"uvicorn": {"per_second": 1, "ratio": None}}
    assert summary_table([outcome]) == ""


def test_result_is_written_with_its_charts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from bench import drawings
    from bench.report import METHOD, Report

    sweep = Outcome("connections", "Connections", [Column("1", "1 connection", str)])
    sweep.rows = {"pronghorn": {"1": 9, "points": {"1": {"per_second": 9, "p99_us": 100}}}}
    latency: dict[str, Any] = {"p50_us": 1, "p99_us": 2, "p999_us": 3}
    paced = Outcome("latency", "Latency", ())
    paced.rows = {"pronghorn": latency | {"kept": True}, "daphne": latency | {"kept": False}}
    method = {"server_core": 0, "load_core": 1, "rounds": 1, "seconds": 1, "minutes": 1, "warm_up": "cold"}
    report = Report(
        title="Benchmark",
        date="2026-11-22",
        command="python -m bench",
        machine={"processor": "abacus"},
        versions={"python": "CPython 3.13"},
        text=METHOD,
        method=method,
        missing={"weft": "weft"},
        outcomes=[speed("plain", pronghorn=100, uvicorn=40), sweep, paced],
        started={"uvicorn": "python -m uvicorn {app}"},
        cut="Cut short.",
    )
    written = report.write(tmp_path, "result", drawings.draw(report))
    pictures = [f"result-{name}.svg" for name in ("headline", "cpu", "connections", "latency")]
    assert [path.name for path in written] == ["result.json", "result.md", *pictures]
    text = (tmp_path / "result.md").read_text(encoding="utf-8")
    assert all(f"]({picture})" in text for picture in pictures)
    assert "Cut short." in text
    assert "- uvicorn: `python -m uvicorn {app}" in text
    assert "Did not keep the rate: daphne" in (tmp_path / "result-latency.svg").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["scenarios"][0]["name"] == "plain"
