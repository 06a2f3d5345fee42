"""The result, as JSON and as Markdown to read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.markdown import table
from pronghorn.bench.outcome import Column, Row

FULL, QUIET = 0.85, 0.05
METHOD = """\
{users} users of `bench/locustfile.py`, who think {think} s on average, use `bench/shop.py`, an application of FastAPI.
They do so on every server in turn, in {rounds} interleaved rounds of {seconds} s that begin when all have come and no
longer act at the same time. All servers are up meanwhile, each with one worker, pinned to core {server_core}; locust
is pinned to core {load_core}. Every answer is checked; a wrong one is a failure.

The number of users is fixed, and they wait for their answers, so requests per second tell only who could not keep up:
compare the CPU and the response times. The server's CPU is the user and system time of its whole process tree over
the window, divided by the requests, with what the application needs of it; locust's is that of its own process.
Requests per second and CPU are medians over the rounds, ratios are medians of the ratios within a round. Response times
are those of all rounds together, as locust took them, in which it was also busy with other users."""


def milliseconds(values: Sequence[float]) -> str:
    """Several, to read beside one another."""
    return " / ".join(f"{value:.1f}" for value in values)


COLUMNS = (
    Column("per_second", "requests/s", lambda value: f"{value:,.0f}"),
    Column("failures", "failures", lambda value: f"{value:,}"),
    Column("percentiles", "p50 / p95 / p99 ms", milliseconds),
    Column("cpu_us", "server's CPU µs/request", lambda value: f"{value:,.0f}"),
    Column("user_us", "user", lambda value: f"{value:,.0f}"),
    Column("system_us", "system", lambda value: f"{value:,.0f}"),
    Column("cpu_ratio", "its CPU ÷ pronghorn's", lambda value: f"{value:.2f}"),
    Column("busy", "server's core", lambda value: f"{value:.0%}"),
    Column("locust_us", "locust's CPU µs/request", lambda value: f"{value:,.0f}"),
    Column("locust_busy", "locust's core", lambda value: f"{value:.0%}"),
    Column("others", "others", lambda value: f"{value:.0%}"),
    Column("void", "void rounds", lambda value: "; ".join(value) or "0"),
)


@dataclass(frozen=True)
class Report:
    """Everything that is written down; `rows` as figures.py makes them, `started` the command line of each server."""

    date: str
    command: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    method: Mapping[str, Any]
    notes: Sequence[str]
    rows: Mapping[str, Row]
    started: Mapping[str, str]

    def write(self, directory: Path, name: str) -> list[Path]:
        """Write `name`.json and `name`.md into `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        paths = [directory / f"{name}.json", directory / f"{name}.md"]
        for path, text in zip(paths, (self.json(), self.markdown()), strict=True):
            path.write_text(text, encoding="utf-8")
        return paths

    def json(self) -> str:
        """Every number, a line for each."""
        return json.dumps(vars(self), indent=1, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """The tables."""
        errors = [
            f"- {name}: {error}: {count}" for name, row in self.rows.items() for error, count in row["errors"].items()
        ]
        parts = [
            f"# Users of a shop, {self.date}",
            f"`{self.command}`",
            ", ".join(f"{name}: {value}" for name, value in self.machine.items()),
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            METHOD.format_map(self.method),
            *self.notes,
            "## All requests",
            self.server_table(),
            *remarks(self.rows),
            *(["## Failures", "\n".join(errors)] if errors else []),
            "## Each action: p50 / p95 / p99 ms",
            self.action_table(lambda figures: milliseconds(figures["percentiles"])),
            "## Each action: requests, and failures if there were any",
            self.action_table(
                lambda figures: f"{figures['requests']:,}" + f" ({figures['failures']:,})" * bool(figures["failures"])
            ),
            "## How the servers were started",
            "\n".join(f"- {name}: `{command}`" for name, command in self.started.items()),
        ]
        return "\n\n".join(parts) + "\n"

    def server_table(self) -> str:
        """A line for each server."""
        lines = [[name, *(cell(row, column) for column in COLUMNS)] for name, row in self.rows.items()]
        return table(["server", *(column.heading for column in COLUMNS)], lines)

    def action_table(self, show: Callable[[Row], str]) -> str:
        """A line for each action, with what each server `show`s of it."""
        every = sorted({action for row in self.rows.values() for action in row["actions"]})
        lines = [
            [action, *(show(row["actions"][action]) if action in row["actions"] else "" for row in self.rows.values())]
            for action in every
        ]
        return table(["", *self.rows], lines)


def cell(row: Row, column: Column) -> str:
    """What stands in a column; of a server without a round that counts, only why."""
    if row[column.key] is None or (not row["requests"] and column.key != "void"):
        return ""
    return column.show(row[column.key])


def remarks(rows: Mapping[str, Row]) -> list[str]:
    """What was the limit, and what makes the figures doubtful."""
    valid = {name: row for name, row in rows.items() if row["per_second"] is not None}
    found = []
    for key, least, text in (
        ("busy", FULL, "The server was the limit of {}, whose core was full: so are its response times."),
        ("locust_busy", FULL, "Locust was the limit of {}: its core was full, so compare the CPU only."),
        ("others", QUIET, "Other processes took the cores from {}: measure again on a quiet machine."),
    ):
        if names := [name for name, row in valid.items() if row[key] > least]:
            found.append(text.format(", ".join(names)))
    if not found:
        found.append("Neither a server nor locust was the limit.")
    return found
