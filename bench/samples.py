"""Values of a server that is not under load, taken several times: its memory, an idle connection's, its start-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pronghorn.bench.outcome import Column, Row, Show, middle
from pronghorn.bench.process import NotEnoughFiles, ServerFailed, allow_connections
from pronghorn.bench.session import Session

from .outcome import Headline, Outcome, at_most
from .summary import YARDSTICK

ESSENTIAL = ("pronghorn", "uvicorn", "floor")


@dataclass(frozen=True)
class Samples:
    """A table of values that `take` returns, by key; less is better.

    Each server is started `starts` times, or `quick_starts` in a quick session, in turns, after `discarded` starts that
    do not count. A row has the medians, or the results of `aggregates`. `headlines` has the titles of the values in the
    summary; their target is `limit`, or uvicorn's value.
    """

    name: str
    title: str
    headings: Mapping[str, str]
    show: Show
    servers: Sequence[str]
    take: Callable[[Session, str], Row]
    headlines: Mapping[str, str]
    starts: int
    quick_starts: int
    seconds_each: float
    limit: float | None = None
    connections: int = 0
    discarded: int = 0
    aggregates: Mapping[str, Callable[[Sequence[float]], Any]] = field(default_factory=dict)

    def measure(self, session: Session) -> Outcome:
        """Take the values. Servers that fail are left out."""
        columns = [Column(key, heading, self.show) for key, heading in self.headings.items()]
        outcome = Outcome(self.name, self.title, columns)
        outcome.headlines = [
            Headline(title, key, self.show, least_is_best=True) for key, title in self.headlines.items()
        ]
        try:
            allow_connections(self.connections)
        except NotEnoughFiles as error:
            outcome.notes.append(session.say_failed(error))
            return outcome
        taken: dict[str, list[Row]] = {name: [] for name in session.choose(self.servers, ESSENTIAL)}
        for _ in range(self._starts(session)):
            for name in list(taken):
                try:
                    taken[name].append(self.take(session, name))
                except ServerFailed as error:
                    outcome.notes.append(session.say_failed(error))
                    del taken[name]
        for name, rows in taken.items():
            counted = {key: [row[key] for row in rows[self.discarded :]] for key in self.headings}
            outcome.rows[name] = {key: self.aggregates.get(key, middle)(values) for key, values in counted.items()}
            session.say(f"  {name} {', '.join(column.cell(outcome.rows[name]) for column in columns)}")
        for key in self.headlines:
            ours, theirs = (outcome.rows.get(name, {}).get(key) for name in (outcome.subject, YARDSTICK))
            limit, wanted = (YARDSTICK, theirs) if self.limit is None else (self.headings[key], self.limit)
            outcome.verdicts.append(at_most(limit, wanted, ours, self.show))
        return outcome

    def seconds(self, session: Session) -> float:
        """The approximate time that `measure` takes."""
        return len(session.choose(self.servers, ESSENTIAL)) * self._starts(session) * self.seconds_each

    def _starts(self, session: Session) -> int:
        return self.discarded + (self.quick_starts if session.quick else self.starts)
