"""The verdicts themselves: each fails what breaks its rule, and nothing else."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("the simulated network needs Linux", allow_module_level=True)

from tests.simulation import verdicts
from tests.simulation.application import Outcome, Plan
from tests.simulation.life import Life
from tests.simulation.loop import EPOCH
from tests.simulation.network import Link
from tests.simulation.verdicts import Seen

ENDED = EPOCH + 9

WHOLE = Seen(200, "1.0", b"hello", True)
OWN = Seen(500, "", b"", True)


@pytest.fixture
def life() -> Iterator[Life]:
    """A life that nothing has happened in, whose server has no limit."""
    life = Life(0)
    life.config.limit_concurrency = life.config.timeout_graceful_shutdown = None
    life.config.send_after_disconnect = "raise"
    yield life
    life.network.close()


@pytest.fixture
def link(life: Life) -> Link:
    """A link that the server has closed."""
    link = Link(life.network, 1, random.Random(0))
    life.network.links.append(link)
    link.ended, link.ended_at = "eof", ENDED
    return link


def completed(**changes: Any) -> Plan:
    """A call that has completed its response, but for `changes`."""
    plan = Plan("1.0", random.Random(0), "GET", b"")
    usual = {"status": 200, "pieces": [b"hello"], "pauses": [0.0], "at": -2, "sent": 1, "calls": 1}
    for name, value in ({**usual, "outcome": Outcome.COMPLETE, "ended_at": ENDED} | changes).items():
        setattr(plan, name, value)
    return plan


@pytest.mark.parametrize(
    ("plan", "failure"),
    [
        (completed(), None),
        (completed(calls=0, outcome=None), None),
        (completed(calls=2), "1.0: the application was called 2 times"),
        (completed(outcome=None), "1.0: the call has not ended"),
        (completed(problem="the body ended early"), "1.0: the body ended early"),
    ],
)
def test_plan(life: Life, plan: Plan, failure: str | None) -> None:
    verdicts.judge_plan(life, plan)
    assert life.failures == [failure] * (failure is not None)


@pytest.mark.parametrize(
    ("plan", "seen", "failure"),
    [
        (completed(), WHOLE, None),
        (completed(method="HEAD"), WHOLE._replace(body=b""), None),
        (completed(), WHOLE._replace(key="2.0"), "got the answer to 2.0"),
        (completed(calls=0), WHOLE, "answered without the application"),
        (completed(), WHOLE._replace(status=404), "status 404 instead of 200"),
        (completed(), WHOLE._replace(body=b"help"), "another body than the application sent"),
        (completed(), WHOLE._replace(body=b"hell"), "4 of 5 bytes look complete"),
        (completed(method="HEAD"), WHOLE, "another body than the application sent"),
        (completed(outcome=Outcome.RAISED), WHOLE, "looks complete, but the application has not completed it"),
        (completed(outcome=Outcome.RAISED), WHOLE._replace(has_length=True), None),
        (completed(outcome=Outcome.RAISED), WHOLE._replace(body=b"hell", is_complete=False), None),
        (completed(outcome=Outcome.RAISED, sent=0), OWN, None),
        (completed(outcome=Outcome.RAISED), OWN, "the server answered 500"),
        (completed(sent=0), OWN, "the server answered 500"),
        (completed(calls=0), OWN._replace(status=503), "the server answered 503"),
    ],
)
def test_answer(life: Life, plan: Plan, seen: Seen, failure: str | None) -> None:
    verdicts.judge_answer(life, plan, seen)
    check(life, failure)


@pytest.mark.parametrize(("calls", "failure"), [(0, None), (1, "the server answered 503")])
def test_refusal_at_the_limit(life: Life, calls: int, failure: str | None) -> None:
    life.config.limit_concurrency = 4
    verdicts.judge_answer(life, completed(calls=calls), OWN._replace(status=503))
    check(life, failure)


@pytest.mark.parametrize(
    ("plan", "had_closed", "failure"),
    [
        (completed(), False, "but not answered; the client saw eof"),
        (completed(), True, "but not answered; the client saw eof"),
        (completed(calls=0), False, "never reached the application; the client saw eof"),
        (completed(calls=0), True, None),
        (completed(outcome=Outcome.RAISED, at=-1), False, None),
        (completed(outcome=Outcome.RAISED), False, "but not answered"),
        (completed(outcome=Outcome.CANCELLED, at=-1), False, None),
        (completed(outcome=Outcome.CANCELLED), False, "but not answered"),
        (completed(outcome=Outcome.LEFT), False, "but not answered"),
        (completed(outcome=None), False, "but not answered"),
    ],
)
def test_no_answer(life: Life, link: Link, plan: Plan, had_closed: bool, failure: str | None) -> None:
    verdicts.judge_unanswered(life, link, plan, had_closed, EPOCH)
    check(life, failure)


def test_no_answer_on_an_open_connection(life: Life, link: Link) -> None:
    link.ended = link.ended_at = None
    verdicts.judge_unanswered(life, link, completed(), True, EPOCH)
    check(life, "not answered, and the connection is open")


def test_no_answer_to_a_client_that_has_left(life: Life, link: Link) -> None:
    link.left_at = EPOCH
    verdicts.judge_unanswered(life, link, completed(), False, EPOCH)
    check(life, None)


def test_no_answer_to_a_client_that_was_cut_off(life: Life, link: Link) -> None:
    life.log.append("Connection cut off. 10.1.0.2:20002 - read nothing")
    verdicts.judge_unanswered(life, link, completed(), False, EPOCH)
    check(life, "but not answered")
    life.failures.clear()
    life.log.append("Connection cut off. 10.1.0.1:20001 - read nothing")
    verdicts.judge_unanswered(life, link, completed(), False, EPOCH)
    check(life, None)


@pytest.mark.parametrize(("limit", "failure"), [(4, None), (None, "never reached the application")])
def test_no_answer_behind_a_refusal(life: Life, link: Link, limit: int | None, failure: str | None) -> None:
    """Bytes that arrive after a 503 may destroy it."""
    life.config.limit_concurrency = limit
    link.sent_too_late = True
    verdicts.judge_unanswered(life, link, completed(calls=0), False, EPOCH)
    check(life, failure)


@pytest.mark.parametrize("outcome", [Outcome.LEFT, Outcome.RAISED, Outcome.CANCELLED])
def test_no_answer_after_the_client_has_half_closed(life: Life, link: Link, outcome: Outcome) -> None:
    link.half_closed_at = EPOCH
    verdicts.judge_unanswered(life, link, completed(outcome=outcome), False, EPOCH)
    check(life, None)


def test_request_that_came_before_the_stop_and_never_reached_the_application(life: Life, link: Link) -> None:
    ready_at = EPOCH
    life.stop_at = ready_at + verdicts.DELIVERY + link.slack
    link.ended_at = life.stop_at + 1
    verdicts.judge_unanswered(life, link, completed(calls=0), False, ready_at)
    check(life, None)
    life.stop_at += 0.1
    verdicts.judge_unanswered(life, link, completed(calls=0), False, ready_at)
    check(life, "never reached the application")


@pytest.mark.parametrize(
    ("plan", "failure"),
    [
        (completed(calls=0), None),
        (completed(outcome=Outcome.LEFT), None),
        (completed(outcome=Outcome.CANCELLED), None),
        (completed(), "but not answered"),
    ],
)
def test_no_answer_at_the_stop(life: Life, link: Link, plan: Plan, failure: str | None) -> None:
    life.stop_at = EPOCH
    verdicts.judge_unanswered(life, link, plan, False, EPOCH)
    check(life, failure)


@pytest.mark.parametrize(("timeout", "failure"), [(8, None), (10, "but not answered")])
def test_no_answer_within_the_time_of_the_stop(life: Life, link: Link, timeout: int, failure: str | None) -> None:
    life.stop_at, life.config.timeout_graceful_shutdown = EPOCH, timeout
    verdicts.judge_unanswered(life, link, completed(), False, EPOCH)
    check(life, failure)


@pytest.mark.parametrize(("way", "failure"), [("ignore", None), ("raise", "but not answered")])
def test_response_that_pauses_may_end_unnoticed(life: Life, link: Link, way: Any, failure: str | None) -> None:
    life.config.send_after_disconnect = way
    link.half_closed_at = EPOCH
    verdicts.judge_unanswered(life, link, completed(pauses=[2.6]), False, EPOCH)
    check(life, failure)


def check(life: Life, failure: str | None) -> None:
    """Check that the life has failed for this reason alone, or not at all."""
    assert len(life.failures) == (failure is not None)
    assert failure is None or failure in life.failures[0]
