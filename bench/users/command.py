"""Command line of the users."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import click

from bench.command import ROOT, deliver, of_session, opened, places, say_missing
from bench.exchange import Exchange
from bench.outcome import compared
from bench.report import Report
from bench.servers import SERVERS
from pronghorn.bench import machine
from pronghorn.bench.charts import Chart
from pronghorn.bench.command import amount, names_of
from pronghorn.bench.compare import Comparison
from pronghorn.bench.outcome import Row
from pronghorn.bench.process import Process
from pronghorn.bench.result import now, typed
from pronghorn.bench.rounds import Round
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session

from . import chart, figures, report, slices
from .slices import Crowd

SUBJECT = "pronghorn"
COMPARED = "pronghorn,uvicorn,granian,peregrine,weft,hypercorn"


class Visit(Comparison):
    """The users of the shop, on its servers."""

    def __init__(self, crowd: Crowd, session: Session) -> None:
        welcome = Exchange("/", body=b'{"shop":"open"}')
        super().__init__(Scenario("users", "", "bench.shop:app", crowd, welcome, tuple(session.servers), {}), session)
        self._crowd = crowd

    def load(self, process: Process, seconds: int) -> Round:
        """Load one server with the users."""
        name = process.server.name
        number = len(self.rounds.get(name, ())) + 1
        return slices.run(process, self._crowd, self.session, self.session.directory / f"{name}-{number}")

    def row(self, rounds: list[Round]) -> Row:
        """The figures of one server."""
        return figures.row(rounds, self.rounds.get(SUBJECT))


@click.command(context_settings={"show_default": True})
@click.option(
    "--compare",
    callback=names_of(SERVERS),
    is_flag=False,
    flag_value=COMPARED,
    metavar="[A,B]",
    help=f"Compare these servers; without names, {COMPARED.replace(',', ', ')}.  [default: {SUBJECT} alone]",
)
@click.option("--users", type=click.IntRange(1), default=1000, help="Number of users.")
@click.option("--think", type=float, default=0.6, help="Seconds that a user thinks between requests, on average.")
@amount(rounds=3, seconds=8)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=ROOT / "build" / "locust",
    show_default=False,
    help="Directory of locust's own reports.  [default: build/locust]",
)
@places("the comparison")
def main(
    compare: Sequence[str] | None,
    users: int,
    think: float,
    rounds: int,
    seconds: int,
    reports: Path,
    output: Path,
    python: str,
) -> None:
    """Load bench/shop.py with the users of bench/locustfile.py, on one server or several; print and write tables."""
    if importlib.util.find_spec("locust") is None:
        raise click.ClickException("locust is not installed: pip install -r bench/requirements.txt")
    start, names, notes = now(), compare or (SUBJECT,), list[str]()
    directory = reports / f"{start:%Y-%m-%d-%H%M%S}"
    with opened(python, "locust") as (session, interpreter):
        session = replace(
            session,
            directory=directory,
            rounds=rounds,
            seconds=seconds,
            warm_up=0,
            missing={name: modules for name in names if (modules := session.missing.get(variant(name)))},
            servers={name: replace(SERVERS[variant(name)], name=name) for name in names},
        )
        say_missing(session)
        directory.mkdir(parents=True)
        rows = compared(Visit(Crowd(users, think), session), notes)
    session.say(f"The files of locust and the servers: {directory}")
    outcome = report.outcome_of(rows)
    outcome.notes += notes
    result = Report(
        title="Users of a shop",
        date=f"{start:%Y-%m-%d}",
        command=typed("python", "-m", "bench.users"),
        machine=machine.describe(),
        versions=interpreter.versions | {"locust": metadata.version("locust")},
        text=report.METHOD,
        method={"users": users, "think": think, **of_session(session)},
        missing=session.missing,
        outcomes=[outcome],
        sections=report.sections(rows),
        started=session.commands(),
    )
    deliver(result, draw(result), output if compare else directory, f"{result.date}-locust")


def draw(result: Report) -> dict[str, Chart]:
    """The charts of the servers that have figures, by name."""
    valid = {name: row for name, row in result.outcomes[0].rows.items() if row["per_second"] is not None}
    title = f"{result.method['users']:,} users of a shop in FastAPI"
    note = f"Locust, {result.date}; one core for the server, another for locust. CPU: the server and its application."
    charts = {"": chart.over_time, "cost": chart.costs} if valid else {}
    return {name: kind(valid, title, note, SUBJECT) for name, kind in charts.items()}


def variant(name: str) -> str:
    """The variant of a server that speaks WebSocket: some need an option for it."""
    return f"{name}-ws" if f"{name}-ws" in SERVERS else name
