"""The outcomes as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tests.autobahn.outcome import GROUPS, VERDICTS, Outcome


def tables(subject: str, outcomes: Sequence[Outcome]) -> str:
    """A row for each group, then a row for each case that is not OK."""
    return "\n".join([f"## {subject}", "", *_groups(outcomes), "", *_exceptions(outcomes)])


def _groups(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield _row("Group", "Cases", *VERDICTS, "Seconds")
    yield _row("---", *["--:"] * (len(VERDICTS) + 2))
    for number, group in groupby(outcomes, key=lambda outcome: outcome.group):
        yield _counts(f"{number} {GROUPS[number]}", list(group))
    yield _counts("All", outcomes)


def _counts(name: str, outcomes: Sequence[Outcome]) -> str:
    count = Counter(outcome.verdict for outcome in outcomes)
    seconds = sum(outcome.milliseconds for outcome in outcomes) / 1000
    return _row(name, len(outcomes), *(count[verdict] or "" for verdict in VERDICTS), f"{seconds:.1f}")


def _exceptions(outcomes: Iterable[Outcome]) -> Iterator[str]:
    exceptions = [outcome for outcome in outcomes if outcome.verdict != "OK"]
    if not exceptions:
        return
    yield _row("Case", "Messages", "Close", "Code")
    yield _row("---", "---", "---", "--:")
    for outcome in exceptions:
        yield _row(outcome.case, outcome.behaviour, outcome.closing, outcome.close_code or "")
    yield ""


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
