"""The load of servers whose instructions are counted, without valgrind."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest

from bench import app_marked, apps, served
from bench.callgrind import CountFailed
from bench.served import SCENARIOS
from pronghorn.bench import certificate
from tests.support.server import thread

ALL = dict.fromkeys(("uvloop", "starlette", "aiofastnet", "openssl"), "1")


class Counting:
    """The marked application, with the number of requests before each mark."""

    def __init__(self) -> None:
        self.requests = 0
        self.marks: list[int] = []

    def __call__(self, scope: apps.Message, receive: apps.Receive, send: apps.Send) -> Awaitable[None]:
        self.requests += scope["path"] != "/mark"
        return app_marked.app(scope, receive, send)

    def mark(self) -> None:
        self.marks.append(self.requests)


@pytest.mark.parametrize("name", SCENARIOS)
def test_requests_are_counted_between_two_marks(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scenario, app = SCENARIOS[name], Counting()
    monkeypatch.setattr(app_marked, "mark", app.mark)
    for setting, value in (("CONNECTIONS", 3), ("WARM_UP", 2), ("ROUNDS", 4)):
        monkeypatch.setattr(served, setting, value)
    if "starlette" in scenario.libraries:
        pytest.importorskip("starlette")
    options = {}
    if scenario.secure:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        certificate.make(tmp_path)
        files = (certificate.CERTIFICATE, certificate.KEY)
        options = dict(zip(("ssl_certfile", "ssl_keyfile"), (str(tmp_path / name) for name in files), strict=True))
    with thread(app, interface="asgi3", lifespan="off", **options) as server:
        served.load(("127.0.0.1", server.port), scenario)
    # A WebSocket is one request, however many messages it has.
    assert app.marks == ([3, 3] if scenario.opening else [6, 18])


def test_scenarios_of_one_server_are_counted_together() -> None:
    assert served.groups(ALL) == [["plain", "starlette", "sleep", "websocket"], ["tls"]]


@pytest.mark.parametrize(
    ("library", "left"),
    [
        ("starlette", [["plain", "sleep", "websocket"], ["tls"]]),
        ("aiofastnet", [["plain", "starlette", "sleep", "websocket"]]),
        ("uvloop", []),
    ],
)
def test_scenario_without_its_library_is_left_out(library: str, left: list[list[str]]) -> None:
    assert served.groups(ALL.keys() - {library}) == left


def test_failed_server_is_reported_with_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such module')"]
    monkeypatch.setattr(served, "counting", lambda output, *arguments: command)
    with pytest.raises(CountFailed, match="no such module"):
        served.count(["plain"])


def test_missing_openssl_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(CountFailed, match="openssl, which is not installed"):
        served.with_certificate(tmp_path)
