"""The rules that a call, an answer, or its absence must follow, whatever the version of HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.simulation.application import Outcome, Plan

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.network import Link
    from tests.simulation.websocket import Session


# Seconds in which the server reads what has arrived, the rest of an earlier body included.
DELIVERY = 5


class Seen(NamedTuple):
    """The part of a response that a client has received: with its `key` if it is the application's. `has_length` says
    that the response was complete by its length, whatever the application did next.
    """

    status: int
    key: str
    body: bytes
    is_complete: bool
    has_length: bool = False


def judge_plan(life: Life, plan: Plan) -> None:
    """One request is one call, which sees what the client has sent."""
    judge_call(life, plan)
    if plan.problem:
        life.fail(f"{plan.key}: {plan.problem}")


def judge_call(life: Life, plan: Plan | Session) -> None:
    """The application is called once at most, and the call ends."""
    if plan.calls > 1:
        life.fail(f"{plan.key}: the application was called {plan.calls} times")
    if plan.calls and plan.outcome is None:
        life.fail(f"{plan.key}: the call has not ended")


def judge_answer(life: Life, plan: Plan, seen: Seen) -> None:
    """A response is what the application has said, or the server's own for a reason."""
    if not seen.key:
        _judge_own_answer(life, plan, seen)
        return
    content = b"" if plan.method == "HEAD" else plan.content
    if seen.key != plan.key:
        life.fail(f"{plan.key}: got the answer to {seen.key}")
    elif not plan.calls:
        life.fail(f"{plan.key}: answered without the application")
    elif seen.status != plan.status:
        life.fail(f"{plan.key}: status {seen.status} instead of {plan.status}")
    elif not content.startswith(seen.body):
        life.fail(f"{plan.key}: another body than the application sent")
    elif seen.is_complete and seen.body != content:
        life.fail(f"{plan.key}: {len(seen.body)} of {len(content)} bytes look complete")
    elif seen.is_complete and not seen.has_length and plan.outcome is not Outcome.COMPLETE:
        life.fail(f"{plan.key}: looks complete, but the application has not completed it: {plan.outcome}")


def judge_unanswered(life: Life, link: Link, plan: Plan, had_closed: bool, ready_at: float) -> None:
    """A request that was sent has a complete answer, unless there is a reason. `had_closed` says that the response
    before has announced the end of the connection. From `ready_at`, no other request was in its way.
    """
    if link.left_at is not None or life.was_forced or life.gave_up(link) or life.ran_out_of_time(link.ended_at):
        return
    if link.ended is None:
        life.fail(f"{plan.key}: not answered, and the connection is open: {plan.outcome}")
    elif plan.calls:
        if not _is_excused(life, link, plan):
            life.fail(f"{plan.key}: {plan.outcome}, but not answered; the client saw {link.ended}")
    elif life.config.limit_concurrency is not None and link.sent_too_late:
        pass  # what was pipelined behind a request that got 503 has destroyed that answer
    elif not had_closed and not (life.is_stopping(link.ended_at) and _came_too_late(life, link, ready_at)):
        life.fail(f"{plan.key}: never reached the application; the client saw {link.ended}")


def may_be_ended_unnoticed(life: Life, link: Link, plan: Plan) -> bool:
    """Return whether the server may have ended a response, and the application has not heard of it: a response that
    pauses is ended if its client seems to be gone.
    """
    has_left = link.half_closed_at is not None
    return has_left and life.config.send_after_disconnect == "ignore" and max(plan.pauses, default=0) > 1


def _came_too_late(life: Life, link: Link, ready_at: float) -> bool:
    """Return whether the server may not have got a request before it was told to stop."""
    return life.stop_at <= ready_at + link.slack + life.blocked + DELIVERY


def _judge_own_answer(life: Life, plan: Plan, seen: Seen) -> None:
    if seen.status == 500:
        failed = plan.outcome in (Outcome.RAISED, Outcome.RETURNED, Outcome.CANCELLED)
        is_right = failed and plan.sent == 0
    else:
        is_right = seen.status == 503 and life.config.limit_concurrency is not None and not plan.calls
    if not is_right:
        life.fail(f"{plan.key}: the server answered {seen.status} {seen.body[:60]!r}: {plan.outcome}")


def _is_excused(life: Life, link: Link, plan: Plan) -> bool:
    """Return whether a call may have ended without a complete answer."""
    has_left = link.half_closed_at is not None
    match plan.outcome:
        case Outcome.RAISED | Outcome.RETURNED:
            # Broken off: a reset may destroy the part that was sent. Before the head, the server must answer.
            return plan.at >= -1 or has_left
        case Outcome.COMPLETE:
            return may_be_ended_unnoticed(life, link, plan)
        case Outcome.LEFT:
            return has_left or life.is_stopping(plan.ended_at)
        case Outcome.CANCELLED:
            return has_left or life.is_stopping(plan.ended_at) or plan.at >= -1
    return False
