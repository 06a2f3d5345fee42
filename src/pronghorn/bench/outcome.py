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


@dataclass
class Outcome:
    """One table: a row for each server, in the order of measuring."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: dict[str, Row] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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
