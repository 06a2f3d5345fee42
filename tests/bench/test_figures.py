"""The figures and choices of the benchmarks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

pytest.importorskip("psutil")

from bench import command, latency, sweep
from bench.measurements import MEASUREMENTS, Measurement
from bench.outcome import Outcome, at_least, at_most
from bench.samples import Samples
from bench.scenarios import SCENARIOS, SWEEPS
from bench.servers import SERVERS
from pronghorn.bench import load, rounds
from pronghorn.bench.command import names_of
from pronghorn.bench.load import Load, LoadFailed, Wrk
from pronghorn.bench.machine import Interpreter
from pronghorn.bench.outcome import Row, middle
from pronghorn.bench.process import CPU, Process, ServerFailed
from pronghorn.bench.rounds import Round, row
from pronghorn.bench.scenario import BEST, Scenario
from pronghorn.bench.servers import Server
from pronghorn.bench.session import Session
from tests.support.figures import session as a_session

REPORT = """Running 1s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
Requests/sec: 50000.00
bench requests=100000 microseconds=2000000 bytes=7 p50=640 p99=1280 connect=0 read={} write=0 timeout=0 status=0
"""


def test_wrk_report_is_parsed() -> None:
    assert load.parse(REPORT.format(0)) == Load(100000, 2.0, 7, 640, 1280, {})


def test_error_counts_of_zero_are_dropped() -> None:
    assert load.parse(REPORT.format(3)).errors == {"read": 3}


def test_output_without_a_report_raises_load_failed() -> None:
    with pytest.raises(LoadFailed, match="unable to connect"):
        load.parse("unable to connect to 127.0.0.1:8000 Connection refused\n")


def test_per_second_uses_the_measured_time() -> None:
    assert load.parse(REPORT.format(0)).per_second == 50000


def test_errors_keep_the_names_of_the_load_generator() -> None:
    line = "bench requests=9 microseconds=1000000 bytes=576 p50=1 p99=2 closed=1 wrong=0 timeout=2\n"
    assert load.parse(line) == Load(9, 1.0, 576, 1, 2, {"closed": 1, "timeout": 2})


def test_wrk_is_called_with_its_arguments() -> None:
    arguments = Wrk(Path("get.lua"), 4).arguments(8000, "/json", 3)
    assert arguments == ["-t1", "-c4", "-d3s", "--timeout", "10s", "-s", "get.lua", "http://127.0.0.1:8000/json"]


def a_round(requests: int, errors: str = "", others: float = 0.0, busy: float = 0.2) -> Round:
    """One second, in which an answer cost 10 µs of the server's CPU, and the load was `busy`."""
    cpu = CPU(requests * 6e-6, requests * 4e-6)
    return Round(Load(requests, 1.0, 0, 500, 1000, {}), 1.0, cpu, CPU(busy, 0), others, errors)


def test_figures_are_medians_over_the_rounds() -> None:
    figures = row([a_round(100), a_round(300), a_round(200)], None)
    assert (figures["per_second"], figures["range"]) == (200, (100, 300))
    assert figures["cpu_us"] == pytest.approx(10)
    assert (figures["user_us"], figures["system_us"]) == (pytest.approx(6), pytest.approx(4))


def test_median_ignores_void_rounds() -> None:
    figures = row([a_round(100), a_round(900, "read 3"), a_round(300)], None)
    assert (figures["per_second"], figures["range"]) == (200, (100, 300))
    assert figures["void"] == ["read 3"]
    assert figures["rounds"]["per_second"] == [100, None, 300]


def test_ratio_is_taken_within_each_round() -> None:
    ours, theirs = [a_round(200), a_round(400), a_round(600)], [a_round(100), a_round(100), a_round(200)]
    assert row(theirs, ours)["ratio"] == 3


@pytest.mark.parametrize("void", ["ours", "theirs"])
def test_ratio_ignores_void_rounds_of_either_side(void: str) -> None:
    good, bad = [a_round(200), a_round(200)], [a_round(100), a_round(100, "timeout 1")]
    ours, theirs = (good, bad) if void == "theirs" else (bad, good)
    assert row(theirs, ours)["ratio"] == (2 if void == "theirs" else 0.5)


def test_subject_has_no_ratio_to_itself() -> None:
    ours = [a_round(200)]
    figures = row(ours, ours)
    assert (figures["ratio"], figures["cpu_ratio"]) == (None, None)


def test_void_rounds_give_neither_figures_nor_remarks() -> None:
    theirs = [Round(None, 1.0, CPU(0, 0), CPU(0, 0), 0.0, "wrk exited with status 1"), a_round(0, "no answer")]
    figures = row(theirs, [a_round(100), a_round(100)])
    assert {figures[key] for key in ("per_second", "range", "cpu_us", "busy", "p99_us", "ratio", "cpu_ratio")} == {None}
    assert rounds.remarks({"peer": figures}, pinned=True) == []


def test_remark_names_disturbance_by_other_processes() -> None:
    (remark,) = rounds.remarks({"peer": row([a_round(100, others=0.5)], None)}, pinned=True)
    assert "took time from peer" in remark


