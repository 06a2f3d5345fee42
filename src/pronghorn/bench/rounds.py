"""A scenario under load: all servers up, rounds interleaved, so that a noisy moment hits every server alike."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pronghorn.bench import load
from pronghorn.bench.outcome import Column, Headline, Outcome, Row, at_least, middle
from pronghorn.bench.process import (
    CPU,
    LOOK,
    NotEnoughFiles,
    Process,
    ServerFailed,
    allow_connections,
    busy_seconds,
    children,
)
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session

WARM_UP_SECONDS = 1
# What starting and ending a server takes, and what goes on before and after a round.
START_SECONDS, AROUND_SECONDS = 0.8, 0.15 + LOOK
FULL = 0.9
QUIET = 0.05


@dataclass(frozen=True)
class Round:
    """One server in one round: what the load saw; the CPU of the server, the load, others. An error makes it void."""

    seen: load.Load | None
    seconds: float
    server: CPU
    load: CPU
    others: float
    errors: str

    @property
    def per_second(self) -> float | None:
        """Answers per second, None when the round is void."""
        return self.seen.per_second if self.seen and not self.errors else None

    @property
    def cpu_us(self) -> float | None:
        """The server's CPU for an answer, None when the round is void."""
        return self.server.total / self.seen.requests * 1e6 if self.seen and not self.errors else None


def measure(scenario: Scenario, session: Session) -> Outcome:
    """Run the scenario."""
    headline = Headline(scenario.title, "per_second", ratio="ratio")
    outcome = Outcome(
        scenario.name, scenario.title, columns(scenario.unit), headlines=[headline], subject=scenario.subject
    )
    rounds: dict[str, list[Round]] = {}
    try:
        allow_connections(scenario.load.connections)
        programme = scenario.load.programme(session.directory)
    except (NotEnoughFiles, load.LoadFailed) as error:
        outcome.notes.append(session.say_failed(error))
    else:
        rounds = all_rounds(scenario, programme, session, outcome.notes)
    outcome.rows = {name: row(results, rounds.get(scenario.subject)) for name, results in rounds.items()}
    for peer, wanted in scenario.targets.items():
        outcome.verdicts.append(at_least(peer, wanted, outcome.rows.get(peer, {}).get("ratio")))
    outcome.notes += remarks(outcome.rows)
    return outcome


def seconds(scenario: Scenario, session: Session) -> float:
    """About how long the scenario takes."""
    servers = session.choose(scenario.servers, {scenario.subject, *scenario.targets})
    warm_up = 0 if session.quick else WARM_UP_SECONDS + AROUND_SECONDS
    return len(servers) * (START_SECONDS + warm_up + session.rounds * (session.seconds + AROUND_SECONDS))


def all_rounds(scenario: Scenario, programme: str, session: Session, notes: list[str]) -> dict[str, list[Round]]:
    """Start every server, load them in turn, round by round; `notes` gets those that are left out."""
    rounds: dict[str, list[Round]] = {}
    with ExitStack() as stack:
        processes = []
        for name in session.choose(scenario.servers, {scenario.subject, *scenario.targets}):
            try:
                process = stack.enter_context(session.running(name, scenario.app))
                scenario.exchange.check(process)
                processes.append(process)
                if process.server.restless:
                    process.stop()
                    stack.callback(process.go_on)
            except ServerFailed as error:
                notes.append(session.say_failed(error))
        for process in () if session.quick else processes:
            one_round(process, scenario, programme, WARM_UP_SECONDS, session)
        for number in range(1, session.rounds + 1 if processes else 0):
            for process in processes:
                result = one_round(process, scenario, programme, session.seconds, session)
                rounds.setdefault(process.server.name, []).append(result)
            figures = (f"{name} {results[-1].per_second or 0:,.0f}" for name, results in rounds.items())
            session.say(f"  round {number}: {', '.join(figures)}")
    return rounds


