"""What a measurement hands to the report: a table of numbers, and what became of the targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table: the key of its value in a row, and how the value is shown."""

    key: str
    heading: str
    show: Callable[[Any], str]


@dataclass(frozen=True)
class Verdict:
    """A target, the value that was measured for it (None: it could not be), and whether that is enough."""

    target: str
    measured: str | None
    reached: bool | None


@dataclass(frozen=True)
class Headline:
    """A value of the rows by which the subject is compared with its peers in the summary, and how it is shown.

    The rows have the ratio at the key `ratio`, or else it is taken of the values. Where `only` is given, rows in which
    that is not true are left out.
    """

    title: str
    key: str
    show: Callable[[Any], str] = "{:,.0f}".format
    least_is_best: bool = False
    ratio: str | None = None
    only: str | None = None

    def value(self, row: Row) -> float | None:
        """What counts of a row, None if nothing does."""
        value: float | None = row[self.key] if self.only is None or row[self.only] else None
        return value

    def advantage(self, ours: Row, theirs: Row) -> float | None:
        """How many times better our row is than theirs, None if that is not known."""
        if self.ratio is not None:
            ratio: float | None = theirs[self.ratio]
            return ratio
        mine, other = self.value(ours), self.value(theirs)
        if not mine or not other:
            return None
        return other / mine if self.least_is_best else mine / other


@dataclass
class Outcome:
    """One table: a row for each server, in the order of measuring."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: dict[str, Row] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    headlines: Sequence[Headline] = ()
    subject: str = "pronghorn"


def at_least(peer: str, wanted: float, measured: float | None) -> Verdict:
    """The verdict on a ratio to `peer` that should be `wanted` or more."""
    return Verdict(
        f"≥ {wanted:.3g} × {peer}",
        None if measured is None else f"{measured:.2f}",
        None if measured is None else measured >= wanted,
    )


def at_most(limit: str, wanted: float | None, measured: float | None, show: Callable[[float], str]) -> Verdict:
    """The verdict on a value that should not exceed `wanted`; `limit` says whose value that is, or of what."""
    if wanted is None or measured is None:
        return Verdict(f"≤ {limit}", None, None)
    return Verdict(f"≤ {show(wanted)} ({limit})", show(measured), measured <= wanted)


def middle(values: Sequence[float]) -> float | None:
    """The median, None if there is no value."""
    return median(values) if values else None
