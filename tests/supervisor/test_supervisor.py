"""The supervisor: what it does with workers whose processes do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from pronghorn.config import Config
from pronghorn.process.limits import Limit
from pronghorn.supervisor.supervisor import Supervisor
from pronghorn.supervisor.worker_handle import State
from pronghorn.supervisor.worker_messages import LimitReached, Serving
from tests.support.fake_workers import FakeWorker


class NoSignals:
    def read(self) -> list[str]:
        return []


class Rig:
    """A supervisor whose workers are fake; `workers` are all that it has launched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.supervisor = Supervisor(Config("main:app", log_config=None, workers=count), [])
        self.workers: list[FakeWorker] = []
        monkeypatch.setattr("pronghorn.supervisor.supervisor.launch", self._launch)
        monkeypatch.setattr("pronghorn.supervisor.supervisor.wait", lambda *arguments: None)
        self.step()

    def _launch(self, config: Config, sockets: Any, replaces: Any, serve_within: float, table: Any) -> Any:
        worker = FakeWorker(config, replaces=replaces, serve_within=serve_within)
        self.workers.append(worker)
        return worker.handle

    def step(self) -> None:
        signals: Any = NoSignals()
        self.supervisor._step(signals)

    def signal(self, name: str) -> None:
        self.supervisor._on_signal(name)
        self.step()

    def serve(self) -> None:
        """All workers that were launched serve."""
        for worker in self.workers:
            if worker.handle.state is State.STARTING:
                worker.send(Serving())
        self.step()

    def states(self) -> list[State]:
        return [worker.handle.state for worker in self.workers]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Rig:
    caplog.set_level("INFO", "pronghorn.error")
    rig = Rig(monkeypatch, 2)
    rig.serve()
    assert rig.states() == [State.SERVING] * 2
    return rig


def test_workers_are_replaced_one_by_one_after_the_new_one_serves(two: Rig) -> None:
    two.signal("SIGHUP")
    assert two.states() == [State.SERVING, State.SERVING, State.STARTING]
    two.serve()
    assert two.states() == [State.STOPPING, State.SERVING, State.SERVING]
    two.workers[0].end(0)
    two.step()
    assert two.states() == [State.STOPPED, State.SERVING, State.SERVING, State.STARTING]
    two.serve()
    two.workers[1].end(0)
    two.step()
    assert two.states() == [State.STOPPED, State.STOPPED, State.SERVING, State.SERVING]


def test_restart_is_cancelled_if_the_new_worker_fails(two: Rig, caplog: pytest.LogCaptureFixture) -> None:
    two.signal("SIGHUP")
    two.workers[2].end(3)
    two.step()
    two.supervisor._not_before = 0.0
    two.step()
    assert two.states() == [State.SERVING, State.SERVING, State.FAILED]
    assert "failed to start (exit code 3); keeping worker" in caplog.text


@pytest.mark.parametrize("limit", Limit)
def test_worker_at_its_limit_is_replaced_by_a_second_attempt(two: Rig, limit: Limit) -> None:
    two.workers[1].send(LimitReached(limit))
    two.step()
    two.workers[2].end(3)
    two.step()
    two.supervisor._not_before = 0.0
    two.step()
    two.serve()
    assert two.states() == [State.SERVING, State.STOPPING, State.FAILED, State.SERVING]


def test_new_worker_that_serves_too_late_does_not_stop_the_old_one(two: Rig) -> None:
    two.signal("SIGHUP")
    two.workers[2].handle.kill()
    two.workers[2].send(Serving())
    two.step()
    assert two.states() == [State.SERVING, State.SERVING, State.KILLED]


def test_new_worker_takes_any_time_once_the_old_one_has_died(two: Rig, caplog: pytest.LogCaptureFixture) -> None:
    two.signal("SIGHUP")
    two.workers[0].end(-9)
    two.step()
    assert two.workers[2].handle.replaces is None
    assert f"Child process [{two.workers[0].handle.pid}] died: SIGKILL" in caplog.messages


@pytest.mark.parametrize("workers_end_first", [False, True])
def test_end_of_a_worker_in_the_moment_of_a_stop_is_no_death(
    two: Rig, caplog: pytest.LogCaptureFixture, workers_end_first: bool
) -> None:
    if workers_end_first:  # as when CTRL+C reaches all of them
        two.workers[0].end(130)
    two.signal("SIGINT")
    for worker in two.workers:
        worker.end(130)
    two.step()
    assert two.supervisor._exit_code == 0
    assert not two.supervisor._workers
    assert "died" not in caplog.text


def test_supervising_goes_on_after_errors(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Rig(monkeypatch, 1).supervisor
    supervisor._workers.clear()
    left = ["one", "one", "another", ""]

    def step(signals: Any) -> None:
        if what := left.pop(0):
            raise RuntimeError(what)
        supervisor._exit_code = 0

    monkeypatch.setattr("pronghorn.supervisor.supervisor.HEARTBEAT", 0)
    monkeypatch.setattr(supervisor, "_step", step)
    monkeypatch.setattr(supervisor, "_balance", lambda: None)
    assert supervisor.run() == 0
    failures = [line for line in caplog.messages if line.startswith("Cannot supervise")]
    assert failures == [f"Cannot supervise the processes: RuntimeError('{each}')" for each in ("one", "another")]


def test_failed_launch_is_retried_later(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no room")

    monkeypatch.setattr("pronghorn.supervisor.supervisor.launch", refuse)
    supervisor = Supervisor(Config("main:app", log_config=None, workers=1), [])
    supervisor._balance()
    assert caplog.messages == ["Cannot launch a process: RuntimeError('no room')"]
    supervisor._balance()
    assert len(caplog.messages) == 1


def test_worker_that_exceeds_its_memory_at_once_is_replaced_more_and_more_slowly(two: Rig) -> None:
    two.workers[0].send(LimitReached(Limit.RSS))
    two.step()
    two.serve()
    two.workers[0].end(0)
    two.workers[2].send(LimitReached(Limit.RSS))
    two.step()
    assert two.states() == [State.STOPPED, State.SERVING, State.SERVING]
    two.supervisor._not_before = 0.0
    two.step()
    assert two.states()[3] is State.STARTING
