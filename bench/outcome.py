"""The outcome of a measurement: a table, and how pronghorn compares with other servers and its targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pronghorn.bench.compare import Comparison
from pronghorn.bench.load import LoadFailed
from pronghorn.bench.outcome import Column, Row, Show
from pronghorn.bench.process import NotEnoughFiles
from pronghorn.bench.rounds import columns, remarks
from pronghorn.bench.scenario import BEST, Scenario
from pronghorn.bench.session import Session, left_out

from .servers import REFERENCES

COLUMNS = (
    *("per_second", "range", "cpu_us", "user_us", "system_us", "busy", "load_busy", "others", "p99_us"),
    *("ratio", "cpu_ratio", "void"),
)


@dataclass(frozen=True)
class Verdict:
    """A target, the measured value as text (None: not measured), and whether it reaches the target."""

    target: str
    measured: str | None
    reached: bool | None


@dataclass(frozen=True)
class Headline:
    """A line of the summary: the value at `key`, compared between the subject and the other servers.

    The ratio is the value at `ratio`, if given, else it is computed from both values. With `only`, rows in which that
    value is not true do not count.
    """

    title: str
    key: str
    show: Show = "{:,.0f}".format
    least_is_best: bool = False
    ratio: str | None = None
    only: str | None = None

    def value(self, row: Row) -> float | None:
        """The value of a row, None if the row does not count."""
        value: float | None = row[self.key] if self.only is None or row[self.only] else None
        return value

    def advantage(self, ours: Row, theirs: Row) -> float | None:
        """The ratio by which our row is better than theirs, None if it is unknown."""
        if self.ratio is not None:
            ratio: float | None = theirs[self.ratio]
            return ratio
        mine, other = self.value(ours), self.value(theirs)
        if not mine or not other:
            return None
        return other / mine if self.least_is_best else mine / other


@dataclass
class Outcome:
    """One table: a row for each server, in the order of measuring."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: dict[str, Row] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    headlines: Sequence[Headline] = ()
    subject: str = "pronghorn"


def at_least(server: str, wanted: float, measured: float | None) -> Verdict:
    """The verdict on a ratio to `server` that should be `wanted` or more."""
    return Verdict(
        f"≥ {wanted:.3g} × {server}",
        None if measured is None else f"{measured:.2f}",
        None if measured is None else measured >= wanted,
    )


def at_most(limit: str, wanted: float | None, measured: float | None, show: Callable[[float], str]) -> Verdict:
    """The verdict on a value that should not exceed `wanted`; `limit` names the origin of `wanted`."""
    if wanted is None or measured is None:
        return Verdict(f"≤ {limit}", None, None)
    return Verdict(f"≤ {show(wanted)} ({limit})", show(measured), measured <= wanted)


def verdicts(scenario: Scenario, rows: Mapping[str, Row]) -> Iterator[Verdict]:
    """The verdicts on the targets of a scenario, by rate, then by CPU."""
    for server, wanted in scenario.targets.items():
        name, measured = of_server(server, rows, "ratio")
        yield at_least(name, wanted, measured)
    for server, wanted in scenario.cpu_targets.items():
        name, measured = of_server(server, rows, "cpu_ratio")
        yield at_least(f"{name}, by CPU", wanted, measured)


def of_server(server: str, rows: Mapping[str, Row], key: str) -> tuple[str, float | None]:
    """The server and the ratio to it at `key`; for BEST, those of the peer with the lowest ratio."""
    ratios = {name: row[key] for name, row in rows.items() if row[key] is not None}
    if server != BEST:
        return server, ratios.get(server)
    best = min(ratios.keys() - REFERENCES, key=lambda name: ratios[name], default=None)
    return (BEST, None) if best is None else (f"{BEST}, {best}", ratios[best])


def compared(comparison: Comparison, notes: list[str]) -> dict[str, Row]:
    """Run a comparison; its rows. `notes` gets a line for each failure."""
    try:
        comparison.run()
    except (NotEnoughFiles, LoadFailed) as error:
        notes.append(comparison.session.say_failed(error))
    notes += map(left_out, comparison.left_out.values())
    return comparison.rows


def measure(scenario: Scenario, session: Session) -> Outcome:
    """Compare the servers of a scenario, and compare the ratios with its targets."""
    headline = Headline(scenario.title, "per_second", ratio="ratio")
    outcome = Outcome(
        scenario.name,
        scenario.title,
        columns(*COLUMNS, unit=scenario.unit),
        headlines=[headline],
        subject=scenario.subject,
    )
    outcome.rows = compared(Comparison(scenario, session), outcome.notes)
    outcome.verdicts += verdicts(scenario, outcome.rows)
    outcome.notes += remarks(outcome.rows, session.cores.server is not None)
    return outcome
