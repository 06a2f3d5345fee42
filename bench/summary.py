"""The summary of a result: one table, and the headlines under which another server is ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pronghorn.bench.outcome import Row, family

from .markdown import table
from .outcome import Headline, Outcome
from .servers import REFERENCES

YARDSTICK = "uvicorn"
# Rounds cannot tell smaller differences.
EVEN = 0.02


class Standing(NamedTuple):
    """The subject's row under a headline, and how many times better it is than each other server."""

    headline: Headline
    ours: Row
    advantages: dict[str, float]


def standings(outcomes: Sequence[Outcome]) -> Iterator[Standing]:
    """Every headline whose subject was measured."""
    for outcome in outcomes:
        ours = outcome.rows.get(outcome.subject)
        for headline in outcome.headlines:
            if ours is not None and headline.value(ours) is not None:
                advantages = {
                    name: advantage
                    for name, row in outcome.rows.items()
                    if name not in (outcome.subject, *REFERENCES)
                    and headline.value(row) is not None
                    and (advantage := headline.advantage(ours, row))
                }
                yield Standing(headline, ours, advantages)


def summary_table(outcomes: Sequence[Outcome]) -> str:
    """A line for each headline: pronghorn's value, beside uvicorn and beside the best of the other servers."""
    lines = []
    for headline, ours, advantages in standings(outcomes):
        yardstick = [ratio for name, ratio in advantages.items() if family(name) == YARDSTICK]
        best = min(advantages, key=lambda name: advantages[name], default=None)
        lines.append(
            [
                headline.title,
                headline.show(headline.value(ours)),
                times(yardstick[0]) if yardstick else "",
                f"{times(advantages[best])} {family(best)}" if best else "",
            ]
        )
    return table(["", "pronghorn", "beside uvicorn", "beside the best other server"], lines) if lines else ""


def ahead(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each headline under which other servers are ahead."""
    found = []
    for headline, _, advantages in standings(outcomes):
        better = sorted((ratio, name) for name, ratio in advantages.items() if ratio < 1)
        named = [
            f"{family(name)} {1 / ratio:.2f} times" + (" (even)" if ratio > 1 - EVEN else "") for ratio, name in better
        ]
        if named:
            found.append(f"- {headline.title}: {', '.join(named)}")
    return found


def times(ratio: float) -> str:
    """A ratio, bold where pronghorn is behind."""
    return f"{ratio:.2f} ×" if ratio >= 1 else f"**{ratio:.2f} ×**"
