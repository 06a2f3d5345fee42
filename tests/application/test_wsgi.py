"""The threads that WSGI applications run in."""

from __future__ import annotations

import threading

import pytest

from pronghorn.application.wsgi import DaemonThreads
from tests.support.server import PATIENCE


@pytest.fixture
def threads() -> DaemonThreads:
    """An executor of one thread, which ends when the executor is collected."""
    return DaemonThreads(1, "test")


def test_call_returns_its_result(threads: DaemonThreads) -> None:
    assert threads.submit(divmod, 7, 2).result(PATIENCE) == (3, 1)


def test_call_raises_its_error(threads: DaemonThreads) -> None:
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 7, 0).result(PATIENCE)


def test_cancelled_call_does_not_run(threads: DaemonThreads) -> None:
    may_end = threading.Event()
    ran = []
    threads.submit(may_end.wait, PATIENCE)
    waiting = threads.submit(ran.append, 1)
    assert waiting.cancel()
    may_end.set()
    threads.submit(int).result(PATIENCE)
    assert ran == []


def test_calls_wait_for_thread_when_all_are_busy(threads: DaemonThreads) -> None:
    names = [threads.submit(lambda: threading.current_thread().name) for _ in range(3)]
    assert {each.result(PATIENCE) for each in names} == {"test_0"}
