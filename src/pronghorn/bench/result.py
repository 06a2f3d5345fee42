"""What is told of a comparison, in whatever form."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pronghorn.bench.outcome import Column, Row

METHOD = """\
All servers were up at once, with one worker each and without access logs, and were asked before they were measured.
Rounds were interleaved: in each, every server was loaded in turn, so that a noisy moment hits all of them. Figures are
medians over the rounds, ratios are medians of the ratios within a round. CPU is the user and system time of all
processes of a server over a round, divided by its answers. A round with an error (of a connection, a timeout, a status
of 400 or more) does not count."""

COLUMNS = (
    Column("per_second", "requests/s", lambda value: f"{value:,.0f}"),
    Column("range", "lowest–highest", lambda value: f"{value[0]:,.0f}–{value[1]:,.0f}"),
    Column("ratio", "pronghorn ÷ it", lambda value: f"{value:.2f}"),
    Column("cpu_us", "CPU µs/request", lambda value: f"{value:,.1f}"),
    Column("cpu_ratio", "its CPU ÷ pronghorn's", lambda value: f"{value:.2f}"),
    Column("p50_us", "p50 ms", lambda value: f"{value / 1000:.2f}"),
    Column("p99_us", "p99 ms", lambda value: f"{value / 1000:.2f}"),
    Column("busy", "its core", lambda value: f"{value:.0%}"),
    Column("load_busy", "load's core", lambda value: f"{value:.0%}"),
    Column("rss", "memory MiB", lambda value: f"{value / 2**20:,.0f}"),
)


@dataclass(frozen=True)
class Result:
    """Everything, ready to be shown. `commands`, `answers`, `rows` and the reasons of `left_out` are by server."""

    date: str
    command: str
    app: str
    request: str
    connections: int
    rounds: int
    seconds: int
    load: str
    cores: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    commands: Mapping[str, str]
    answers: Mapping[str, str]
    rows: Mapping[str, Row]
    left_out: Mapping[str, str]
    notes: Sequence[str]

    def summary(self) -> str:
        """How it was measured, in a line."""
        rounds = f"{self.rounds} rounds of {self.seconds} s" if self.rounds > 1 else f"a round of {self.seconds} s"
        return f"{self.connections} connections, {rounds}; load by {self.load}; {self.cores}"

    def json(self) -> str:
        """All of it, indented."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False) + "\n"


def cell(column: Column, row: Row) -> str:
    """A figure as it is shown, nothing where there is none."""
    value = row.get(column.key)
    return "" if value is None else column.show(value)


def conclusions(rows: Mapping[str, Row], subject: str = "pronghorn") -> list[str]:
    """A sentence on each peer: of the requests per second only where both servers were their own limit."""
    peers = {name: row for name, row in rows.items() if name != subject and row["ratio"] and row["cpu_ratio"]}
    found = []
    for name, row in peers.items():
        speed = f"{row['ratio']:.2f} × the requests/s, "
        cpu = f"{1 / row['cpu_ratio']:.2f} × the CPU per request"
        limited = row["limited"] or rows[subject]["limited"]
        found.append(f"{subject} against {name}: {'' if limited else speed}{cpu}.")
    return found