def test_remark_names_the_load_as_the_limit() -> None:
    rows = {"idle": row([a_round(100, busy=0.95)], None), "full": row([a_round(99000)], None)}
    (remark,) = rounds.remarks(rows, pinned=True)
    assert remark.startswith("The load was the limit of idle,")


@pytest.mark.parametrize(("measured", "reached"), [(1.19, False), (1.2, True), (1.3, True), (None, None)])
def test_at_least_compares_with_the_target(measured: float | None, reached: bool | None) -> None:
    verdict = at_least("peregrine", 1.2, measured)
    assert (verdict.target, verdict.reached) == ("≥ 1.2 × peregrine", reached)
    assert verdict.measured == (None if measured is None else f"{measured:.2f}")


@pytest.mark.parametrize(("measured", "reached"), [(9.0, True), (10.0, True), (11.0, False)])
def test_at_most_compares_with_the_target(measured: float, reached: bool) -> None:
    verdict = at_most("uvicorn", 10.0, measured, "{:.0f} ms".format)
    assert verdict == type(verdict)("≤ 10 ms (uvicorn)", f"{measured:.0f} ms", reached)


@pytest.mark.parametrize(("wanted", "measured"), [(None, 1.0), (1.0, None), (None, None)])
def test_at_most_without_a_value_is_not_reached(wanted: float | None, measured: float | None) -> None:
    verdict = at_most("uvicorn", wanted, measured, str)
    assert (verdict.measured, verdict.reached) == (None, None)


def test_median_of_no_values_is_none() -> None:
    assert middle([]) is None


def an_interpreter(*absent: str) -> Interpreter:
    """An interpreter without a process."""
    interpreter = Interpreter.__new__(Interpreter)
    interpreter._servers = SERVERS
    interpreter.absent = set(absent)
    return interpreter


def test_no_server_is_missing_if_all_modules_are_installed() -> None:
    assert an_interpreter().missing() == {}


def test_server_lacks_only_its_own_modules() -> None:
    missing = an_interpreter("granian", "httptools").missing()
    assert missing == {
        **dict.fromkeys((name for name in SERVERS if name.startswith("granian")), "granian"),
        **dict.fromkeys((name for name in SERVERS if name.startswith("uvicorn")), "httptools"),
    }


def test_server_can_lack_several_modules() -> None:
    missing = an_interpreter("uvloop", "granian").missing()
    assert (missing["granian"], missing["floor"]) == ("granian, uvloop", "uvloop")
    assert not {"daphne", "nginx"} & set(missing)


NAMES = ("pronghorn-default", "pronghorn", "uvicorn", "granian")


@pytest.mark.parametrize(
    ("session", "chosen"),
    [
        (a_session(), NAMES),
        (a_session(missing=("granian",)), ("pronghorn-default", "pronghorn", "uvicorn")),
        (a_session(wanted=("pronghorn",)), ("pronghorn-default", "pronghorn")),
        (a_session(wanted=("pronghorn-default",)), ("pronghorn-default",)),
        (a_session(quick=True), ("pronghorn", "uvicorn")),
        (a_session(quick=True, wanted=("granian", "uvicorn")), ("uvicorn", "granian")),
        (a_session(quick=True, wanted=("pronghorn",)), ("pronghorn-default", "pronghorn")),
        (a_session(wanted=("granian",), missing=("granian",)), ()),
    ],
    ids=[
        "all",
        "not installed",
        "family",
        "one",
        "quick",
        "quick and named",
        "quick family",
        "named and not installed",
    ],
)
def test_choice_of_servers_follows_the_session(session: Session, chosen: tuple[str, ...]) -> None:
    assert session.choose(NAMES, {"pronghorn", "uvicorn"}) == list(chosen)


def read_names(text: str, *known: str) -> tuple[str, ...] | None:
    """Read an option with names."""
    option = click.Option(["--names"])
    return names_of(known)(click.Context(click.Command("bench")), option, text)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(click.BadParameter, match="z: not one of x, y"):
        read_names("x,z", "x", "y")


def test_every_measurement_has_a_name() -> None:
    names = (
        "ws-64",
        "ws-64k",
        "ws-broadcast",
        "ws-idle",
        "plain",
        "memory",
        "idle",
        "startup",
        "connections",
        "latency",
    )
    assert read_names(",".join(names), *MEASUREMENTS) == names


def test_known_names_keep_their_order() -> None:
    assert read_names("y,x", "x", "y") == ("y", "x")


@pytest.mark.parametrize("text", ["0", "-1"])
def test_rounds_must_be_above_zero(text: str) -> None:
    done = CliRunner().invoke(command.main, ["--rounds", text])
    assert (done.exit_code, f"{text} is not in the range" in done.output) == (2, True)


POINTS = [scenario for sweep in SWEEPS for scenario in sweep.points.values()]


