"""The parts of the benchmark programme that decide what its tables say."""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

import pronghorn
from bench import load, rounds
from bench.__main__ import names_of, positive
from bench.load import Load, LoadFailed
from bench.machine import Interpreter
from bench.outcome import at_least, at_most, middle
from bench.process import CPU, Process, ServerFailed
from bench.report import table
from bench.rounds import Round, row
from bench.scenarios import SCENARIOS, Scenario
from bench.servers import SERVERS
from bench.session import Session
from pronghorn import loader

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


def a_round(requests: int, errors: str = "", others: float = 0.0) -> Round:
    """One second, in which an answer cost 10 µs of the server's CPU."""
    cpu = CPU(requests * 6e-6, requests * 4e-6)
    return Round(Load(requests, 1.0, 0, 500, 1000, {}), 1.0, cpu, CPU(0.1, 0.1), others, errors)


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
    assert rounds.remarks({"peer": figures}) == []


def test_a_row_disturbed_by_other_processes_is_remarked() -> None:
    (remark,) = rounds.remarks({"peer": row([a_round(100, others=0.5)], None)})
    assert "took the cores from peer" in remark


def test_a_row_limited_by_the_load_is_remarked() -> None:
    (remark,) = rounds.remarks({"idle": row([a_round(100)], None), "full": row([a_round(99000)], None)})
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


def test_table_is_markdown() -> None:
    assert table(["server", "RSS"], [["floor", "1"]]) == "| server | RSS |\n| --- | ---: |\n| floor | 1 |"


def an_interpreter(*absent: str) -> Interpreter:
    """An interpreter that was not asked."""
    interpreter = Interpreter.__new__(Interpreter)
    interpreter.absent = set(absent)
    return interpreter


def test_nothing_is_missing() -> None:
    assert an_interpreter().missing() == {}


def test_a_server_lacks_its_own_modules_only() -> None:
    missing = an_interpreter("granian", "httptools").missing()
    assert missing == {"granian": "granian", "uvicorn": "httptools", "uvicorn-default": "httptools"}


def test_every_server_lacks_what_all_need() -> None:
    missing = an_interpreter("uvloop", "granian").missing()
    assert missing == dict.fromkeys(SERVERS, "uvloop") | {"granian": "granian, uvloop"}


def a_session(*, wanted: tuple[str, ...] = (), quick: bool = False, missing: tuple[str, ...] = ()) -> Session:
    """A session that starts nothing."""
    lacking = dict.fromkeys(missing, "module")
    return Session("python", 0, 1, 1, 1, quick=quick, wanted=wanted, missing=lacking, directory=Path())


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
        (a_session(wanted=("granian",), missing=("granian",)), ()),
    ],
    ids=["all", "not installed", "family", "one", "quick", "quick and named", "named and not installed"],
)
def test_servers_that_are_chosen(session: Session, chosen: tuple[str, ...]) -> None:
    assert session.choose(NAMES, {"pronghorn", "uvicorn"}) == list(chosen)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="unknown: z; known: x, y"):
        names_of({"x": 1, "y": 2})("x,z")


def test_known_names_keep_their_order() -> None:
    assert names_of({"x": 1, "y": 2})("y,x") == ("y", "x")


@pytest.mark.parametrize("text", ["0", "-1"])
def test_numbers_above_zero(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        positive(text)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_names_what_there_is(scenario: Scenario) -> None:
    assert {scenario.subject, *scenario.targets} <= set(scenario.servers) <= set(SERVERS)
    assert all((load.SCRIPTS / scenario.script_for(server)).is_file() for server in scenario.servers)


@dataclass
class Listening:
    """What `Exchange.check` asks of a process."""

    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def failure(self, reason: str) -> ServerFailed:
        return ServerFailed(reason)


@contextlib.contextmanager
def serving(app: Any) -> Iterator[Process]:
    """Serve `app` in a thread of this process."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = pronghorn.Server(pronghorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield cast(Process, Listening(listening.getsockname()[1]))
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_application_answers_what_its_scenario_expects(scenario: Scenario) -> None:
    with serving(loader.resolve(scenario.app)) as process:
        scenario.exchange.check(process)


def test_a_wrong_answer_is_told() -> None:
    (plain, echo) = (next(each for each in SCENARIOS if each.name == name) for name in ("plain", "post-1k"))
    with serving(loader.resolve(plain.app)) as process, pytest.raises(ServerFailed, match="answered / wrongly: 200"):
        echo.exchange.check(process)
