"""What the parent of workers knows of them, without starting any."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.process import FOREVER, STARTED, Worker, check, longest_stop, wait
from pronghorn.signals import Signals


def config(**parameters: Any) -> Config:
    return Config("main:app", log_config=None, **parameters)


@pytest.fixture
def worker() -> Any:
    """A worker that serves, was never launched, and has nothing to say."""
    worker = object.__new__(Worker)
    worker.__dict__.update(started=True, stopping=False, heard=time.monotonic() - 100, exitcode=None, _is_doubted=False)
    worker.__dict__.update(_config=config(timeout_worker_healthcheck=5))
    worker.__dict__.update(pid=1, replaces=None, spent=False, outdated=False, _has_sentinel=True, _has_failed=False)
    return worker


class Broken:
    """A process that nothing can be done with."""

    def __init__(self) -> None:
        self.sentinel = os.open(os.devnull, os.O_RDONLY)

    def __getattr__(self, name: str) -> Any:
        raise OSError(f"no {name}")


def test_what_goes_wrong_with_one_reaches_no_other(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    broken = object.__new__(Worker)
    broken.__dict__.update(worker.__dict__, pid=2, _process=Broken())
    worker.__dict__.update(_process=SimpleNamespace(exitcode=None, sentinel=socket.socket()))
    broken._pipe, _theirs = multiprocessing.Pipe()
    worker._pipe, said = multiprocessing.Pipe()
    said.send_bytes(STARTED)
    worker.started = False
    wait([], [broken, worker], time.monotonic() + 10)
    broken.stop(1)
    broken.kill()
    broken.close()
    assert worker.started
    assert caplog.messages == ["Child process [2] is given up: OSError('no exitcode')"]
    os.close(broken._process.sentinel)
    worker._process.sentinel.close()
    worker._pipe.close()


@pytest.mark.parametrize("said", [b"\x7f\xff\xff\xff!", b"\0\0\0\5of", b"\xff\xff\xff\xff!", b"\0"], ids=repr)
def test_nonsense_is_a_worker_s_end(worker: Worker, said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as sentinel:
        worker.__dict__.update(_process=SimpleNamespace(exitcode=None, sentinel=sentinel))
        worker._pipe, theirs = multiprocessing.Pipe()
        os.set_blocking(worker._pipe.fileno(), False)
        os.write(theirs.fileno(), said)
        worker.listen()
        worker.listen()
    assert worker._pipe.closed
    assert len(caplog.messages) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="nobody waits for a process there")
def test_one_that_somebody_else_has_waited_for_has_ended(worker: Worker) -> None:
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    assert process.pid is not None
    os.waitpid(process.pid, 0)
    worker._pipe, theirs = multiprocessing.Pipe()
    worker.__dict__.update(_process=process, pid=process.pid)
    worker.listen()
    assert worker.exitcode == 255
    worker.close()
    theirs.close()
    process._popen.returncode = 0  # type: ignore[attr-defined]
    process.join()


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
