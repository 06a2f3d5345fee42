"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .outcome import Outcome


def table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    rule = ["---", *("---:" for _ in headings[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *lines))


def verdict_table(outcomes: Sequence[Outcome]) -> str:
    """Every target with its measured value."""
    words = {True: "reached", False: "**short**", None: "not measured"}
    lines = [
        [outcome.title if not index else "", verdict.target, verdict.measured or "", words[verdict.reached]]
        for outcome in outcomes
        for index, verdict in enumerate(outcome.verdicts)
    ]
    return table(["scenario", "pronghorn should be", "is", ""], lines) if lines else ""


def outcome_table(outcome: Outcome) -> str:
    """One table: a line for each server."""
    rows = outcome.rows.values()
    columns = [column for column in outcome.columns if any(row[column.key] is not None for row in rows)]
    lines = [[name, *(column.cell(row) for column in columns)] for name, row in outcome.rows.items()]
    return table(["server", *(column.heading for column in columns)], lines) if lines else ""
