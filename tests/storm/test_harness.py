"""Faults that a storm has to find: in the server's end, in its state afterwards, in its log, and of its clients."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import itertools
import json
import socket
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.storm import harness
from tests.storm.content import ON_PURPOSE
from tests.storm.harness import Asker, Report, Storm, lacks_for_storms, weather
from tests.storm.hostile import ACTS
from tests.support.server import Process, lacks

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

__main__ = pytest.importorskip("tests.storm.__main__", reason="its libraries are not installed")

pytestmark = pytest.mark.skipif(lacks_for_storms() is not None, reason=str(lacks_for_storms()))


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_NEEDS", ("json", "no_such_library"))
    assert lacks_for_storms() == "no_such_library is not installed"


@pytest.mark.skipif(lacks() is not None, reason=str(lacks()))
def test_server_that_dies_is_reported(certificates: Certificates) -> None:
    @contextlib.contextmanager
    def killer(server: Process, asker: Asker, report: Report) -> Iterator[None]:
        server.end()
        yield

    report = weather(Storm(seconds=0.5), certificates, killer)
    assert "the server has ended early, with -9" in report.faults
    assert {f"hostile: {kind}: did nothing" for kind in ACTS if kind != "slow"} < set(report.faults)
    assert report.acts == 0
    assert "Started server process" in report.log


def test_server_that_dies_at_its_end_is_reported() -> None:
    report = Report()
    with socket.socket() as bound:  # does not listen
        bound.bind(("127.0.0.1", 0))
        asker = Asker(bound.getsockname()[1], 1, None)
        harness._note_what_is_left(report, {}, asker, 0)
        harness._note_end(report, ended(-11), Storm(), asker)
    refused = "ConnectionRefusedError(111, 'Connection refused')"
    assert report.faults == [
        f"the server does not tell what is left: {refused}",
        f"the server does not answer before its end: {refused}",
        "the server ends with -11, not -15",
    ]


def test_worker_that_does_not_answer_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=harness.PATIENCE * 0.75)
    monkeypatch.setattr(harness, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with serving({"pid": 1}) as port:
        asker = Remembering(port, 2, None)
        with pytest.raises(TimeoutError, match="1 of 2 workers answer"):
            asker.ask()
    assert {each.sock for each in asker.connections} == {None}


def test_connections_are_closed_if_one_fails() -> None:
    with serving({"no": "pid"}) as port:
        asker = Remembering(port, 2, None)
        with pytest.raises(KeyError):
            asker.ask()
    assert {each.sock for each in asker.connections} == {None}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"level": "WARNING", "message": "slow"}', None),
        ('{"level": "ERROR", "message": "broken"}', "ERROR broken"),
        ('{"level": "CRITICAL", "message": "broken", "exception": "line\\nlast"}', "CRITICAL broken\nline\nlast"),
        (
            '{"level": "WARNING", "message": "Task exception was never retrieved"}',
            "WARNING Task exception was never retrieved",
        ),
        (f'{{"level": "ERROR", "message": "{ON_PURPOSE}"}}', None),
        ('{"level": "INFO"}', 'no record: {"level": "INFO"}'),
        ('{"level": "INFO", "mess{"level": "INFO"}', 'no record: {"level": "INFO", "mess{"level": "INFO"}'),
    ],
)
def test_faults_are_found_in_records(line: str, fault: str | None) -> None:
    assert harness._fault_in(line) == fault


def test_faults_are_found_in_the_log() -> None:
    log = Log(
        [
            '{"level": "ERROR", "message": "broken"}',
            "socket.send() raised exception.",
            '{"level": "ERROR", "message": "broken"}',
            "Traceback (most recent call last):",
            '  File "app.py", line 1, in app',
            "ValueError: 0x7f12 is not 16",
            "",
        ]
    )
    report = Report()
    harness._note_log(report, SimpleNamespace(log=log))
    assert report.faults == ["log: ERROR broken (2 times)", "log: ValueError: N is not N (1 times)"]


STATE = {
    "tasks": ["serve"],
    "threads": ["main"],
    "descriptors": ["socket", "socket"],
    "objects": {"Connection": 1},
    "connections": 1,
    "iterables": 0,
    "calls": {"/state": 1},
    "memory": 50 << 20,
    "blocks": 100_000,
}


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"tasks": ["serve", "serve"]}, "left: 1 more tasks: serve"),
        ({"tasks": []}, "gone: 1 of the tasks: serve"),
        ({"threads": ["main", "pool"]}, "left: 1 more threads: pool"),
        ({"descriptors": ["socket"] * 4}, "left: 2 more descriptors: socket"),
        ({"objects": {"Connection": 3}}, "left: 2 more objects: Connection"),
        ({"objects": {"Connection": 1, "Request": 1}}, "left: 1 more objects: Request"),
        ({"connections": 2}, "left: connections: 2, not 1"),
        ({"iterables": 1}, "left: iterables: 1, not 0"),
        ({"calls": {"/state": 1, "/poll": 1}}, "left: calls: {'/state': 1, '/poll': 1}, not {'/state': 1}"),
        ({"memory": (50 << 20) + harness.MEMORY + 1}, "left: 96 MiB of memory"),
        ({"blocks": 100_001 + harness.BLOCKS}, "left: 10001 blocks of Python's memory"),
    ],
)
def test_leaks_are_found(changed: dict[str, Any], fault: str) -> None:
    assert faults_left({1: {**STATE, **changed}}) == [fault]


def test_nothing_left_is_no_fault() -> None:
    assert faults_left({1: {**STATE, "objects": {}}}) == []


def test_other_processes_are_found() -> None:
    assert faults_left({2: STATE}) == ["other processes serve than before: [2], not [1]"]


def faults_left(after: dict[int, Any]) -> list[str]:
    """The faults if STATE has become `after`."""
    report = Report()
    harness._note_what_is_left(report, {1: STATE}, SimpleNamespace(ask=lambda: after), 0)
    return report.faults


@pytest.mark.parametrize(
    ("crowd", "faults"),
    [
        ({"resets": {"acts": 1, "failures": []}}, []),
        ({"resets": {"acts": 0, "failures": []}}, ["hostile: resets: did nothing"]),
        ({"slow": {"acts": 0, "failures": []}}, []),
        ({"resets": {"acts": 1, "failures": ["hangs"]}}, ["resets: hangs"]),
        ({"resets": {"acts": 1, "failures": ["x"] * 7}}, ["resets: x"] * 5 + ["resets: 2 more failures"]),
    ],
)
def test_failures_of_clients_are_reported(crowd: dict[str, Any], faults: list[str]) -> None:
    assert faults_of(0, json.dumps(crowd)) == faults


def test_clients_that_break_off_are_reported() -> None:
    assert faults_of(1, "") == ["the hostile clients ended with 1:\nKeyError"]


def faults_of(code: int, out: str) -> list[str]:
    """The faults of a crowd that ends with `code` and prints `out`."""
    report = Report()
    crowd = SimpleNamespace(communicate=lambda timeout: (out, "KeyError"), returncode=code)
    harness._note_crowd(report, "hostile", crowd, 0)
    return report.faults


class Log(list[str]):
    def text(self) -> str:
        return "\n".join(self)


def test_unknown_kind_of_client_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["storm", "--without", "slow", "nobody"])
    monkeypatch.setattr(__main__, "weather", None)
    with pytest.raises(SystemExit):
        __main__.main()
    assert "invalid choice: 'nobody'" in capsys.readouterr().err


class Remembering(Asker):
    def __init__(self, port: int, workers: int, context: None) -> None:
        super().__init__(port, workers, context)
        self.connections: list[http.client.HTTPConnection] = []

    def connect(self) -> http.client.HTTPConnection:
        self.connections.append(super().connect())
        return self.connections[-1]


@contextlib.contextmanager
def serving(state: dict[str, Any]) -> Iterator[int]:
    """Run a server that answers each request with `state`. Yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            data = json.dumps(state).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ended(code: int) -> Any:
    """A server that has ended with `code`."""
    return SimpleNamespace(signal=lambda number: None, wait=lambda: code)