def one_round(process: Process, scenario: Scenario, programme: str, seconds: int, session: Session) -> Round:
    """Load one server, and account the CPU over the same window."""
    arguments = scenario.load_for(process.server.name).arguments(process.port, scenario.exchange.target, seconds)
    cores = {session.server_core, session.load_core}
    if None in cores:
        cores = set(range(os.cpu_count() or 1))
    process.forget_output()
    if process.server.restless:
        process.go_on()
    server, client, busy, start = process.cpu(), children(), busy_seconds(cores), time.perf_counter()
    seen, errors = None, ""
    try:
        seen = load.run(programme, arguments, seconds, session.load_core)
        errors = ", ".join(f"{kind} {count}" for kind, count in seen.errors.items())
    except load.LoadFailed as error:
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
    """The medians of one server's rounds that are not void; ratios are taken within a round."""
    valid = [(each, each.seen) for each in rounds if each.seen and not each.errors]
    speeds = [seen.per_second for _, seen in valid]
    pairs = list(zip(subject, rounds, strict=True)) if subject and subject is not rounds else []
    return {
        "per_second": middle(speeds),
        "range": (min(speeds), max(speeds)) if speeds else None,
        "cpu_us": middle([each.server.total / seen.requests * 1e6 for each, seen in valid]),
        "user_us": middle([each.server.user / seen.requests * 1e6 for each, seen in valid]),
        "system_us": middle([each.server.system / seen.requests * 1e6 for each, seen in valid]),
        "busy": middle([each.server.total / each.seconds for each, _ in valid]),
        "load_busy": middle([each.load.total / each.seconds for each, _ in valid]),
        "others": middle([each.others / each.seconds for each, _ in valid]),
        "p99_us": middle([seen.p99_us for _, seen in valid if seen.p99_us]),
        "ratio": middle([a.per_second / b.per_second for a, b in pairs if a.per_second and b.per_second]),
        "cpu_ratio": middle([b.cpu_us / a.cpu_us for a, b in pairs if a.cpu_us and b.cpu_us]),
        "void": [each.errors for each in rounds if each.errors],
        "rounds": {
            "per_second": [each.per_second for each in rounds],
            "cpu_us": [each.cpu_us for each in rounds],
            "others": [each.others / each.seconds for each in rounds],
        },
    }


def columns(unit: str) -> Sequence[Column]:
    """The columns of a table that counts `unit`s."""
    return (
        Column("per_second", f"{unit}s/s", lambda value: f"{value:,.0f}"),
        Column("range", "lowest–highest", lambda value: f"{value[0]:,.0f}–{value[1]:,.0f}"),
        Column("cpu_us", f"CPU µs/{unit}", lambda value: f"{value:,.1f}"),
        Column("user_us", "user", lambda value: f"{value:,.1f}"),
        Column("system_us", "system", lambda value: f"{value:,.1f}"),
        Column("busy", "server core", lambda value: f"{value:.0%}"),
        Column("load_busy", "load core", lambda value: f"{value:.0%}"),
        Column("others", "others", lambda value: f"{value:.0%}"),
        Column("p99_us", "p99 ms", lambda value: f"{value / 1000:.2f}"),
        Column("ratio", "pronghorn ÷ it", lambda value: f"{value:.2f}"),
        Column("cpu_ratio", "its CPU ÷ pronghorn's", lambda value: f"{value:.2f}"),
        Column("void", "void rounds", lambda value: "; ".join(value) or "0"),
    )


def remarks(rows: dict[str, Row]) -> list[str]:
    """What makes the answers per second doubtful."""
    valid = {name: figures for name, figures in rows.items() if figures["per_second"] is not None}
    disturbed = [name for name, figures in valid.items() if figures["others"] > QUIET]
    limited = [name for name, figures in valid.items() if figures["busy"] < FULL and name not in disturbed]
    found = []
    if disturbed:
        found.append(f"Other processes took the cores from {', '.join(disturbed)}: measure again on a quiet machine.")
    if limited:
        found.append(f"The load was the limit of {', '.join(limited)}, whose core was not full: compare the CPU.")
    return found
