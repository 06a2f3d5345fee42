"""Comparisons: differences between answers, order of loads, remarks on limits."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

pytest.importorskip("psutil")
pytest.importorskip("rich")

from rich.console import Console

from pronghorn.bench import answers, load, terminal
from pronghorn.bench.answers import Answer, Questions
from pronghorn.bench.compare import Comparison
from pronghorn.bench.load import Client, Load, LoadFailed
from pronghorn.bench.outcome import listed
from pronghorn.bench.process import CPU, Memory, Process, ServerFailed
from pronghorn.bench.request import Request
from pronghorn.bench.rounds import remarks
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.servers import SERVERS
from pronghorn.bench.session import Session
from tests.support.figures import OK, printed, row


class FakeProcess:
    """A server that returns its answers one by one, without a process."""

    def __init__(self, name: str, *answers: bytes) -> None:
        self.server = SERVERS[name]
        self.port = 1
        self._answers = list(answers)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        connection = Mock()
        connection.makefile.return_value = io.BytesIO(
            self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        )
        yield connection

    def failure(self, reason: str) -> ServerFailed:
        return ServerFailed(f"{self.server.name} {reason}")

    def forget_output(self) -> None: ...

    def settle(self) -> None: ...

    def cpu(self) -> CPU:
        return CPU(0, 0)

    def memory(self) -> Memory:
        return Memory(2**20, 0)


def questions(**servers: tuple[bytes, ...]) -> Questions:
    """The questions after these servers have answered."""
    asked = Questions(Request())
    for name, given in servers.items():
        asked.check(cast(Process, FakeProcess(name, *given)))
    return asked


def test_answer_is_described_by_status_and_size() -> None:
    assert questions(uvicorn=(OK,)).answers == {"uvicorn": {"/": Answer(200, "text/plain", b"hello")}}
    assert str(Answer(200, "", b"x" * 1000)) == "200 with 1,000 bytes"
    assert answers.described({"/a": Answer(204, "", b""), "/b": Answer(200, "a/b", b"")}) == (
        "/a: 204 with 0 bytes; /b: 200 with 0 bytes of a/b"
    )


def test_equal_answers_have_no_differences() -> None:
    assert questions(pronghorn=(OK,), uvicorn=(OK,)).differences("pronghorn") == []


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (OK.replace(b"hello", b"helps"), "bodies of 5 and 5 bytes differ after 3"),
        (OK.replace(b"5\r\n\r\nhello", b"4\r\n\r\nhell"), "bodies of 4 and 5 bytes differ after 4"),
        (OK.replace(b"200", b"201"), "201 with 5 bytes of text/plain, and 200 with 5 bytes of text/plain"),
        (OK.replace(b"plain", b"html"), "200 with 5 bytes of text/html, and 200 with 5 bytes of text/plain"),
    ],
    ids=["body", "length", "status", "type"],
)
def test_differences_are_reported(other: bytes, difference: str) -> None:
    found = questions(pronghorn=(OK,), uvicorn=(other,)).differences("pronghorn")
    assert found == [f"uvicorn and pronghorn do not answer / alike: {difference}."]


def test_bodies_that_change_are_not_compared() -> None:
    found = questions(pronghorn=(OK, OK.replace(b"hello", b"12345")), uvicorn=(OK.replace(b"hello", b"67890"),))
    assert found.differences("pronghorn") == ["The body of / is another one each time, so bodies were not compared."]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OK.replace(b"200 OK", b"404 No"), "answered / with 404: hello"),
        (b"", "did not answer /"),
        (OK[:-1], "did not answer /"),
        (b"SSH-2.0\r\n", "did not answer /"),
    ],
    ids=["an error", "nothing", "too short", "not HTTP"],
)
def test_server_that_cannot_answer_is_reported(answer: bytes, reason: str) -> None:
    with pytest.raises(ServerFailed, match=f"uvicorn {reason}"):
        questions(uvicorn=(answer,))


class FakeSession(Session):
    """Starts no process."""

    processes: dict[str, FakeProcess]

    @contextlib.contextmanager
    def running(self, name: str, app: str) -> Iterator[Any]:
        yield self.processes[name]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The port and seconds of each load, in order; the server at port 2 is half as fast and the one at 3 fails."""
    seen: list[tuple[int, int]] = []

    def run(program: str, arguments: list[str], seconds: int, core: int | None, read: Any) -> Load:
        assert read is load.parse
        port = int(arguments[3])
        seen.append((port, seconds))
        if port == 3:
            raise LoadFailed("no answer")
        return Load(1000 * seconds // port, seconds, 1, 10, 20, {})

    monkeypatch.setattr(load, "run", run)
    return seen


def comparison(tmp_path: Path, **servers: tuple[bytes, ...]) -> Comparison:
    asked = Questions(Request())
    scenario = Scenario("main:app", "GET /", "main:app", Client([], 1), asked, tuple(servers), {})
    session = FakeSession("python", tmp_path, tmp_path, rounds=2, seconds=5)
    processes = {name: FakeProcess(name, *given) for name, given in servers.items()}
    for port, process in enumerate(processes.values(), 1):
        process.port = port
    object.__setattr__(session, "processes", processes)
    return Comparison(scenario, session, subject_required=True)


def test_rounds_are_interleaved(tmp_path: Path, loads: list[tuple[int, int]]) -> None:
    compared = comparison(tmp_path, pronghorn=(OK,), uvicorn=(OK,))
    assert compared.seconds == 22
    compared.run()
    assert loads == [(1, 1), (2, 1), (1, 5), (2, 5), (1, 5), (2, 5)]
    assert compared.spent == compared.seconds
    assert compared.rows["uvicorn"]["ratio"] == 2
    assert compared.rows["pronghorn"]["per_second"] == 1000
    assert [compared.rows["uvicorn"][key] for key in ("p50_us", "p99_us", "rss", "limited")] == [10, 20, 2**20, True]


def test_peer_that_cannot_answer_is_left_out(tmp_path: Path, loads: list[tuple[int, int]]) -> None:
    compared = comparison(tmp_path, pronghorn=(OK,), uvicorn=(b"",), granian=(OK,))
    compared.run()
    assert list(compared.rows) == ["pronghorn", "granian"]
    assert list(compared.left_out) == ["uvicorn"]


def test_subject_that_cannot_answer_ends_the_comparison(tmp_path: Path, loads: list[tuple[int, int]]) -> None:
    with pytest.raises(ServerFailed, match="pronghorn did not answer"):
        comparison(tmp_path, pronghorn=(b"",), uvicorn=(OK,)).run()
    assert loads == []


def test_server_that_fails_under_load_has_no_figures(tmp_path: Path, loads: list[tuple[int, int]]) -> None:
    compared = comparison(tmp_path, pronghorn=(OK,), uvicorn=(OK,), granian=(OK,))
    compared.run()
    assert compared.rows["granian"]["per_second"] is None
    assert "2 rounds of granian do not count: no answer; no answer." in compared.notes()
    assert "granian" in printed(lambda console: console.print(terminal.table(compared.rows)))


@pytest.mark.parametrize(
    ("figures", "pinned", "remark"),
    [
        ({}, True, ""),
        ({"others": 0.2}, True, "Other processes took time from uvicorn: measure again when the machine is quiet."),
        ({"others": 0.2}, False, ""),
        (
            {"limited": True, "load_busy": 0.95},
            False,
            "uvicorn did not fill a core, and nothing was pinned to one: compare the CPU.",
        ),
        (
            {"limited": True, "load_busy": 0.95},
            True,
            "The load was the limit of uvicorn, whose core was not full: compare the CPU.",
        ),
        (
            {"limited": True},
            True,
            (
                "Neither the load nor uvicorn had a full core: the application waits, or more connections would be"
                " served; compare the CPU."
            ),
        ),
    ],
    ids=["nothing", "others", "others elsewhere", "unpinned", "load", "waiting"],
)
def test_remark_names_the_limit_of_a_server(figures: dict[str, Any], pinned: bool, remark: str) -> None:
    assert remarks({"uvicorn": row(**figures)}, pinned) == [remark] * bool(remark)


def test_names_are_listed_in_a_sentence() -> None:
    assert [listed(each) for each in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_terminal_shows_progress(tmp_path: Path, loads: list[tuple[int, int]]) -> None:
    compared = comparison(tmp_path, pronghorn=(OK,), uvicorn=(OK,))

    def run(console: Console) -> None:
        with terminal.watching(compared, console):
            compared.run()

    assert "ending the servers" in printed(run, force_terminal=True)
