"""The result of a run, as JSON with every round and as Markdown to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pronghorn.bench.charts import Chart
from pronghorn.bench.result import ROUNDS, Record

from .markdown import outcome_table, verdict_table
from .outcome import Outcome
from .summary import ahead, summary_table

METHOD = """\
One run of {minutes} minutes, servers side by side. Each server has one worker, pinned to core {server_core}; the load
(wrk, h2load, bench/websocket.c or bench/paced.c; one thread) is pinned to core {load_core}. All servers of a table are
up at once, and each has first answered correctly. Rounds: {rounds} of {seconds} s, {warm_up}; sweeps and latencies
have three at the most, those of latencies twice as long. A round with an error (socket error, timeout, status of 400 or
more, wrong message) is void and counts in no median. [bench/README.md](../README.md) has the details."""
SUMMARY = """\
A ratio is how many times better pronghorn is: its answers per second divided by those of the other server, or the
other server's time or memory divided by its own. Ratios below 1 are bold."""


@dataclass(frozen=True, kw_only=True)
class Report(Record):
    """The outcomes of a run.

    `text` describes the method, with the fields of `method`. `cut` says which part of the run was not measured.
    `sections` are parts of the Markdown whose figures the outcomes have. `started` has the servers' command lines.
    """

    title: str
    text: str
    method: Mapping[str, Any]
    missing: Mapping[str, str]
    outcomes: Sequence[Outcome]
    started: Mapping[str, str]
    cut: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)

    def write(self, directory: Path, name: str, charts: Mapping[str, Chart]) -> list[Path]:
        """Write `name`.json and `name`.md into `directory`, and `name`-CHART.svg for each chart."""
        directory.mkdir(parents=True, exist_ok=True)
        pictures = {f"{'-'.join(filter(None, (name, chart)))}.svg": drawn for chart, drawn in charts.items()}
        for file, drawn in pictures.items():
            drawn.save(directory / file)
        texts = {f"{name}.json": self.json(), f"{name}.md": self.markdown(list(pictures))}
        for file, text in texts.items():
            (directory / file).write_text(text, encoding="utf-8")
        return [directory / file for file in (*texts, *pictures)]

    def fields(self) -> dict[str, Any]:
        """Everything that the JSON has."""
        kept = ("date", "command", "machine", "versions", "method", "missing", "cut")
        return {name: getattr(self, name) for name in kept} | {
            "servers": self.started,
            "scenarios": [
                {
                    "name": outcome.name,
                    "title": outcome.title,
                    "servers": outcome.rows,
                    "targets": [vars(verdict) for verdict in outcome.verdicts],
                    "notes": outcome.notes,
                }
                for outcome in self.outcomes
            ],
        }

    def markdown(self, pictures: Sequence[str] = ()) -> str:
        """The summary, the charts, the tables."""
        parts = [
            f"# {self.title}, {self.date}",
            f"`{self.command}`",
            ", ".join(f"{name}: {value}" for name, value in self.machine.items()),
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            self.cut,
        ]
        if summary := summary_table(self.outcomes):
            parts += ["## Summary", SUMMARY, summary]
            parts += ["### Where another server is ahead", "\n".join(ahead(self.outcomes)) or "Nowhere."]
        parts += ["\n\n".join(f"![{file.removesuffix('.svg')}]({file})" for file in pictures)]
        parts += ["## Method", self.text.format_map(self.method), ROUNDS]
        if self.missing:
            absent = (f"{name} (no {modules})" for name, modules in self.missing.items())
            parts.append(f"Not installed, so left out: {'; '.join(absent)}.")
        if targets := verdict_table(self.outcomes):
            parts += ["## Targets", targets]
        for outcome in self.outcomes:
            parts += [f"## {outcome.title}", outcome_table(outcome), *outcome.notes]
        for heading, text in self.sections.items():
            parts += [f"## {heading}", text]
        started = [f"- {name}: `{command}`" for name, command in self.started.items()]
        parts += ["## How the servers were started", "\n".join(started)]
        return "\n\n".join(part for part in parts if part) + "\n"
