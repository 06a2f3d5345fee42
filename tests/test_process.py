"""What the parent of workers knows of them, without starting any."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.process import FOREVER, Worker, check, longest_stop, wait
from pronghorn.signals import Signals


def config(**parameters: Any) -> Config:
    return Config("main:app", log_config=None, **parameters)


@pytest.fixture
def worker() -> Any:
    """A worker that serves, was never launched, and has nothing to say."""
    worker = object.__new__(Worker)
    worker.__dict__.update(started=True, stopping=False, heard=time.monotonic() - 100, exitcode=None, _is_doubted=False)
    worker.__dict__.update(_config=config(timeout_worker_healthcheck=5))
    return worker


def test_a_worker_that_is_silent_is_heard_once_more(worker: Worker) -> None:
    """As its parent may have been stopped together with it."""
    assert not worker.is_overdue()
    assert time.monotonic() + 0.5 < worker.deadline() < time.monotonic() + 2
    worker.heard -= 2
    assert worker.is_overdue()


def test_no_timeout_means_that_silence_is_no_matter(worker: Worker) -> None:
    worker._config.timeout_worker_healthcheck = 0
    assert worker.deadline() == FOREVER


def test_a_configuration_goes_to_other_processes() -> None:
    check(config(headers=[("a", "b")], reload_dirs=["."]))


def test_a_configuration_that_cannot_go_is_refused() -> None:
    with pytest.raises(StartupError, match="cannot be handed to other processes"):
        check(config(ssl_context_factory=lambda config, default: default()))


def test_how_long_a_stop_may_take() -> None:
    assert longest_stop(config(timeout_graceful_shutdown=None)) == FOREVER
    assert longest_stop(config(timeout_graceful_shutdown=10)) > 20


@pytest.mark.parametrize(
    ("exitcode", "fate"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-63, "signal 63")]
)
def test_fate(worker: Worker, exitcode: int, fate: str) -> None:
    worker.exitcode = exitcode
    assert worker.fate() == fate


def test_signals_wake_and_are_read_in_order() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals("SIGTERM", "SIGINT", "SIGNOTHING") as signals:
        assert signals.read() == []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
        wait([signals], [], time.monotonic() + 10)
        assert signals.read() == ["SIGINT", "SIGTERM"]
        assert signals.read() == []
    assert signal.getsignal(signal.SIGTERM) is before
