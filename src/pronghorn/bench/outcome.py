"""Tables of figures: their columns and rows, and how pronghorn compares with its peers and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Row = dict[str, Any]
Show = Callable[[Any], str]


@dataclass(frozen=True)
class Column:
    """A column of a table: the key of its value in a row, and a function that formats the value."""

    key: str
    heading: str
    show: Show

    def cell(self, row: Row) -> str:
        """The value of a row as text, empty if there is none."""
        value = row.get(self.key)
        return "" if value is None else self.show(value)


@dataclass(frozen=True)
class Verdict:
    """A target, the measured value as text (None: not measured), and whether it reaches the target."""

    target: str
    measured: str | None
    reached: bool | None


@dataclass(frozen=True)
class Headline:
    """A line of the summary: the value at `key`, compared between the subject and its peers.

    The ratio is the value at `ratio`, if given, else it is computed from both values. With `only`, rows in which that
    value is not true do not count.
    """

    title: str
    key: str
    show: Show = "{:,.0f}".format
    least_is_best: bool = False
    ratio: str | None = None
    only: str | None = None

    def value(self, row: Row) -> float | None:
        """The value of a row, None if the row does not count."""
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
    """The verdict on a value that should not exceed `wanted`; `limit` names the origin of `wanted`."""
    if wanted is None or measured is None:
        return Verdict(f"≤ {limit}", None, None)
    return Verdict(f"≤ {show(wanted)} ({limit})", show(measured), measured <= wanted)


def middle(values: Sequence[float]) -> float | None:
    """The median, None if there is no value."""
    return median(values) if values else None


def percentile(ordered: Sequence[float], percent: float) -> float:
    """A percentile of sorted values, 0 if there are none."""
    return ordered[int((len(ordered) - 1) * percent / 100)] if ordered else 0.0


def milliseconds(microseconds: float) -> str:
    """Microseconds, formatted as milliseconds."""
    return f"{microseconds / 1000:,.2f}" if microseconds < 100_000 else f"{microseconds / 1000:,.0f}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def family(name: str) -> str:
    """A server's name without the variant that was measured: `granian` for `granian-ws`."""
    return name.partition("-")[0]