@pytest.mark.parametrize("scenario", [*SCENARIOS, *POINTS], ids=lambda scenario: scenario.name)
def test_scenario_names_existing_servers_and_scripts(scenario: Scenario) -> None:
    assert {scenario.subject, *scenario.targets, *scenario.cpu_targets} <= {BEST, *scenario.servers}
    assert set(scenario.servers) <= set(SERVERS)
    loads = [scenario.load_for(server) for server in scenario.servers]
    assert all(each.script.is_file() for each in loads if isinstance(each, Wrk))
    assert {type(each) for each in loads} == {type(scenario.load)}


def test_samples_are_medians_without_the_first_start() -> None:
    taken = {"pronghorn": iter([9.0, 1.0, 2.0, 3.0]), "uvicorn": iter([9.0, 5.0, 4.0, 6.0])}

    def take(session: Session, name: str) -> Row:
        if name not in taken:
            raise ServerFailed(f"{name} did not listen\nits log")
        return dict.fromkeys(("middle", "fastest"), next(taken[name]))

    headings = {"middle": "median", "fastest": "fastest"}
    servers = ("pronghorn", "uvicorn", "floor")
    samples = Samples("x", "X", headings, str, servers, take, {"middle": "X"}, 3, 1, 2.0, discarded=1)
    outcome = replace(samples, aggregates={"fastest": min}).measure(a_session())
    assert outcome.rows == {"pronghorn": {"middle": 2, "fastest": 1}, "uvicorn": {"middle": 5, "fastest": 4}}
    assert outcome.notes == ["left out: floor did not listen"]
    assert [verdict.target for verdict in outcome.verdicts] == ["≤ 5.0 (uvicorn)"]
    assert [samples.seconds(a_session(quick=quick)) for quick in (False, True)] == [24, 12]


def measuring(**measures: Callable[[Session], Outcome]) -> dict[str, Measurement]:
    """Measurements with an estimate of a second each."""
    return {name: Measurement(measure, lambda session: 1.0) for name, measure in measures.items()}


def done(session: Session) -> Outcome:
    return Outcome("done", "Done", ())


def fail(session: Session) -> Outcome:
    raise OSError("no more files")


def linger(session: Session) -> Outcome:
    raise command.OutOfTime


def test_progress_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", measuring(first=done, second=done))
    outcomes, cut = command.measure_all(["first", "second"], a_session())
    assert ([outcome.name for outcome in outcomes], cut) == (["done", "done"], "")
    assert capsys.readouterr().err.splitlines() == [
        "2 measurements, about 2 s",
        "[1/2] first, 2 s left",
        "[2/2] second, 0 s left",
    ]


def test_failed_measurement_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", measuring(first=fail, second=done))
    outcomes, cut = command.measure_all(["first", "second"], a_session())
    assert [outcome.notes for outcome in outcomes] == [["failed: OSError('no more files')"], []]
    assert cut == ""


def test_finished_measurements_are_kept_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", measuring(first=done, second=linger, third=done))
    outcomes, cut = command.measure_all(["first", "second", "third"], a_session())
    assert [outcome.name for outcome in outcomes] == ["done"]
    assert cut.endswith("was stopped before second, third.")


def test_quick_run_takes_less_time() -> None:
    long, short = (
        sum(each.seconds(a_session(quick=quick)) for each in MEASUREMENTS.values()) for quick in (False, True)
    )
    assert 0 < short < long


def test_latency_row_says_if_the_rate_was_kept() -> None:
    assert latency.keeps(row([a_round(995), a_round(1000)], None), 1000) is True
    assert latency.keeps(row([a_round(900)], None), 1000) is False
    assert latency.keeps(row([a_round(900, "closed 1")], None), 1000) is None


@pytest.mark.parametrize(
    ("name", "base"), [("uvicorn-2", "uvicorn"), ("uvicorn", "uvicorn"), ("granian-ws", "granian-ws")]
)
def test_number_of_workers_is_removed_from_a_name(name: str, base: str) -> None:
    assert sweep.base(name) == base


def test_settle_waits_until_a_server_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([CPU(1, 1), CPU(1.1, 1), CPU(1.1, 1.05), CPU(1.1, 1.06), CPU(9, 9)])
    monkeypatch.setattr(Process, "cpu", lambda self: next(used))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Process.settle(object.__new__(Process))
    assert next(used) == CPU(9, 9)


def test_secure_server_needs_a_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerFailed, match="openssl, which is not installed"):
        Process(Server("tls", "{certificate} {key}", ()), sys.executable, "", tmp_path, None, tmp_path)


def test_server_is_suspended_and_resumed(tmp_path: Path) -> None:
    process = Process(Server("spin", "-c 'while True: pass'", ()), sys.executable, "", tmp_path, None, tmp_path)
    try:
        process.stop()
        stopped = os.waitid(os.P_PID, process._popen.pid, os.WSTOPPED)
        process.go_on()
        going = os.waitid(os.P_PID, process._popen.pid, os.WCONTINUED)
        assert stopped is not None
        assert going is not None
        assert (stopped.si_code, going.si_code) == (os.CLD_STOPPED, os.CLD_CONTINUED)
    finally:
        process.end()
