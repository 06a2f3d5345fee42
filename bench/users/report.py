"""The report of a comparison: its columns, remarks and method, and the tables by action."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.markdown import table
from bench.outcome import Outcome
from pronghorn.bench.outcome import Column, Row
from pronghorn.bench.rounds import REMARKS, Limit, columns, remarks

METHOD = """\
{users} users of `bench/locustfile.py`, who think {think} s on average, use `bench/shop.py`, an application of FastAPI.
They do so on every server in turn, in {rounds} interleaved rounds of {seconds} s that begin when all users have come
and no longer act at the same time. All servers are up meanwhile, each with one worker, pinned to core {server_core}.
The load is locust, pinned to core {load_core}. Every answer is checked; a wrong one is a failure.

The number of users is fixed, and they wait for their answers, so requests per second tell only which servers could not
keep up: compare the CPU and the response times. The server's CPU includes the application's. Response times are those
of all rounds together, as locust measured them, while it was also busy with other users."""
LIMITS = {
    Limit.SERVER: "The server was the limit of {}, whose core was full: so are its response times.",
    Limit.LOAD: "Locust was the limit of {}: its core was full, so compare the CPU only.",
    Limit.OTHERS: REMARKS[Limit.OTHERS],
}


def milliseconds(values: Sequence[float]) -> str:
    """Several response times, side by side."""
    return " / ".join(f"{value:.1f}" for value in values)


def outcome_of(rows: dict[str, Row]) -> Outcome:
    """The table of all requests."""
    shown = [
        *columns("per_second"),
        Column("failures", "failures", "{:,}".format),
        Column("percentiles", "p50 / p95 / p99 ms", milliseconds),
        *columns("cpu_us", "user_us", "system_us", "cpu_ratio", "busy", "load_us", "load_busy", "others", "void"),
    ]
    notes = remarks(rows, pinned=True, texts=LIMITS) or ["Neither a server nor locust was the limit."]
    return Outcome("users", "All requests", shown, rows, notes=notes)


def sections(rows: Mapping[str, Row]) -> dict[str, str]:
    """The failures, and what each action took, by heading."""
    errors = [f"- {name}: {error}: {count}" for name, row in rows.items() for error, count in row["errors"].items()]
    found = {"Failures": "\n".join(errors)} if errors else {}
    return found | {
        "Each action: p50 / p95 / p99 ms": by_action(rows, lambda figures: milliseconds(figures["percentiles"])),
        "Each action: requests, and failures if there were any": by_action(
            rows,
            lambda figures: f"{figures['requests']:,}" + f" ({figures['failures']:,})" * bool(figures["failures"]),
        ),
    }


def by_action(rows: Mapping[str, Row], show: Callable[[Row], str]) -> str:
    """A table with a line for each action and a column for each server."""
    every = sorted({action for row in rows.values() for action in row["actions"]})
    lines = [
        [action, *(show(row["actions"][action]) if action in row["actions"] else "" for row in rows.values())]
        for action in every
    ]
    return table(["", *rows], lines)
