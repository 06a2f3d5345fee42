"""What the slices of a run come to: a row for each server, the response times of each action, a course over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from pronghorn.bench.outcome import Row, middle

from .slices import Request, Slice

SHARES = (0.5, 0.95, 0.99)


def rows(rounds: Mapping[str, Sequence[Slice]], subject: str) -> dict[str, Row]:
    """The figures of every server; ratios are to the `subject`'s, if it is there."""
    return {name: row(slices, rounds.get(subject, slices)) for name, slices in rounds.items()}


def row(slices: Sequence[Slice], subject: Sequence[Slice]) -> Row:
    """One server's figures; the `subject`'s slices were in the same rounds."""
    valid = [each for each in slices if each.requests]
    requests = list(chain.from_iterable(each.requests for each in slices))
    pairs = [(a, b) for a, b in zip(subject, slices, strict=True) if a.requests and b.requests]
    return {
        "per_second": middle([each.per_second for each in valid]),
        **counts(requests),
        "cpu_us": middle([each.cpu_us for each in valid]),
        "user_us": middle([each.server.user / len(each.requests) * 1e6 for each in valid]),
        "system_us": middle([each.server.system / len(each.requests) * 1e6 for each in valid]),
        "busy": middle([each.server.total / each.seconds for each in valid]),
        "cpu_ratio": middle([b.cpu_us / a.cpu_us for a, b in pairs]) if slices is not subject else None,
        "locust_us": middle([each.locust / len(each.requests) * 1e6 for each in valid]),
        "locust_busy": middle([each.locust / each.seconds for each in valid]),
        "others": middle([each.others / each.seconds for each in valid]),
        "void": [each.problem for each in slices if each.problem],
        "errors": dict(Counter(f"{each.action}: {each.error}" for each in requests if each.error is not None)),
        "rounds": {
            "per_second": [each.per_second if each.requests else None for each in slices],
            "cpu_us": [each.cpu_us if each.requests else None for each in slices],
        },
        "actions": actions(requests),
        "course": [course(each) for each in slices],
    }


def actions(requests: Iterable[Request]) -> dict[str, Row]:
    """The figures of every action."""
    found: dict[str, list[Request]] = {}
    for request in requests:
        found.setdefault(request.action, []).append(request)
    return {action: counts(found[action]) for action in sorted(found)}


def course(one: Slice) -> list[Row]:
    """The figures of every whole second."""
    seconds: list[list[Request]] = [[] for _ in range(int(one.seconds))]
    for request in one.requests:
        second = int(request.at - one.start)
        if second < len(seconds):
            seconds[second].append(request)
    return [counts(requests) for requests in seconds]


def counts(requests: Sequence[Request]) -> Row:
    """How many there were, how many failed, how long they took."""
    failures = sum(request.error is not None for request in requests)
    return {"requests": len(requests), "failures": failures, "percentiles": percentiles(requests)}


def percentiles(requests: Sequence[Request]) -> list[float]:
    """p50, p95 and p99 of the response times, in milliseconds; nothing if there were none."""
    ordered = sorted(request.milliseconds for request in requests)
    return [round(ordered[int((len(ordered) - 1) * share)], 3) for share in SHARES] if ordered else []
