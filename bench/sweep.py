"""One scenario at several points, such as numbers of connections: a column for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pronghorn.bench import compare
from pronghorn.bench.outcome import Column
from pronghorn.bench.rounds import void
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session

from .outcome import Headline, Outcome, measure


@dataclass(frozen=True)
class Sweep:
    """A table of requests per second by server and point.

    Servers that are not `pinned` run on both cores; the load stays on its own.
    """

    name: str
    title: str
    unit: str
    points: Mapping[int, Scenario]
    quick_points: tuple[int, ...]
    pinned: bool = True

    def measure(self, session: Session) -> Outcome:
        """Measure at every point; a quick session at some."""
        headings = {point: f"{point:,} {self.unit}{'' if point == 1 else 's'}" for point in self._points(session)}
        outcome = Outcome(
            self.name,
            self.title,
            [Column(str(point), heading, "{:,.0f}".format) for point, heading in headings.items()],
            headlines=[Headline(f"{self.title}: {heading}", str(point)) for point, heading in headings.items()],
        )
        for point, heading in headings.items():
            session.say(f"  {heading}")
            with self._cores(session) as few:
                at = measure(self.points[point], few)
            outcome.verdicts += [replace(each, target=f"{each.target}, {heading}") for each in at.verdicts]
            outcome.notes += [f"{heading}: {note}" for note in (*at.notes, *void(at.rows))]
            for name, figures in at.rows.items():
                row = outcome.rows.setdefault(base(name), dict.fromkeys(map(str, headings)) | {"points": {}})
                row[str(point)] = figures["per_second"]
                row["points"][str(point)] = figures
        return outcome

    def seconds(self, session: Session) -> float:
        """The approximate time that `measure` takes."""
        few = session.with_few_rounds()
        return sum(compare.seconds(scenario, few) for scenario in self._points(session).values())

    def _points(self, session: Session) -> dict[int, Scenario]:
        return {
            point: scenario
            for point, scenario in self.points.items()
            if not session.quick or point in self.quick_points
        }

    @contextmanager
    def _cores(self, session: Session) -> Iterator[Session]:
        """A session with few rounds. Servers that are not pinned inherit both cores from this process."""
        session = session.with_few_rounds()
        if self.pinned:
            yield session
            return
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core for core in (session.cores.server, session.cores.load) if core is not None})
        try:
            yield replace(session, cores=replace(session.cores, server=None))
        finally:
            os.sched_setaffinity(0, own)


def base(name: str) -> str:
    """The name of a server without its number of workers."""
    server, _, number = name.rpartition("-")
    return server if number.isdecimal() else name
