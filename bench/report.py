"""The result, as JSON with every round and as Markdown to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pronghorn.bench.charts import Chart
from pronghorn.bench.outcome import Outcome

from .markdown import outcome_table, verdict_table
from .servers import SERVERS
from .summary import ahead, summary_table

METHOD = """\
One run of {minutes} minutes, servers side by side. Each server has one worker, pinned to core {server_core}; the load
(wrk, bench/websocket.c or bench/paced.c; one thread) is pinned to core {load_core}. All servers of a table are up at
once, each has first answered rightly, and the rounds are interleaved: in each round, every server is loaded in turn.
Rounds: {rounds}, of {seconds} s, {warm_up}; of sweeps and latencies at most three, those of latencies
twice as long. Figures are medians over the rounds, ratios are medians of the ratios within a round. CPU is the user
and system time of the server's whole process tree over the same window, divided by the answers. A round with an error
(socket error, timeout, status of 400 or more, wrong message) is void and counts in no median.
[bench/README.md](../README.md) tells more."""
SUMMARY = """\
A ratio is how many times better pronghorn is: its answers per second divided by the peer's, or the peer's time or
memory divided by its. Bold ones are below 1."""


@dataclass(frozen=True)
class Report:
    """Everything that is written down. `cut` says what was given up, if anything was."""

    date: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    method: dict[str, Any]
    missing: dict[str, str]
    outcomes: Sequence[Outcome]
    cut: str = ""

    def write(self, directory: Path, name: str, charts: Mapping[str, Chart]) -> list[Path]:
        """Write `name`.json and `name`.md into `directory`, and `name`-CHART.svg for each chart."""
        directory.mkdir(parents=True, exist_ok=True)
        pictures = {f"{name}-{chart}.svg": drawn for chart, drawn in charts.items()}
        for file, drawn in pictures.items():
            drawn.save(directory / file)
        texts = {f"{name}.json": self.json(), f"{name}.md": self.markdown(list(pictures))}
        for file, text in texts.items():
            (directory / file).write_text(text, encoding="utf-8")
        return [directory / file for file in (*texts, *pictures)]

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

    def markdown(self, pictures: Sequence[str] = ()) -> str:
        """The summary, the charts, the tables."""
        parts = [
            f"# Benchmark, {self.date}",
            f"`{self.command}`",
            ", ".join(f"{name}: {value}" for name, value in self.machine.items()),
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            self.cut,
            "## Summary",
            SUMMARY,
            summary_table(self.outcomes),
            "### Where a peer is ahead",
            "\n".join(ahead(self.outcomes)) or "Nowhere.",
            "\n\n".join(f"![{file.removesuffix('.svg')}]({file})" for file in pictures),
            "## Method",
            METHOD.format_map(self.method),
        ]
        if self.missing:
            absent = (f"{name} (no {modules})" for name, modules in self.missing.items())
            parts.append(f"Not installed, so left out: {'; '.join(absent)}.")
        if targets := verdict_table(self.outcomes):
            parts += ["## Targets", targets]
        for outcome in self.outcomes:
            parts += [f"## {outcome.title}", outcome_table(outcome), *outcome.notes]
        started = [f"- {name}: `{commands(name)}`" for name in self.started()]
        parts += ["## How the servers were started", "\n".join(started)]
        return "\n\n".join(part for part in parts if part) + "\n"

    def started(self) -> list[str]:
        """The servers that have a row, in the order of the table of servers."""
        rows = {name for outcome in self.outcomes for name in outcome.rows}
        rows |= {f"{name}-2" for outcome in self.outcomes if outcome.name == "workers" for name in outcome.rows}
        return [name for name in SERVERS if name in rows and name not in self.missing]


def commands(name: str) -> str:
    """A server's environment and command line, as typed."""
    server = SERVERS[name]
    return " ".join([*(f"{key}={value}" for key, value in server.environment.items()), "python", server.arguments])
