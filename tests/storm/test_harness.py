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
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.storm import harness
from tests.storm.harness import Asker, Report, Storm, weather
from tests.storm.hostile import ACTS
from tests.storm.test_storm import NEEDS
from tests.support.server import Process, lacks

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads what is left from /proc"),
    *[pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed") for name in NEEDS],
]


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
