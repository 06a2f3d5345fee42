"""Latency at a fixed rate, the same for all servers: p50, p99 and p99.9 without coordinated omission."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pronghorn.bench import compare
from pronghorn.bench.compare import Comparison
from pronghorn.bench.outcome import Column, Row
from pronghorn.bench.rounds import LATENCIES, columns
from pronghorn.bench.scenario import BEST, Scenario
from pronghorn.bench.session import Session

from .clients import Paced
from .outcome import Headline, Outcome, Verdict, at_most, compared

KEPT = 0.99
# The load is the same for all servers, so their CPU and ratios are in no other table.
KEYS = (*LATENCIES, "per_second", "busy", "others", "void", "rounds")


@dataclass(frozen=True)
class Pace:
    """A table of latencies in a scenario whose load asks `rate` times a second."""

    name: str
    scenario: Scenario
    rate: int

    @classmethod
    def of(cls, name: str, scenario: Scenario, rate: int, connections: int) -> Pace:
        """The requests of `scenario`, at `rate`."""
        title = f"Latency at {rate:,} requests/s: {scenario.title}"
        load = Paced(rate, connections)
        paced = replace(scenario, name=name, title=title, load=load, other_loads={}, targets={}, cpu_targets={})
        return cls(name, paced, rate)

    def measure(self, session: Session) -> Outcome:
        """Ask every server at the rate. Servers that do not keep it are named, and are not compared."""
        title, latencies = self.scenario.title, columns(*LATENCIES)
        kept = Column("kept", "keeps the rate", lambda kept: "yes" if kept else "**no**")
        shown = [*latencies, *columns("per_second", "busy", "others"), kept, *columns("void")]
        outcome = Outcome(self.name, title, shown)
        outcome.headlines = [
            Headline(
                f"{title}, {each.heading.removesuffix(' ms')}", each.key, each.show, least_is_best=True, only="kept"
            )
            for each in latencies
        ]
        for name, figures in compared(Comparison(self.scenario, longer(session)), outcome.notes).items():
            outcome.rows[name] = {key: figures[key] for key in KEYS} | {"kept": keeps(figures, self.rate)}
        spinning = {name for name in outcome.rows if session.servers[name].restless}
        outcome.verdicts += verdicts(outcome.rows, latencies, spinning)
        if late := [name for name, figures in outcome.rows.items() if figures["kept"] is False]:
            outcome.notes.append(f"{', '.join(late)} did not keep the rate: the later a request, the longer it waited.")
        return outcome

    def seconds(self, session: Session) -> float:
        """The approximate time that `measure` takes."""
        return compare.seconds(self.scenario, longer(session))


def verdicts(
    rows: Mapping[str, Row], latencies: Sequence[Column], spinning: Collection[str], subject: str = "pronghorn"
) -> Iterator[Verdict]:
    """The verdicts on the subject's latencies, which should not exceed those of any peer that keeps the rate.

    A server that is `spinning`, so uses a core even if it has nothing to do, is no peer here.
    """
    peers = [row for name, row in rows.items() if name not in (subject, *spinning) and row["kept"]]
    for each in latencies:
        best = min((row[each.key] for row in peers), default=None)
        yield at_most(f"{each.heading}, {BEST}", best, rows.get(subject, {}).get(each.key), each.show)


def longer(session: Session) -> Session:
    """A session with rounds twice as long, which a p99.9 needs, and fewer of them."""
    return replace(session.with_few_rounds(), seconds=2 * session.seconds)


def keeps(figures: Row, rate: int) -> bool | None:
    """True if a server answers at the rate, None if it has no valid round."""
    speed: float | None = figures["per_second"]
    return None if speed is None else speed >= KEPT * rate
