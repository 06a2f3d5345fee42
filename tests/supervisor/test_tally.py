"""The supervisor's numbers of workers: what counts as the cause of an end."""

from __future__ import annotations

import pytest

from pronghorn.process.limits import Limit
from pronghorn.supervisor.tally import Cause
from pronghorn.supervisor.worker_messages import LimitReached
from tests.supervisor.test_supervisor import Rig, two

__all__ = ["two"]


def ends(rig: Rig) -> dict[Cause, int]:
    """The causes that occurred."""
    return {cause: count for cause, count in rig.supervisor.tally.ends.items() if count}


def replace_first(rig: Rig) -> None:
    rig.step()
    rig.serve()
    rig.workers[0].end(0)
    rig.step()


@pytest.mark.parametrize("limit", Limit)
def test_worker_that_reached_a_limit_ends_because_of_it(two: Rig, limit: Limit) -> None:
    two.workers[0].send(LimitReached(limit))
    replace_first(two)
    assert ends(two) == {Cause(limit): 1}
    assert two.supervisor.tally.starts == 3


def test_restarted_worker_ends_because_of_the_restart(two: Rig) -> None:
    two.signal("SIGHUP")
    replace_first(two)
    assert ends(two) == {Cause.RESTART: 1}


def test_removed_worker_ends_as_surplus(two: Rig) -> None:
    two.signal("SIGTTOU")
    two.workers[1].end(0)
    two.step()
    assert ends(two) == {Cause.SURPLUS: 1}


@pytest.mark.parametrize(("exitcode", "cause"), [(-9, Cause.SIGNAL), (7, Cause.EXIT)])
def test_worker_that_dies_ends_by_signal_or_exit(two: Rig, exitcode: int, cause: Cause) -> None:
    two.workers[0].end(exitcode)
    two.step()
    assert ends(two) == {cause: 1}


def test_silent_worker_ends_without_answer(two: Rig) -> None:
    two.workers[0].handle._to_silent()
    two.workers[0].handle.deadline = 0.0
    two.step()
    two.workers[0].end(-9)
    two.step()
    assert ends(two) == {Cause.NO_ANSWER: 1}


@pytest.mark.parametrize("in_time", [False, True])
def test_replacement_that_does_not_serve_fails_to_start(two: Rig, in_time: bool) -> None:
    two.signal("SIGHUP")
    if not in_time:
        two.workers[2].handle.deadline = 0.0
        two.step()
    two.workers[2].end(3 if in_time else -9)
    two.step()
    assert ends(two) == {Cause.START: 1}


def test_worker_that_does_not_stop_in_time_keeps_the_cause_of_its_stop(two: Rig) -> None:
    two.signal("SIGTTOU")
    two.workers[1].handle.deadline = 0.0
    two.step()
    two.workers[1].end(-9)
    two.step()
    assert ends(two) == {Cause.SURPLUS: 1}


def test_workers_that_end_with_the_supervisor_are_not_counted(two: Rig) -> None:
    two.signal("SIGTERM")
    for worker in two.workers:
        worker.end(0)
    two.step()
    assert ends(two) == {}
