"""The targets of the benchmarks, compared with invented figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("psutil")

from bench import latency
from bench.outcome import Verdict, verdicts
from bench.scenarios import GET, PLAIN
from pronghorn.bench.outcome import Row
from pronghorn.bench.rounds import columns
from pronghorn.bench.scenario import BEST, Scenario

RATES = Scenario("", "", "", GET, PLAIN, ("pronghorn", "uvicorn", "weft", "floor"), {BEST: 1.2, "floor": 0.8})
RATIOS: dict[str, Row] = {
    "pronghorn": {"ratio": None, "cpu_ratio": None},
    "uvicorn": {"ratio": 3.0, "cpu_ratio": 2.5},
    "weft": {"ratio": 1.1, "cpu_ratio": 1.3},
    "floor": {"ratio": 0.85, "cpu_ratio": 0.9},
}


def test_best_peer_is_no_reference() -> None:
    best, floor = verdicts(RATES, RATIOS)
    assert best == Verdict("≥ 1.2 × the best peer, weft", "1.10", False)
    assert floor == Verdict("≥ 0.8 × floor", "0.85", True)


def test_target_for_the_cpu_has_its_own_ratio() -> None:
    scenario = replace(RATES, targets={}, cpu_targets={BEST: 1.2, "floor": 0.95})
    assert list(verdicts(scenario, RATIOS)) == [
        Verdict("≥ 1.2 × the best peer, weft, by CPU", "1.30", True),
        Verdict("≥ 0.95 × floor, by CPU", "0.90", False),
    ]


def test_best_of_no_peers_is_not_measured() -> None:
    best, floor = verdicts(RATES, {"pronghorn": RATIOS["pronghorn"]})
    assert (best, floor) == (Verdict("≥ 1.2 × the best peer", None, None), Verdict("≥ 0.8 × floor", None, None))


def test_quick_run_measures_the_usual_peers_and_those_with_a_target() -> None:
    assert RATES.essential.intersection(RATES.servers) == {"pronghorn", "uvicorn", "floor"}


def at_a_rate(p99_us: float | None, *, kept: bool = True) -> Row:
    return {"p99_us": p99_us, "kept": kept}


def test_latency_should_not_exceed_that_of_the_best_calm_peer_that_keeps_the_rate() -> None:
    rows = {
        "pronghorn": at_a_rate(900),
        "uvicorn": at_a_rate(1500),
        "weft": at_a_rate(800),
        "granian": at_a_rate(100, kept=False),
        "fastpysgi": at_a_rate(100),
    }
    (verdict,) = latency.verdicts(rows, columns("p99_us"), {"fastpysgi"})
    assert verdict == Verdict("≤ 0.80 (p99 ms, the best peer)", "0.90", False)


def test_latency_without_a_peer_is_not_judged() -> None:
    (verdict,) = latency.verdicts({"pronghorn": at_a_rate(900)}, columns("p99_us"), ())
    assert verdict.reached is None
