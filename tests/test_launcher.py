"""`pronghorn.run`: the order of its steps and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import pronghorn
from pronghorn.config import ConfigError
from pronghorn.errors import StartupError

Serve = Callable[[Callable[[Any], None]], None]


async def app(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.fixture
def server_that(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """A function that replaces our server with one that only calls `run`."""

    def replace(run: Callable[[Any], None]) -> None:
        class Server:
            def __init__(self, config: Any) -> None:
                self.config = config
                self.started = self.signalled = False

            def run(self) -> None:
                run(self)

        module: Any = ModuleType("pronghorn.server")
        module.Server = Server
        monkeypatch.setitem(sys.modules, "pronghorn.server", module)

    return replace


def test_parameters_reach_server(server_that: Serve) -> None:
    ports: list[int] = []

    def serve(server: Any) -> None:
        server.started = True
        ports.append(server.config.port)

    server_that(serve)
    pronghorn.run(app, port=1234, log_config=None)
    assert ports == [1234]


def test_server_that_never_starts_ends_with_3(server_that: Serve) -> None:
    server_that(lambda server: None)
    with pytest.raises(SystemExit) as caught:
        pronghorn.run(app, log_config=None)
    assert caught.value.code == 3


def test_startup_error_is_logged(server_that: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(server: Any) -> None:
        raise StartupError("port in use")

    server_that(refuse)
    with pytest.raises(SystemExit) as caught:
        pronghorn.run(app, log_config=None)
    assert (caught.value.code, set(caplog.messages)) == (3, {"port in use"})


def test_keyboard_interrupt_ends_with_0(server_that: Serve) -> None:
    def interrupt(server: Any) -> None:
        raise KeyboardInterrupt

    server_that(interrupt)
    pronghorn.run(app, log_config=None)


def test_application_is_imported_before_server_is_created(server_that: Serve) -> None:
    calls: list[str] = []
    server_that(lambda server: calls.append("served"))
    with pytest.raises(SystemExit):
        pronghorn.run("missing_module:app", log_config=None)
    assert calls == []


def test_wrong_value_raises_config_error() -> None:
    with pytest.raises(ConfigError):
        pronghorn.run(app, port=-1, log_config=None)


@pytest.mark.parametrize("wanted", [{"workers": 2}, {"reload": True}])
def test_workers_and_reload_need_import_string(wanted: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        pronghorn.run(app, log_config=None, **wanted)
    line = "You must pass the application as an import string to enable 'reload' or 'workers'."
    assert (caught.value.code, caplog.messages) == (3, [line])
    assert caplog.records[0].levelname == "WARNING"
