"""The result, as JSON with every round and as Markdown to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pronghorn.bench.outcome import Outcome
from pronghorn.bench.servers import SERVERS

METHOD = """\
One run, servers side by side. Each server has one worker, pinned to core {server_core};
the load (wrk, or bench/websocket.c; one thread) is pinned to core {load_core}. All servers of a table are up
at once, each has first answered rightly, and the rounds are interleaved: in each round, every server is
loaded in turn. Rounds: {rounds}, of {seconds} s, after a warm-up of 1 s. Figures are medians over the rounds,
ratios are medians of the ratios within a round. CPU is the user and system time of the server's whole process
tree over the same window, divided by the answers. A round with an error (socket error, timeout, status of 400
or more, wrong message) is void and counts in no median."""


@dataclass(frozen=True)
class Report:
    """Everything that is written down."""

    date: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    method: dict[str, Any]
    missing: dict[str, str]
    outcomes: Sequence[Outcome]

    def write(self, directory: Path, name: str) -> list[Path]:
        """Write `name`.json and `name`.md into `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        paths = [directory / f"{name}.json", directory / f"{name}.md"]
        for path, text in zip(paths, (self.json(), self.markdown()), strict=True):
            path.write_text(text, encoding="utf-8")
        return paths

    def json(self) -> str:
        """Every number, indented."""
        fields = {name: value for name, value in vars(self).items() if name != "outcomes"}
        fields["servers"] = {name: commands(name) for name in SERVERS if name not in self.missing}
        fields["scenarios"] = [
            {
                "name": outcome.name,
                "title": outcome.title,
                "servers": outcome.rows,
                "targets": [vars(verdict) for verdict in outcome.verdicts],
                "notes": outcome.notes,
            }
            for outcome in self.outcomes
        ]
        return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """The tables."""
        parts = [
            f"# Benchmark, {self.date}",
            f"`{self.command}`",
            ", ".join(f"{name}: {value}" for name, value in self.machine.items()),
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            METHOD.format_map(self.method),
        ]
        if self.missing:
            absent = (f"{name} (no {modules})" for name, modules in self.missing.items())
            parts.append(f"Not installed, so left out: {'; '.join(absent)}.")
        parts += ["## Targets", verdict_table(self.outcomes)]
        for outcome in self.outcomes:
            parts += [f"## {outcome.title}", outcome_table(outcome), *outcome.notes]
        started = [f"- {name}: `{commands(name)}`" for name in SERVERS if name not in self.missing]
        parts += ["## How the servers were started", "\n".join(started)]
        return "\n\n".join(part for part in parts if part) + "\n"


def commands(name: str) -> str:
    """A server's environment and command line, as typed."""
    server = SERVERS[name]
    return " ".join([*(f"{key}={value}" for key, value in server.environment.items()), "python", server.arguments])


def verdict_table(outcomes: Sequence[Outcome]) -> str:
    """Every target with what was measured."""
    words = {True: "reached", False: "**short**", None: "not measured"}
    lines = [
        [outcome.title if not index else "", verdict.target, verdict.measured or "", words[verdict.reached]]
        for outcome in outcomes
        for index, verdict in enumerate(outcome.verdicts)
    ]
    return table(["scenario", "pronghorn should be", "is", ""], lines)


def outcome_table(outcome: Outcome) -> str:
    """One table: a line for each server."""
    rows = outcome.rows.values()
    columns = [column for column in outcome.columns if any(row[column.key] is not None for row in rows)]
    lines = [
        [name, *("" if row[column.key] is None else column.show(row[column.key]) for column in columns)]
        for name, row in outcome.rows.items()
    ]
    return table(["server", *(column.heading for column in columns)], lines) if lines else ""


def table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    rule = ["---", *("---:" for _ in headings[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *lines))
