"""One scenario at several points, such as numbers of connections: a column for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pronghorn.bench import compare
from pronghorn.bench.outcome import Column, Headline, Outcome
from pronghorn.bench.rounds import void
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session

ROUNDS = 3


@dataclass(frozen=True)
class Sweep:
    """A table of requests per second by server and point. What is not `pinned` may run on the load's core too, and on
    the server's; the load stays where it is.
    """

    name: str
    title: str
    unit: str
    points: Mapping[int, Scenario]
    quick_points: tuple[int, ...]
    pinned: bool = True


def measure(sweep: Sweep, session: Session) -> Outcome:
    """Measure at every point; a quick session at some."""
    points = chosen(sweep, session)
    outcome = Outcome(
        sweep.name,
        sweep.title,
        [Column(str(point), plural(point, sweep.unit), "{:,.0f}".format) for point in points],
        headlines=[Headline(f"{sweep.title}: {plural(point, sweep.unit)}", str(point)) for point in points],
    )
    cores = session.cores if sweep.pinned else replace(session.cores, server=None)
    few = replace(fewer(session), cores=cores)
    for point, scenario in points.items():
        session.say(f"  {plural(point, sweep.unit)}")
        with unpinned(sweep, session):
            at = compare.measure(scenario, few)
        outcome.notes += [f"{plural(point, sweep.unit)}: {note}" for note in (*at.notes, *void(at.rows))]
        for name, figures in at.rows.items():
            row = outcome.rows.setdefault(family(name), {str(each): None for each in points} | {"points": {}})
            row[str(point)] = figures["per_second"]
            row["points"][str(point)] = figures
    return outcome


def seconds(sweep: Sweep, session: Session) -> float:
    """About how long it takes."""
    return sum(compare.seconds(scenario, fewer(session)) for scenario in chosen(sweep, session).values())


def fewer(session: Session) -> Session:
    """A session with few rounds."""
    return replace(session, rounds=min(ROUNDS, session.rounds))


def chosen(sweep: Sweep, session: Session) -> dict[int, Scenario]:
    """The points to measure."""
    return {
        point: scenario for point, scenario in sweep.points.items() if not session.quick or point in sweep.quick_points
    }


@contextmanager
def unpinned(sweep: Sweep, session: Session) -> Iterator[None]:
    """Meanwhile let servers that are not pinned have both cores, which they inherit from this process."""
    own = os.sched_getaffinity(0)
    if not sweep.pinned:
        os.sched_setaffinity(0, {core for core in (session.cores.server, session.cores.load) if core is not None})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def family(name: str) -> str:
    """The name before the number of workers."""
    base, _, number = name.rpartition("-")
    return base if number.isdecimal() else name


def plural(count: int, unit: str) -> str:
    """So many of something."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
