"""The charts of the benchmarks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("matplotlib")

import itertools

from pronghorn.bench import charts

PANELS = {"Plain GET": {"uvicorn": 50_000.0, "pronghorn": 125_000.0, "floor": 170_000.0}, "POST": {"pronghorn": 9.0}}
SERIES = {"Requests": {"pronghorn": [(1, 20.0), (64, 120.0)], "uvicorn": [(1, 10.0), (64, 50.0)]}, "Failures": {}}


def bars() -> charts.Chart:
    return charts.bars("Requests", PANELS, references=("floor",), note="some <note>")


def lines() -> charts.Chart:
    return charts.lines("Load", SERIES, x_label="connections", logarithmic=True)


def texts(chart: charts.Chart) -> list[str]:
    """Every text of a chart, in the order of drawing."""
    root = ElementTree.fromstring(chart.svg())
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("draw", [bars, lines])
def test_same_figures_give_the_same_bytes(draw: Any) -> None:
    assert draw().svg() == draw().svg()
    assert not re.search(r"<dc:date>|DejaVu", draw().svg())


def test_bars_have_names_values_and_ratios() -> None:
    shown = texts(bars())
    assert {"Plain GET", "pronghorn", "125,000", "50,000", "2.50×", "0.74×", "some <note>"} <= set(shown)
    assert [text for text in shown if text in PANELS["Plain GET"]][:3] == ["floor", "pronghorn", "uvicorn"]


def test_lowest_value_comes_first_when_less_is_better() -> None:
    shown = texts(charts.bars("Start-up", {"ms": {"uvicorn": 300.0, "pronghorn": 200.0}}, least_is_best=True))
    assert shown.index("pronghorn") < shown.index("uvicorn")
    assert "1.50×" in shown


def test_lines_have_their_names_and_the_values_of_x() -> None:
    assert {"pronghorn", "uvicorn", "1", "64", "connections", "Failures"} <= set(texts(lines()))


def test_labels_do_not_overlap() -> None:
    placed = charts.apart({"a": 1.0, "b": 1.01, "c": 0.0, "d": 0.0})
    heights = sorted(placed.values())
    assert heights[0] >= 0
    assert all(b - a >= charts.LABEL_GAP - 0.001 for a, b in itertools.pairwise(heights))


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_chart_is_saved(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"chart{suffix}"
    bars().save(path)
    assert path.read_bytes().startswith(b"<?xml" if suffix == ".svg" else b"\x89PNG")
