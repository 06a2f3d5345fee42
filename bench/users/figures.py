"""The figures of locust's requests: in all, by action, and by second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from pronghorn.bench import rounds
from pronghorn.bench.outcome import Row, percentile
from pronghorn.bench.rounds import Round

from .slices import Request, visits

PERCENTS = (50, 95, 99)


def row(slices: list[Round], subject: list[Round] | None) -> Row:
    """One server's figures; the `subject`'s slices were in the same rounds."""
    requests = list(chain.from_iterable(each.log for each in map(visits, slices)))
    return {
        **rounds.row(slices, subject),
        **(counts(requests) if requests else dict.fromkeys(("requests", "failures", "percentiles"))),
        "errors": dict(Counter(f"{each.action}: {each.error}" for each in requests if each.error is not None)),
        "actions": actions(requests),
        "course": [course(each) for each in slices],
    }


def actions(requests: Iterable[Request]) -> dict[str, Row]:
    """The figures of every action."""
    found: dict[str, list[Request]] = {}
    for request in requests:
        found.setdefault(request.action, []).append(request)
    return {action: counts(found[action]) for action in sorted(found)}


def course(one: Round) -> list[Row]:
    """The figures of every whole second."""
    visited = visits(one)
    seconds: list[list[Request]] = [[] for _ in range(int(visited.seconds))]
    for request in visited.log:
        second = int(request.at - visited.start)
        if second < len(seconds):
            seconds[second].append(request)
    return [counts(requests) for requests in seconds]


def counts(requests: Sequence[Request]) -> Row:
    """The numbers of requests and failures, and percentiles of the response times in milliseconds."""
    failures = sum(request.error is not None for request in requests)
    ordered = sorted(request.milliseconds for request in requests)
    taken = [round(percentile(ordered, percent), 3) for percent in PERCENTS] if ordered else []
    return {"requests": len(requests), "failures": failures, "percentiles": taken}
