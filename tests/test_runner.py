"""`pronghorn.run`: what it calls in which order, and the code that the process ends with."""

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
    """Put a server that does only this in the place of ours."""

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


def test_server_that_has_served(server_that: Serve) -> None:
    ports: list[int] = []

    def serve(server: Any) -> None:
        server.started = True
        ports.append(server.config.port)

    server_that(serve)
    pronghorn.run(app, port=1234, log_config=None)
    assert ports == [1234]


def test_server_that_never_started_ends_with_3(server_that: Serve) -> None:
    server_that(lambda server: None)
    with pytest.raises(SystemExit) as caught:
        pronghorn.run(app, log_config=None)
    assert caught.value.code == 3


def test_reason_for_not_starting_is_logged(server_that: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(server: Any) -> None:
        raise StartupError("port in use")

    server_that(refuse)
    with pytest.raises(SystemExit) as caught:
        pronghorn.run(app, log_config=None)
    assert (caught.value.code, set(caplog.messages)) == (3, {"port in use"})


def test_keyboard_interrupt_is_a_good_end(server_that: Serve) -> None:
    def interrupt(server: Any) -> None:
        raise KeyboardInterrupt

    server_that(interrupt)
    pronghorn.run(app, log_config=None)


def test_application_is_imported_before_there_is_a_server(server_that: Serve) -> None:
    calls: list[str] = []
    server_that(lambda server: calls.append("served"))
    with pytest.raises(SystemExit):
        pronghorn.run("missing_module:app", log_config=None)
    assert calls == []


def test_wrong_value_is_raised_to_the_caller() -> None:
    with pytest.raises(ConfigError):
        pronghorn.run(app, port=-1, log_config=None)


@pytest.mark.parametrize("wanted", [{"workers": 2}, {"reload": True}])
def test_processes_need_an_import_string(wanted: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        pronghorn.run(app, log_config=None, **wanted)
    line = "You must pass the application as an import string to enable 'reload' or 'workers'."
    assert (caught.value.code, caplog.messages) == (3, [line])
    assert caplog.records[0].levelname == "WARNING"
