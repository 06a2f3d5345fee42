"""The parts of the benchmark programme that decide what its tables say."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

import pronghorn
from bench import apps
from bench.__main__ import MEASUREMENTS, names_of, positive
from bench.exchange import Echo
from bench.report import table
from bench.scenarios import SCENARIOS
from bench.websocket import WebSockets
from pronghorn import loader
from pronghorn.bench import load, rounds
from pronghorn.bench.load import Load, LoadFailed, Wrk
from pronghorn.bench.machine import Interpreter
from pronghorn.bench.outcome import at_least, at_most, middle
from pronghorn.bench.process import CPU, Process, ServerFailed
from pronghorn.bench.rounds import Round, row
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.servers import SERVERS
from pronghorn.bench.session import Session

ECHO = WebSockets("echo", "text", 64, 2)
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


def test_a_missing_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadFailed, match="needs a C compiler"):
        ECHO.programme(tmp_path)


def test_a_failure_to_compile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho no epoll here >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadFailed, match="does not compile: no epoll here"):
        ECHO.programme(tmp_path)


def test_the_client_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tmp_path / "websocket"
    compiled.touch()
    monkeypatch.setenv("PATH", "")
    assert ECHO.programme(tmp_path) == str(compiled)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The WebSocket client, compiled."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    return ECHO.programme(tmp_path_factory.mktemp("client"))


@contextlib.contextmanager
def websockets_serving(handler: Callable[[Any], None], **options: Any) -> Iterator[int]:
    """Serve `handler` with another implementation of WebSocket; the port."""
    server = pytest.importorskip("websockets.sync.server").serve(handler, "127.0.0.1", 0, **options)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()
        thread.join(30)


def loaded(client: str, asked: WebSockets, port: int) -> Load:
    """What the client sees in a second."""
    return load.run(client, asked.arguments(port, "/", 1), 1, min(os.sched_getaffinity(0)))


def echo(connection: Any) -> None:
    for message in connection:
        connection.send(message)


@pytest.mark.parametrize(
    "asked",
    [
        ECHO,
        WebSockets("echo", "text", 125, 1),
        WebSockets("echo", "binary", 126, 1),
        WebSockets("echo", "binary", 65536, 2),
    ],
    ids=lambda asked: f"{asked.kind} {asked.size}",
)
def test_echoes_are_counted(client: str, asked: WebSockets) -> None:
    with websockets_serving(echo) as port:
        seen = loaded(client, asked, port)
    assert not seen.errors
    assert seen.requests >= asked.connections
    assert seen.bytes == seen.requests * asked.size
    assert 0 < seen.p50_us <= seen.p99_us < 1_000_000
    assert 1 <= seen.seconds < 1.5


def test_a_broadcast_is_sent_again_once_all_have_it(client: str) -> None:
    connections: list[Any] = []
    complete = threading.Barrier(8, timeout=30)

    def broadcast(connection: Any) -> None:
        connections.append(connection)
        complete.wait()
        for message in connection:
            for each in connections:
                each.send(message)

    with websockets_serving(broadcast) as port:
        seen = loaded(client, WebSockets("broadcast", "text", 64, 8), port)
    assert not seen.errors
    assert seen.requests >= 16
    assert seen.bytes == seen.requests * 64


def test_pings_are_answered(client: str) -> None:
    with websockets_serving(echo, ping_interval=0.1, ping_timeout=0.2) as port:
        assert not loaded(client, ECHO, port).errors


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        (lambda message: message, {}),
        (lambda message: message[:-1] + "!", {"wrong": 2}),
        (lambda message: message[:-1], {"wrong": 2}),
        (lambda message: message.encode(), {"wrong": 2}),
        (lambda message: [message[:1], message[1:]], {"wrong": 2}),
    ],
    ids=["right", "content", "length", "opcode", "fragments"],
)
def test_a_wrong_message_is_an_error(client: str, answer: Callable[[str], Any], errors: dict[str, int]) -> None:
    def answering(connection: Any) -> None:
        for message in connection:
            connection.send(answer(message))

    with websockets_serving(answering) as port:
        seen = loaded(client, ECHO, port)
    assert {kind: seen.errors[kind] for kind in seen.errors if kind != "timeout"} == errors


def test_a_connection_that_is_closed_is_an_error(client: str) -> None:
    with websockets_serving(lambda connection: connection.recv()) as port:
        assert loaded(client, ECHO, port).errors["closed"] == 2


def test_silence_is_an_error(client: str) -> None:
    with websockets_serving(lambda connection: list(connection)) as port:
        seen = loaded(client, ECHO, port)
    assert (seen.requests, seen.errors) == (0, {"timeout": 2})


def test_a_refused_upgrade_is_told(client: str) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(403, "")

    with (
        websockets_serving(echo, process_request=refuse) as port,
        pytest.raises(LoadFailed, match=r"connection 1: wrong answer to the upgrade: HTTP/1\.1 403"),
    ):
        loaded(client, ECHO, port)


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
    assert missing == {
        **dict.fromkeys(("granian", "granian-tls", "granian-ws"), "granian"),
        **dict.fromkeys(("uvicorn", "uvicorn-tls", "uvicorn-default"), "httptools"),
    }


def test_every_server_lacks_what_all_need() -> None:
    missing = an_interpreter("uvloop", "granian").missing()
    assert missing == dict.fromkeys(SERVERS, "uvloop") | dict.fromkeys(
        ("granian", "granian-tls", "granian-ws"), "granian, uvloop"
    )


def a_session(*, wanted: tuple[str, ...] = (), quick: bool = False, missing: tuple[str, ...] = ()) -> Session:
    """A session that starts nothing."""
    lacking = dict.fromkeys(missing, "module")
    return Session("python", Path(), 0, 1, 1, 1, quick=quick, wanted=wanted, missing=lacking, directory=Path())


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


def test_unknown_names_are_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="unknown: z; known: x, y"):
        names_of({"x": 1, "y": 2})("x,z")


def test_what_is_measured_can_be_named() -> None:
    names = ("ws-64", "ws-64k", "ws-broadcast", "ws-idle", "plain", "memory", "idle", "startup")
    assert names_of(MEASUREMENTS)(",".join(names)) == names


def test_known_names_keep_their_order() -> None:
    assert names_of({"x": 1, "y": 2})("y,x") == ("y", "x")


@pytest.mark.parametrize("text", ["0", "-1"])
def test_numbers_above_zero(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        positive(text)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_names_what_there_is(scenario: Scenario) -> None:
    assert {scenario.subject, *scenario.targets} <= set(scenario.servers) <= set(SERVERS)
    loads = [scenario.load_for(server) for server in scenario.servers]
    assert all(each.script.is_file() for each in loads if isinstance(each, Wrk))
    assert {type(each) for each in loads} == {type(scenario.load)}


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
    (plain, posted) = (next(each for each in SCENARIOS if each.name == name) for name in ("plain", "post-1k"))
    with serving(loader.resolve(plain.app)) as process, pytest.raises(ServerFailed, match="answered / wrongly: 200"):
        posted.exchange.check(process)


@pytest.mark.parametrize(
    "message", ["x" * 64, "é" * 63, bytes(126), bytes(65536)], ids=["text", "umlaut", "126", "64k"]
)
def test_an_echo_is_checked(message: str | bytes) -> None:
    with websockets_serving(echo) as port:
        Echo(message).check(cast(Process, Listening(port)))


def test_a_wrong_echo_is_told() -> None:
    def shout(connection: Any) -> None:
        for message in connection:
            connection.send(message.upper())

    with websockets_serving(shout) as port, pytest.raises(ServerFailed, match="answered a message wrongly"):
        Echo("abc").check(cast(Process, Listening(port)))


def test_a_server_that_does_not_switch_is_told() -> None:
    with serving(apps.plain) as process, pytest.raises(ServerFailed, match="answered"):
        Echo("abc").check(process)
