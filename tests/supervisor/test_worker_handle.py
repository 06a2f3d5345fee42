"""The parent's handle on a worker: its states and deadlines, without launching a server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from typing import Any

import pytest

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.errors import StartupError
from pronghorn.process.limits import Limit
from pronghorn.supervisor import worker_handle
from pronghorn.supervisor.signals import Signals
from pronghorn.supervisor.tally import Cause
from pronghorn.supervisor.worker_handle import State, WorkerHandle, ensure_picklable, wait
from pronghorn.supervisor.worker_messages import HEARTBEAT, Alive, LimitReached, Message, Serving
from tests.support.fake_workers import FakeWorker


def config(**parameters: Any) -> Config:
    return Config("main:app", log_config=None, **parameters)


class Clock:
    """Replaces `time` in the module under test. Tests set `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(worker_handle, "time", clock)
    return clock


@pytest.fixture
def worker(clock: Clock) -> FakeWorker:
    return FakeWorker(config(timeout_worker_healthcheck=5))


def bring_to(worker: FakeWorker, state: State, clock: Clock) -> None:
    if state in (State.SERVING, State.SILENT):
        worker.send(Serving())
    if state is State.SILENT:
        clock.now += 5
        worker.handle.update()
    if state is State.STOPPING:
        worker.handle.stop(10)
    if state is State.KILLED:
        worker.handle.kill()
    assert worker.handle.state is state


RUNNING = [State.STARTING, State.SERVING, State.SILENT, State.STOPPING, State.KILLED]


@pytest.mark.parametrize(
    ("before", "message", "after"),
    [
        (State.STARTING, Alive(), State.STARTING),
        (State.STARTING, Serving(), State.SERVING),
        (State.SERVING, Alive(), State.SERVING),
        (State.SILENT, Alive(), State.SERVING),
        (State.SILENT, LimitReached(Limit.REQUESTS), State.SERVING),
        (State.STOPPING, Serving(), State.STOPPING),
        (State.KILLED, Serving(), State.KILLED),
    ],
    ids=str,
)
def test_message_changes_state(worker: FakeWorker, clock: Clock, before: State, message: Message, after: State) -> None:
    bring_to(worker, before, clock)
    worker.send(message)
    assert worker.handle.state is after


@pytest.mark.parametrize("state", RUNNING)
def test_stop_terminates_an_active_worker_only(worker: FakeWorker, clock: Clock, state: State) -> None:
    bring_to(worker, state, clock)
    sent = list(worker.process.signals)
    was_active = worker.handle.is_active()
    worker.handle.stop(10)
    assert worker.process.signals == sent + ["SIGTERM"] * was_active
    assert worker.handle.state is (State.STOPPING if was_active else state)
    assert not worker.handle.is_active()


@pytest.mark.parametrize("state", RUNNING)
def test_kill_works_in_every_state(worker: FakeWorker, clock: Clock, state: State) -> None:
    bring_to(worker, state, clock)
    worker.handle.kill()
    assert worker.process.signals[-1] == "SIGKILL"
    assert (worker.handle.state, worker.handle.deadline) == (State.KILLED, FOREVER)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.STARTING, State.FAILED),
        (State.SERVING, State.DIED),
        (State.SILENT, State.DIED),
        (State.STOPPING, State.STOPPED),
        (State.KILLED, State.STOPPED),
    ],
)
def test_end_of_the_process_is_final(worker: FakeWorker, clock: Clock, before: State, after: State) -> None:
    bring_to(worker, before, clock)
    worker.end(1)
    sent = list(worker.process.signals)
    worker.handle.stop(10)
    worker.handle.kill()
    assert (worker.handle.state, worker.handle.deadline) == (after, FOREVER)
    assert worker.process.signals == sent


def test_messages_sent_before_the_end_count(worker: FakeWorker) -> None:
    worker.process.end(-9)
    worker.send(Serving())
    assert worker.handle.state is State.DIED


def test_each_message_renews_the_deadline_of_a_serving_worker(worker: FakeWorker, clock: Clock) -> None:
    worker.send(Serving())
    clock.now += 3
    worker.send(Alive())
    assert worker.handle.deadline == clock.now + 5


def test_silent_worker_has_one_more_heartbeat(worker: FakeWorker, clock: Clock) -> None:
    """The parent may have been suspended together with it."""
    worker.send(Serving())
    clock.now += 100
    assert not worker.handle.is_overdue()
    worker.handle.update()
    assert not worker.handle.is_overdue()
    assert worker.handle.deadline == clock.now + HEARTBEAT
    clock.now += HEARTBEAT
    assert worker.handle.is_overdue()


def test_without_a_health_check_a_serving_worker_may_be_silent(clock: Clock) -> None:
    worker = FakeWorker(config(timeout_worker_healthcheck=0))
    worker.send(Serving())
    assert worker.handle.deadline == FOREVER


def test_starting_worker_may_take_any_time_but_not_be_silent(worker: FakeWorker, clock: Clock) -> None:
    for _ in range(10):
        clock.now += 50
        worker.send(Alive())
    assert not worker.handle.is_overdue()
    clock.now += 60
    assert worker.handle.is_overdue()


def test_starting_worker_must_serve_in_time_if_it_replaces_another(worker: FakeWorker, clock: Clock) -> None:
    new = FakeWorker(config(), replaces=worker.handle, serve_within=5)
    clock.now += 5
    new.send(Alive())
    assert new.handle.is_overdue()


def test_starting_worker_may_take_any_time_once_its_predecessor_ended(worker: FakeWorker, clock: Clock) -> None:
    new = FakeWorker(config(), replaces=worker.handle, serve_within=5)
    new.handle.forget_replaced()
    clock.now += 50
    new.send(Alive())
    assert not new.handle.is_overdue()
    assert new.handle.replaces is None


def test_stopping_worker_has_the_given_time(worker: FakeWorker, clock: Clock) -> None:
    worker.handle.stop(10)
    clock.now += 9
    worker.send(Alive())
    assert not worker.handle.is_overdue()
    clock.now += 1
    assert worker.handle.is_overdue()


@pytest.mark.parametrize("limit", Limit)
def test_restart_can_be_cancelled_but_not_a_reached_limit(worker: FakeWorker, limit: Limit) -> None:
    worker.handle.request_restart()
    assert worker.handle.replacement is Cause.RESTART
    worker.handle.cancel_restart()
    assert worker.handle.replacement is None
    worker.send(LimitReached(limit))
    worker.handle.request_restart()
    worker.handle.cancel_restart()
    assert worker.handle.replacement == Cause(limit)


class BrokenProcess:
    """A process on which every operation fails."""

    def __init__(self) -> None:
        self.pid = 2**22
        self.sentinel = os.open(os.devnull, os.O_RDONLY)

    def __getattr__(self, name: str) -> Any:
        raise OSError(f"no {name}")


def test_failures_of_one_worker_do_not_affect_others(caplog: pytest.LogCaptureFixture) -> None:
    worker = FakeWorker(config())
    worker.pipe.send_bytes(b"S")
    process: Any = BrokenProcess()
    pipe, _other_end = multiprocessing.Pipe()
    broken = WorkerHandle(config(), process, pipe)
    wait([], [broken, worker.handle], time.monotonic() + 10)
    broken.stop(1)
    broken.kill()
    broken.close()
    assert worker.handle.is_serving()
    assert caplog.messages == [f"Lost contact with child process [{broken.pid}]: OSError('no exitcode')"]
    os.close(process.sentinel)


@pytest.mark.parametrize("data", [b"\x7f\xff\xff\xff!", b"\0\0\0\5of", b"\xff\xff\xff\xff!", b"\0"], ids=repr)
def test_garbled_message_closes_the_pipe(worker: FakeWorker, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    os.write(worker.pipe.fileno(), data)
    worker.handle.update()
    worker.handle.update()
    assert worker.handle.waitables() == [worker.process.sentinel]
    assert len(caplog.messages) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not waited for there")
def test_process_reaped_by_other_code_has_ended() -> None:
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    assert process.pid is not None
    os.waitpid(process.pid, 0)
    pipe, theirs = multiprocessing.Pipe()
    worker = WorkerHandle(config(), process, pipe)
    worker.update()
    assert worker.exitcode == 255
    worker.close()
    theirs.close()
    process._popen.returncode = 0  # type: ignore[attr-defined]
    process.join()


@pytest.mark.parametrize(
    ("exitcode", "reason"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-63, "signal 63")]
)
def test_exit_reason_describes_the_exit_code(worker: FakeWorker, exitcode: int, reason: str) -> None:
    worker.end(exitcode)
    assert worker.handle.exit_reason() == reason


def test_configuration_can_be_sent_to_workers() -> None:
    ensure_picklable(config(headers=[("a", "b")], reload_dirs=["."]))


def test_configuration_that_cannot_be_pickled_is_refused() -> None:
    with pytest.raises(StartupError, match="cannot be sent to worker processes"):
        ensure_picklable(config(ssl_context_factory=lambda config, default: default()))


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
