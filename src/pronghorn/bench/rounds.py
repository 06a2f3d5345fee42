"""One round of load on one server, the figures of a server's rounds, and remarks on their limits."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from pronghorn.bench import load
from pronghorn.bench.load import Load, LoadFailed
from pronghorn.bench.outcome import Column, Row, listed, middle, milliseconds
from pronghorn.bench.process import CPU, Process, busy_seconds, children
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session

# Shares of a core: a core counts as full from the first on, a machine as quiet up to the second.
FULL = 0.9
QUIET = 0.05
LATENCIES = ("p50_us", "p99_us", "p999_us")


@dataclass(frozen=True)
class Round:
    """One server in one round: the load's report, and the CPU of the server, the load and others. Errors void it."""

    seen: Load | None
    seconds: float
    server: CPU
    load: CPU
    others: float
    errors: str

    @property
    def valid(self) -> Load | None:
        """The load's report, None when the round is void."""
        return None if self.errors else self.seen

    @property
    def per_second(self) -> float | None:
        """Responses per second, None when the round is void."""
        return self.valid.per_second if self.valid else None

    @property
    def cpu_us(self) -> float | None:
        """The server's CPU time per response, None when the round is void."""
        return self.server.total / self.valid.requests * 1e6 if self.valid else None

    def __str__(self) -> str:
        return f"void ({self.errors})" if self.per_second is None else f"{self.per_second:,.0f}"


def one_round(process: Process, scenario: Scenario, program: str, seconds: int, session: Session) -> Round:
    """Load one server, and measure CPU time over the same window."""
    arguments = scenario.load_for(process.server.name).arguments(process.port, scenario.exchange.target, seconds)
    cores = {session.cores.server, session.cores.load}
    if None in cores:
        cores = set(range(os.cpu_count() or 1))
    process.forget_output()
    if process.server.restless:
        process.go_on()
    server, client, busy, start = process.cpu(), children(), busy_seconds(cores), time.perf_counter()
    seen, errors = None, ""
    try:
        seen = load.run(program, arguments, seconds, session.cores.load, scenario.read)
        errors = ", ".join(f"{kind} {count}" for kind, count in seen.errors.items())
    except LoadFailed as error:
        errors = str(error)
    taken = time.perf_counter() - start
    server, client, busy = process.cpu() - server, children() - client, busy_seconds(cores) - busy
    if process.server.restless:
        process.stop()
    else:
        process.settle()
    if seen and not seen.requests:
        errors = errors or "no answer"
    return Round(seen, taken, server, client, max(0.0, busy - server.total - client.total), errors)


def row(rounds: list[Round], subject: list[Round] | None) -> Row:
    """The medians of one server's valid rounds; ratios are taken within a round."""
    valid = [(each, each.valid) for each in rounds if each.valid]
    speeds = [seen.per_second for _, seen in valid]
    busy = middle([each.server.total / each.seconds for each, _ in valid])
    pairs = list(zip(subject, rounds, strict=True)) if subject and subject is not rounds else []
    return {
        "per_second": middle(speeds),
        "range": (min(speeds), max(speeds)) if speeds else None,
        "cpu_us": middle([each.server.total / seen.requests * 1e6 for each, seen in valid]),
        "user_us": middle([each.server.user / seen.requests * 1e6 for each, seen in valid]),
        "system_us": middle([each.server.system / seen.requests * 1e6 for each, seen in valid]),
        "busy": busy,
        "limited": busy is not None and busy < FULL,
        "load_us": middle([each.load.total / seen.requests * 1e6 for each, seen in valid]),
        "load_busy": middle([each.load.total / each.seconds for each, _ in valid]),
        "others": middle([each.others / each.seconds for each, _ in valid]),
        **{key: middle([taken for _, seen in valid if (taken := getattr(seen, key))]) for key in LATENCIES},
        "ratio": middle([a.per_second / b.per_second for a, b in pairs if a.per_second and b.per_second]),
        "cpu_ratio": middle([b.cpu_us / a.cpu_us for a, b in pairs if a.cpu_us and b.cpu_us]),
        "rss": None,
        "void": [each.errors for each in rounds if each.errors],
        "rounds": {
            "per_second": [each.per_second for each in rounds],
            "cpu_us": [each.cpu_us for each in rounds],
            "others": [each.others / each.seconds if each.seconds else None for each in rounds],
            **{key: [getattr(each.valid, key, None) for each in rounds] for key in LATENCIES},
        },
    }


def columns(*keys: str, unit: str = "request") -> list[Column]:
    """The columns for some keys of `row`, in a table that counts `unit`s."""
    known = (
        Column("per_second", f"{unit}s/s", "{:,.0f}".format),
        Column("range", "lowest–highest", lambda ends: f"{ends[0]:,.0f}–{ends[1]:,.0f}"),
        Column("cpu_us", f"CPU µs/{unit}", "{:,.1f}".format),
        Column("user_us", "user", "{:,.1f}".format),
        Column("system_us", "system", "{:,.1f}".format),
        Column("busy", "its core", "{:.0%}".format),
        Column("load_us", f"load's CPU µs/{unit}", "{:,.1f}".format),
        Column("load_busy", "load's core", "{:.0%}".format),
        Column("others", "others", "{:.0%}".format),
        Column("p50_us", "p50 ms", milliseconds),
        Column("p99_us", "p99 ms", milliseconds),
        Column("p999_us", "p99.9 ms", milliseconds),
        Column("ratio", "pronghorn ÷ it", "{:.2f}".format),
        Column("cpu_ratio", "its CPU ÷ pronghorn's", "{:.2f}".format),
        Column("rss", "memory MiB", lambda size: f"{size / 2**20:,.0f}"),
        Column("void", "void rounds", lambda errors: "; ".join(errors) or "0"),
    )
    by_key = {column.key: column for column in known}
    return [by_key[key] for key in keys]


class Limit(Enum):
    """The reason why a server was not faster."""

    SERVER = auto()
    LOAD = auto()
    NEITHER = auto()
    UNPINNED = auto()
    OTHERS = auto()


REMARKS = {
    Limit.OTHERS: "Other processes took time from {}: measure again when the machine is quiet.",
    Limit.UNPINNED: "{} did not fill a core, and nothing was pinned to one: compare the CPU.",
    Limit.LOAD: "The load was the limit of {}, whose core was not full: compare the CPU.",
    Limit.NEITHER: "Neither the load nor {} had a full core: the application waits, or more connections would be"
    " served; compare the CPU.",
}


def limit(figures: Row, pinned: bool) -> Limit:
    """The limit of one server. Other processes matter only where servers are `pinned` to a core."""
    if pinned and figures["others"] > QUIET:
        return Limit.OTHERS
    if not figures["limited"]:
        return Limit.SERVER
    if not pinned:
        return Limit.UNPINNED
    return Limit.LOAD if figures["load_busy"] >= FULL else Limit.NEITHER


def remarks(rows: Mapping[str, Row], pinned: bool, texts: Mapping[Limit, str] = REMARKS) -> list[str]:
    """A sentence on each limit for which there is one in `texts`, with the servers that it held back."""
    limits = {name: limit(figures, pinned) for name, figures in rows.items() if figures["per_second"] is not None}
    found = []
    for each, text in texts.items():
        if names := [name for name in limits if limits[name] is each]:
            found.append(text.format(listed(names)))
    return found


def void(rows: Mapping[str, Row]) -> list[str]:
    """A sentence on the void rounds of each server that has some."""
    return [
        f"{len(figures['void'])} rounds of {name} do not count: {'; '.join(figures['void'])}."
        for name, figures in rows.items()
        if figures["void"]
    ]
