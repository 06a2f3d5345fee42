"""Figures in tables: rows and columns, medians and percentiles, and their formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
