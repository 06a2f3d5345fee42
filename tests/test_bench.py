"""The parts of the benchmark programme that decide what its tables say."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

pytest.importorskip("psutil")

from figures import session as a_session

from bench import command, latency, sweep
from bench.measurements import MEASUREMENTS, Measurement
from bench.scenarios import SCENARIOS, SWEEPS
from bench.servers import SERVERS
from pronghorn.bench import load, rounds
from pronghorn.bench.command import names_of
from pronghorn.bench.load import Load, LoadFailed, Wrk
from pronghorn.bench.machine import Interpreter
from pronghorn.bench.outcome import Outcome, at_least, at_most, middle
from pronghorn.bench.process import CPU, Process
from pronghorn.bench.rounds import Round, row
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.servers import Server
from pronghorn.bench.session import Session

REPORT = """Running 1s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
Requests/sec: 50000.00
bench requests=100000 microseconds=2000000 bytes=7 p50=640 p99=1280 connect=0 read={} write=0 timeout=0 status=0
"""


def test_report_of_wrk_is_read() -> None:
    assert load.parse(REPORT.format(0)) == Load(100000, 2.0, 7, 640, 1280, {})


def test_only_errors_that_happened_are_kept() -> None:
    assert load.parse(REPORT.format(3)).errors == {"read": 3}


def test_output_without_the_report_is_a_failure() -> None:
    with pytest.raises(LoadFailed, match="unable to connect"):
        load.parse("unable to connect to 127.0.0.1:8000 Connection refused\n")


def test_requests_are_divided_by_the_time_they_took() -> None:
    assert load.parse(REPORT.format(0)).per_second == 50000


def test_errors_bear_the_names_that_the_programme_gives_them() -> None:
    line = "bench requests=9 microseconds=1000000 bytes=576 p50=1 p99=2 closed=1 wrong=0 timeout=2\n"
    assert load.parse(line) == Load(9, 1.0, 576, 1, 2, {"closed": 1, "timeout": 2})


def test_wrk_is_told_what_to_ask() -> None:
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


def test_a_void_round_counts_in_no_median() -> None:
    figures = row([a_round(100), a_round(900, "read 3"), a_round(300)], None)
    assert (figures["per_second"], figures["range"]) == (200, (100, 300))
    assert figures["void"] == ["read 3"]
    assert figures["rounds"]["per_second"] == [100, None, 300]


def test_a_ratio_is_taken_within_a_round() -> None:
    ours, theirs = [a_round(200), a_round(400), a_round(600)], [a_round(100), a_round(100), a_round(200)]
    assert row(theirs, ours)["ratio"] == 3


@pytest.mark.parametrize("void", ["ours", "theirs"])
def test_a_void_round_of_either_side_counts_in_no_ratio(void: str) -> None:
    good, bad = [a_round(200), a_round(200)], [a_round(100), a_round(100, "timeout 1")]
    ours, theirs = (good, bad) if void == "theirs" else (bad, good)
    assert row(theirs, ours)["ratio"] == (2 if void == "theirs" else 0.5)


def test_the_subject_has_no_ratio_to_itself() -> None:
    ours = [a_round(200)]
    figures = row(ours, ours)
    assert (figures["ratio"], figures["cpu_ratio"]) == (None, None)


def test_nothing_is_said_of_rounds_that_are_all_void() -> None:
    theirs = [Round(None, 1.0, CPU(0, 0), CPU(0, 0), 0.0, "wrk exited with status 1"), a_round(0, "no answer")]
    figures = row(theirs, [a_round(100), a_round(100)])
    assert {figures[key] for key in ("per_second", "range", "cpu_us", "busy", "p99_us", "ratio", "cpu_ratio")} == {None}
    assert rounds.remarks({"peer": figures}, pinned=True) == []


def test_a_row_disturbed_by_other_processes_is_remarked() -> None:
    (remark,) = rounds.remarks({"peer": row([a_round(100, others=0.5)], None)}, pinned=True)
    assert "took time from peer" in remark


def test_a_row_limited_by_the_load_is_remarked() -> None:
    rows = {"idle": row([a_round(100, busy=0.95)], None), "full": row([a_round(99000)], None)}
    (remark,) = rounds.remarks(rows, pinned=True)
    assert remark.startswith("The load was the limit of idle,")


@pytest.mark.parametrize(("measured", "reached"), [(1.19, False), (1.2, True), (1.3, True), (None, None)])
def test_at_least(measured: float | None, reached: bool | None) -> None:
    verdict = at_least("peregrine", 1.2, measured)
    assert (verdict.target, verdict.reached) == ("≥ 1.2 × peregrine", reached)
    assert verdict.measured == (None if measured is None else f"{measured:.2f}")


@pytest.mark.parametrize(("measured", "reached"), [(9.0, True), (10.0, True), (11.0, False)])
def test_at_most(measured: float, reached: bool) -> None:
    verdict = at_most("uvicorn", 10.0, measured, "{:.0f} ms".format)
    assert verdict == type(verdict)("≤ 10 ms (uvicorn)", f"{measured:.0f} ms", reached)


@pytest.mark.parametrize(("wanted", "measured"), [(None, 1.0), (1.0, None), (None, None)])
def test_at_most_of_what_was_not_measured(wanted: float | None, measured: float | None) -> None:
    verdict = at_most("uvicorn", wanted, measured, str)
    assert (verdict.measured, verdict.reached) == (None, None)


def test_middle_of_nothing() -> None:
    assert middle([]) is None


def an_interpreter(*absent: str) -> Interpreter:
    """An interpreter that was not asked."""
    interpreter = Interpreter.__new__(Interpreter)
    interpreter._servers = SERVERS
    interpreter.absent = set(absent)
    return interpreter


def test_nothing_is_missing() -> None:
    assert an_interpreter().missing() == {}


def test_a_server_lacks_its_own_modules_only() -> None:
    missing = an_interpreter("granian", "httptools").missing()
    assert missing == {
        **dict.fromkeys((name for name in SERVERS if name.startswith("granian")), "granian"),
        **dict.fromkeys((name for name in SERVERS if name.startswith("uvicorn")), "httptools"),
    }


def test_a_server_can_lack_several() -> None:
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
def test_servers_that_are_chosen(session: Session, chosen: tuple[str, ...]) -> None:
    assert session.choose(NAMES, {"pronghorn", "uvicorn"}) == list(chosen)


def read_names(text: str, *known: str) -> tuple[str, ...] | None:
    """Read an option with names."""
    option = click.Option(["--names"])
    return names_of(known)(click.Context(click.Command("bench")), option, text)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(click.BadParameter, match="z: not one of x, y"):
        read_names("x,z", "x", "y")


def test_what_is_measured_can_be_named() -> None:
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
def test_numbers_above_zero(text: str) -> None:
    done = CliRunner().invoke(command.main, ["--rounds", text])
    assert (done.exit_code, f"{text} is not in the range" in done.output) == (2, True)


POINTS = [scenario for sweep in SWEEPS for scenario in sweep.points.values()]


@pytest.mark.parametrize("scenario", [*SCENARIOS, *POINTS], ids=lambda scenario: scenario.name)
def test_scenario_names_what_there_is(scenario: Scenario) -> None:
    assert {scenario.subject, *scenario.targets} <= set(scenario.servers) <= set(SERVERS)
    loads = [scenario.load_for(server) for server in scenario.servers]
    assert all(each.script.is_file() for each in loads if isinstance(each, Wrk))
    assert {type(each) for each in loads} == {type(scenario.load)}


def measuring(**measures: Callable[[Session], Outcome]) -> dict[str, Measurement]:
    """Measurements that take a second each, it is said."""
    return {name: Measurement(measure, lambda session: 1.0) for name, measure in measures.items()}


def done(session: Session) -> Outcome:
    return Outcome("done", "Done", ())


def fail(session: Session) -> Outcome:
    raise OSError("no more files")


def linger(session: Session) -> Outcome:
    raise command.OutOfTime


def test_progress_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", measuring(first=done, second=done))
    outcomes, cut = command.measure_all(["first", "second"], a_session())
    assert ([outcome.name for outcome in outcomes], cut) == (["done", "done"], "")
    assert capsys.readouterr().err.splitlines() == [
        "2 measurements, about 2 s",
        "[1/2] first, 2 s left",
        "[2/2] second, 0 s left",
    ]


def test_a_measurement_that_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", measuring(first=fail, second=done))
    outcomes, cut = command.measure_all(["first", "second"], a_session())
    assert [outcome.notes for outcome in outcomes] == [["failed: OSError('no more files')"], []]
    assert cut == ""


def test_what_was_measured_in_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", measuring(first=done, second=linger, third=done))
    outcomes, cut = command.measure_all(["first", "second", "third"], a_session())
    assert [outcome.name for outcome in outcomes] == ["done"]
    assert cut.endswith("was ended before second, third.")


def test_a_run_is_estimated() -> None:
    long, short = (
        sum(each.seconds(a_session(quick=quick)) for each in MEASUREMENTS.values()) for quick in (False, True)
    )
    assert 0 < short < long


def test_a_row_of_latencies_says_whether_the_rate_was_kept() -> None:
    assert latency.keeps(row([a_round(995), a_round(1000)], None), 1000) is True
    assert latency.keeps(row([a_round(900)], None), 1000) is False
    assert latency.keeps(row([a_round(900, "closed 1")], None), 1000) is None


@pytest.mark.parametrize(
    ("name", "base"), [("uvicorn-2", "uvicorn"), ("uvicorn", "uvicorn"), ("granian-ws", "granian-ws")]
)
def test_workers_are_told_apart_by_the_point(name: str, base: str) -> None:
    assert sweep.base(name) == base


def test_a_server_is_waited_for_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([CPU(1, 1), CPU(1.1, 1), CPU(1.1, 1.05), CPU(1.1, 1.06), CPU(9, 9)])
    monkeypatch.setattr(Process, "cpu", lambda self: next(used))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Process.settle(object.__new__(Process))
    assert next(used) == CPU(9, 9)


def test_a_server_is_stopped_and_goes_on(tmp_path: Path) -> None:
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
