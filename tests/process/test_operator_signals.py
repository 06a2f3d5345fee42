"""SIGHUP and SIGUSR1: counted while a program serves, and left alone otherwise."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("there are no such signals", allow_module_level=True)

from pronghorn import Config, Server
from pronghorn.process import operator_signals

BOTH = (signal.SIGHUP, signal.SIGUSR1)


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in BOTH]


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Otherwise the first tick of a server in another test would heed signals of these.
    monkeypatch.setattr(operator_signals, "received", operator_signals.received)
    before = [signal.signal(number, signal.SIG_DFL) for number in BOTH]
    yield
    for number, handler in zip(BOTH, before, strict=True):
        signal.signal(number, handler)


def test_signals_are_counted_inside_the_block_only() -> None:
    reloads, reopens = operator_signals.received
    with operator_signals.counted():
        for number in (*BOTH, signal.SIGUSR1):
            signal.raise_signal(number)
    assert operator_signals.received == (reloads + 1, reopens + 2)
    assert handlers() == [signal.SIG_DFL] * 2


def test_blocks_may_end_in_any_order() -> None:
    first, second = operator_signals.counted(), operator_signals.counted()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert signal.SIG_DFL not in handlers()
    second.__exit__(None, None, None)
    assert handlers() == [signal.SIG_DFL] * 2


def test_earlier_handler_wins() -> None:
    signal.signal(signal.SIGHUP, handler := lambda number, frame: None)
    with operator_signals.counted():
        assert signal.getsignal(signal.SIGHUP) is handler


def test_later_handler_wins_and_stays() -> None:
    handler = lambda number, frame: None  # noqa: E731 - as an application may write it
    with operator_signals.counted():
        signal.signal(signal.SIGHUP, handler)
    assert signal.getsignal(signal.SIGHUP) is handler


@pytest.mark.parametrize("taken", [False, True])
def test_ignored_signal_is_taken_over_only_if_a_program_starts(taken: bool) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with operator_signals.counted(also_ignored=taken):
        assert (signal.getsignal(signal.SIGHUP) != signal.SIG_IGN) == taken
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_other_threads_install_nothing() -> None:
    found: list[Any] = []

    def run() -> None:
        with operator_signals.counted():
            found.extend(handlers())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL] * 2


def test_forked_child_has_default_action() -> None:
    with operator_signals.counted():
        if not (child := os.fork()):
            os._exit(0 if handlers() == [signal.SIG_DFL] * 2 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_embedded_server_installs_nothing() -> None:
    async def main() -> list[Any]:
        async with Server(Config(app, port=0, log_config=None, lifespan="off")):
            return handlers()

    assert asyncio.run(main()) == [signal.SIG_DFL] * 2


@pytest.mark.parametrize("wanted", [True, False])
def test_serving_program_installs_handlers_if_it_wants_signals(wanted: bool) -> None:
    found: list[Any] = []

    class Stopping(Server):
        async def startup(self, sockets: Any = None) -> None:
            found.extend(handlers())
            self.should_exit = True

    Stopping(Config(app, port=0, log_config=None, lifespan="off", install_signals=wanted)).run()
    assert (signal.SIG_DFL in found) != wanted
    assert handlers() == [signal.SIG_DFL] * 2


@pytest.mark.parametrize("number", BOTH)
def test_error_does_not_stop_the_server(number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    ticks = []

    class Failing(Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            signal.raise_signal(number)

        def reload(self) -> None:
            raise ZeroDivisionError

        reopen_logs = reload

        async def on_tick(self, counter: int) -> bool:
            ticks.append(counter)
            self.should_exit = counter == 2
            return await super().on_tick(counter)

    Failing(Config(app, port=0, log_config=None, lifespan="off")).run()
    assert "Cannot do what the signal asks for" in caplog.messages
    assert ticks == [0, 1, 2]
