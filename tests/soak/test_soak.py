"""A soak of a few seconds."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.soak.load import Round
from tests.soak.soak import ENOUGH, MIB, MOST_GROWTH, Sample, Soak
from tests.storm.harness import Storm, lacks_for_storms
from tests.support.server import lacks

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

__main__ = pytest.importorskip("tests.soak.__main__", reason="its libraries are not installed")

pytestmark = pytest.mark.skipif(lacks_for_storms() is not None, reason=str(lacks_for_storms()))


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
def test_server_survives_soak(certificates: Certificates) -> None:
    if reason := lacks("compiled", "uvloop"):
        pytest.skip(reason)
    soak = Soak(Storm(loop="uvloop", seconds=6.0, seed=3, faults_only=True), load=0.7, round_seconds=1)
    soak.run(certificates)
    assert not soak.report.faults, "\n".join([*soak.report.figures, *soak.report.faults])
    assert soak.samples
    assert sum(each.answered for each in soak.rounds) > 0


@pytest.mark.parametrize(
    ("last", "faults"),
    [
        (Sample(100 * MIB, 50_000), []),
        (Sample(108 * MIB, 55_000), []),
        (Sample(108 * MIB + 1, 50_000), ["soak: memory grew by 8,388,609 from the second quarter to the last"]),
        (Sample(100 * MIB, 55_001), ["soak: blocks grew by 5,001 from the second quarter to the last"]),
    ],
)
def test_growth_is_a_fault(last: Sample, faults: list[str]) -> None:
    samples = [Sample(100 * MIB, 50_000)] * 12 + [last] * 4
    assert judged(samples=samples).report.faults == faults
    few = judged(samples=samples[1:])
    assert few.report.faults == []
    assert few.report.figures == ["soak: 15 samples are too few to judge growth by"]


def test_growth_by_chance_is_no_fault() -> None:
    swinging = [Sample((100 + 20 * (number % 2)) * MIB, 50_000) for number in range(12)]
    soak = judged(samples=swinging + [Sample(120 * MIB, 50_000)] * 4)
    assert soak.growth("memory") > MOST_GROWTH
    assert soak.report.faults == []


def test_failures_of_the_load_are_faults() -> None:
    failing = judged(calibration=[Round(1, 2, 0.5)], rounds=[Round(1, 1, 0.5)])
    assert failing.report.faults == ["load: 3 requests failed"]
    assert judged(calibration=[Round(0, 0, 0.5)]).report.faults == ["load: no request was answered in some rounds: 1"]
    assert judged(rounds=[Round(0, 0, 0.5)] * 2).report.faults == ["load: no request was answered in some rounds: 2"]
    assert judged(rounds=[]).report.faults == ["load: no round was completed"]


@pytest.mark.parametrize(("count", "growth"), [(ENOUGH, ["+0.0", "+0"]), (ENOUGH - 1, ["–", "–"])])
def test_row_tells_no_growth_that_is_not_judged(count: int, growth: list[str]) -> None:
    cells = __main__.row(judged(samples=[Sample(100 * MIB, 50_000)] * count)).strip("| ").split(" | ")
    assert cells[-3:-1] == growth


def test_soak_that_breaks_off_is_a_fault_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(soak: Soak, certificates: Certificates) -> None:
        if soak.storm.loop == "asyncio":
            raise AssertionError("no start")

    monkeypatch.setattr(Soak, "run", run)
    monkeypatch.setattr(__main__, "lacking", lambda options: None)
    table = tmp_path / "table.md"
    monkeypatch.setattr(sys, "argv", ["soak", "--form", "compiled", "--output", str(table)])
    with pytest.raises(SystemExit, match="True"):
        __main__.main()
    assert "!!! soak: AssertionError('no start')" in capsys.readouterr().out
    text = table.read_text()
    assert ", compiled, CPython" in text
    assert "| compiled, asyncio | " in text
    assert "| compiled, uvloop | " in text


@pytest.mark.parametrize(
    ("missing", "reason"), [("h2load", "h2load is not installed"), ("uvloop", "uvloop is not installed")]
)
def test_soaks_that_cannot_run_do_not_start(
    missing: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else name)
    monkeypatch.setattr(__main__, "lacks", lambda form, loop: reason if loop == missing else None)
    monkeypatch.setattr(sys, "argv", ["soak"])
    with pytest.raises(SystemExit, match="2"):
        __main__.parse()
    assert reason in capsys.readouterr().err


def judged(**results: Any) -> Soak:
    """A soak with these results, and else none but an answer."""
    soak = Soak(Storm(), 0.7, 1, **{"calibration": [Round(1, 0, 0.5)], "rounds": [Round(1, 0, 0.5)], **results})
    soak.judge()
    return soak


def test_growth_is_from_the_second_quarter_to_the_last() -> None:
    soak = Soak(Storm(), load=0.7, round_seconds=1)
    soak.samples = [Sample(memory, 0) for memory in (1, 2, 10, 10, 11, 12, 14, 14)]
    assert soak.growth("memory") == 4


def test_chance_explains_less_growth_if_samples_differ_less() -> None:
    soak = Soak(Storm(), load=0.7, round_seconds=1)
    soak.samples = [Sample(10 + number % 2, 100 * (number % 2)) for number in range(16)]
    assert 0 < soak.chance("memory") < soak.chance("blocks")
