"""Latency at a fixed rate, which is the same for all: p50, p99 and p99.9 without coordinated omission."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pronghorn.bench import rounds
from pronghorn.bench.load import LoadFailed
from pronghorn.bench.outcome import Column, Headline, Outcome, middle
from pronghorn.bench.process import NotEnoughFiles, allow_connections
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session

from .clients import Paced

ROUNDS, LONGER = 3, 2
KEPT = 0.99
PERCENTILES = ("p50_us", "p99_us", "p999_us")


@dataclass(frozen=True)
class Pace:
    """A table of latencies in a scenario whose load asks `rate` times a second."""

    scenario: Scenario
    rate: int

    @classmethod
    def of(cls, name: str, scenario: Scenario, rate: int, connections: int) -> Pace:
        """What `scenario` asks, at `rate`; a quick session asks pronghorn and uvicorn."""
        title = f"Latency at {rate:,} requests/s: {scenario.title}"
        load = Paced(rate, connections)
        return cls(replace(scenario, name=name, title=title, load=load, other_loads={}, targets={"uvicorn": 1.0}), rate)


def milliseconds(value: float) -> str:
    """Microseconds, shown in ms."""
    return f"{value / 1000:,.2f}" if value < 100_000 else f"{value / 1000:,.0f}"


def measure(pace: Pace, session: Session) -> Outcome:
    """Ask every server at the rate; those that do not keep it are named and have no place in the comparison."""
    scenario = pace.scenario
    columns = (
        *(
            Column(key, f"{name} ms", milliseconds)
            for key, name in zip(PERCENTILES, ("p50", "p99", "p99.9"), strict=True)
        ),
        Column("per_second", "answers/s", "{:,.0f}".format),
        Column("busy", "server core", "{:.0%}".format),
        Column("others", "others", "{:.0%}".format),
        Column("kept", "keeps the rate", lambda kept: "yes" if kept else "**no**"),
        Column("void", "void rounds", lambda value: "; ".join(value) or "0"),
    )
    outcome = Outcome(scenario.name, scenario.title, columns)
    outcome.headlines = [
        Headline(f"{scenario.title}, {name}", key, milliseconds, least_is_best=True, only="kept")
        for key, name in zip(PERCENTILES, ("p50", "p99", "p99.9"), strict=True)
    ]
    try:
        allow_connections(scenario.load.connections)
        programme = scenario.load.programme(session.directory)
    except (NotEnoughFiles, LoadFailed) as error:
        outcome.notes.append(session.say_failed(error))
        return outcome
    taken = rounds.all_rounds(scenario, programme, longer(session), outcome.notes)
    outcome.rows = {name: row(results, pace.rate) for name, results in taken.items()}
    if late := [name for name, figures in outcome.rows.items() if figures["kept"] is False]:
        outcome.notes.append(
            f"Fewer answers than were asked for from {', '.join(late)}: the latencies grow with the time."
        )
    return outcome


def seconds(pace: Pace, session: Session) -> float:
    """About how long it takes."""
    return rounds.seconds(pace.scenario, longer(session))


def longer(session: Session) -> Session:
    """Fewer and longer rounds, as a p99.9 needs them."""
    return replace(session, rounds=min(ROUNDS, session.rounds), seconds=LONGER * session.seconds)


def row(results: list[rounds.Round], rate: int) -> dict[str, Any]:
    """The medians over the rounds that are not void."""
    valid = [(each, each.seen) for each in results if each.seen and not each.errors]
    speed = middle([seen.per_second for _, seen in valid])
    return {
        **{key: middle([getattr(seen, key) for _, seen in valid]) for key in PERCENTILES},
        "per_second": speed,
        "busy": middle([each.server.total / each.seconds for each, _ in valid]),
        "others": middle([each.others / each.seconds for each, _ in valid]),
        "kept": None if speed is None else speed >= KEPT * rate,
        "void": [each.errors for each in results if each.errors],
        "rounds": {key: [getattr(seen, key) for _, seen in valid] for key in PERCENTILES},
    }
