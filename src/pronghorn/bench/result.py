"""The record of a run, with its figures: shown in the terminal, as a page, as JSON."""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pronghorn.bench.outcome import Row
from pronghorn.bench.rounds import columns

ROUNDS = """\
Rounds were interleaved: in each, every server was loaded in turn, so that a noisy moment hits all of them. Figures are
medians over the rounds, ratios are medians of the ratios within a round. CPU is the user and system time of all
processes of a server over a round, divided by its answers."""
METHOD = f"""\
All servers were up at once, with one worker each and without access logs, and were asked before they were measured.
{ROUNDS} A round with an error (of a connection, a timeout, a status of 400 or more) does not count."""

COLUMNS = columns(
    *("per_second", "range", "ratio", "cpu_us", "cpu_ratio", "p50_us", "p99_us", "busy", "load_busy", "rss")
)


@dataclass(frozen=True, kw_only=True)
class Record:
    """When, where and with which command something was measured."""

    date: str
    command: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]

    def fields(self) -> dict[str, Any]:
        """Everything that the JSON has."""
        return dict(vars(self))

    def json(self) -> str:
        """Every figure, indented."""
        return json.dumps(self.fields(), indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True, kw_only=True)
class Result(Record):
    """A comparison on one application. `commands`, `answers`, `rows` and the reasons of `left_out` are by server."""

    app: str
    request: str
    connections: int
    rounds: int
    seconds: int
    load: str
    cores: str
    commands: Mapping[str, str]
    answers: Mapping[str, str]
    rows: Mapping[str, Row]
    left_out: Mapping[str, str]
    notes: Sequence[str]

    def summary(self) -> str:
        """The method in a line."""
        rounds = f"{self.rounds} rounds of {self.seconds} s" if self.rounds > 1 else f"a round of {self.seconds} s"
        return f"{self.connections} connections, {rounds}; load by {self.load}; {self.cores}"


def now() -> datetime.datetime:
    """The local time."""
    return datetime.datetime.now().astimezone()


def typed(*command: str) -> str:
    """The command line of this process, as it was typed."""
    return shlex.join([*command, *sys.argv[1:]])


def conclusions(rows: Mapping[str, Row], subject: str = "pronghorn") -> list[str]:
    """A sentence on each other server; requests per second are compared only where both servers were the limit."""
    others = {name: row for name, row in rows.items() if name != subject and row["ratio"] and row["cpu_ratio"]}
    found = []
    for name, row in others.items():
        speed = f"{row['ratio']:.2f} × the requests/s, "
        cpu = f"{1 / row['cpu_ratio']:.2f} × the CPU per request"
        limited = row["limited"] or rows[subject]["limited"]
        found.append(f"{subject} against {name}: {'' if limited else speed}{cpu}.")
    return found
