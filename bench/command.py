"""Command line of the benchmarks."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from pronghorn.bench import cores, machine
from pronghorn.bench.charts import Chart
from pronghorn.bench.command import Options, amount, names_of
from pronghorn.bench.result import now, typed
from pronghorn.bench.session import Session, measuring, print_progress

from . import drawings, h2load, nginx
from .measurements import MEASUREMENTS
from .outcome import Outcome
from .report import METHOD, Report
from .servers import SERVERS

ROOT = Path(__file__).resolve().parent.parent
# A run is aborted when it takes this many times the estimate, plus some minutes.
PATIENCE, SPARE_SECONDS = 2, 300


class OutOfTime(Exception):
    """The run takes far longer than it should."""


def places(results: str) -> Callable[[Options], Options]:
    """The options `--output`, for `results`, and `--python`."""
    folder = ROOT / "bench" / "results"
    text = f"Directory of {results}.  [default: bench/results]"
    output = click.option("--output", type=click.Path(path_type=Path), default=folder, show_default=False, help=text)
    text = "Python interpreter of the servers.  [default: this one]"
    python = click.option("--python", default=sys.executable, show_default=False, help=text)
    return lambda function: output(python(function))


@click.command(context_settings={"show_default": True})
@click.option("--servers", callback=names_of(SERVERS), metavar="A,B", help="Only these servers.  [default: all]")
@click.option(
    "--scenarios", callback=names_of(MEASUREMENTS), metavar="X,Y", help="Only these scenarios.  [default: all]"
)
@amount(rounds=5, seconds=1)
@click.option("--quick", is_flag=True, show_default=False, help="A rough look: one round of 1 s, few servers.")
@places("the results")
def main(
    servers: Sequence[str] | None,
    scenarios: Sequence[str] | None,
    rounds: int,
    seconds: int,
    quick: bool,
    output: Path,
    python: str,
) -> None:
    """Measure pronghorn and other servers, side by side. Print the tables, and write them with their charts."""
    wrk = machine.wrk_version()
    if wrk is None:
        raise click.ClickException("wrk is not installed")
    with opened(python, "the load") as (session, interpreter):
        session = replace(session, quick=quick, wanted=servers or ())
        session = replace(session, warm_up=0) if quick else replace(session, rounds=rounds, seconds=seconds)
        say_missing(session)
        if "pronghorn" not in session.missing and not interpreter.compiled:
            session.say("pronghorn is not compiled: its rows measure the interpreted form")
        started = time.monotonic()
        outcomes, cut = measure_all(scenarios or MEASUREMENTS, session)
        taken = (time.monotonic() - started) / 60
    report = Report(
        title="Benchmark",
        date=f"{now():%Y-%m-%d}",
        command=typed("python", "-m", "bench"),
        machine=machine.describe(),
        versions=interpreter.versions | {"wrk": wrk} | h2load.version() | nginx.version(),
        text=METHOD,
        method={
            **of_session(session),
            "quick": quick,
            "warm_up": "without a warm-up" if quick else "after a warm-up of 1 s",
            "minutes": round(taken, 1),
        },
        missing=session.missing,
        outcomes=outcomes,
        cut=cut,
        started=session.commands(),
    )
    kind = "quick" if quick else "partial" if servers or scenarios else "core"
    deliver(report, drawings.draw(report), output, f"{report.date}-{kind}")


@contextmanager
def opened(python: str, load: str) -> Iterator[tuple[Session, machine.Interpreter]]:
    """A session on two cores, and its interpreter. Raises ClickException without `python`, or a core for `load`."""
    pinned, path = cores.choose(), shutil.which(python)
    if pinned.load is None:
        raise click.ClickException(f"needs two cores, one for the server and one for {load}")
    if path is None:
        raise click.ClickException(f"there is no Python at {python}")
    try:
        interpreter = machine.Interpreter(path, SERVERS)
    except subprocess.CalledProcessError as error:
        raise click.ClickException(f"{path} does not run: {error.stderr}") from None
    with measuring(pinned) as directory:
        yield Session(path, ROOT, directory, pinned, missing=interpreter.missing(), servers=SERVERS), interpreter


def say_missing(session: Session) -> None:
    """Print the servers that are not installed."""
    for name, modules in session.missing.items():
        session.say(f"{name} is left out: not installed: {modules}")


def of_session(session: Session) -> dict[str, int | None]:
    """The settings that a method names."""
    return {
        "server_core": session.cores.server,
        "load_core": session.cores.load,
        "rounds": session.rounds,
        "seconds": session.seconds,
    }


def deliver(report: Report, charts: Mapping[str, Chart], directory: Path, name: str) -> None:
    """Print the tables, and write them with their charts. Raises ClickException if there are no figures."""
    if not any(outcome.rows for outcome in report.outcomes):
        raise click.ClickException("no server could be measured")
    print(report.markdown())
    for path in report.write(directory, name, charts):
        print_progress(f"wrote {path}")


def measure_all(names: Iterable[str], session: Session) -> tuple[list[Outcome], str]:
    """Run the named measurements and print progress; their outcomes, and the reason why others are missing."""
    left = {name: MEASUREMENTS[name].seconds(session) for name in names}
    whole, count = sum(left.values()), len(left)
    session.say(f"{count} measurements, about {minutes(whole)}")
    outcomes: list[Outcome] = []
    estimated, started = 0.0, time.monotonic()

    def give_up(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(int(PATIENCE * whole + SPARE_SECONDS))
    try:
        for number, name in enumerate(list(left), 1):
            pace = (time.monotonic() - started) / estimated if estimated else 1.0
            session.say(f"[{number}/{count}] {name}, {minutes(pace * sum(left.values()))} left")
            outcomes.append(measure(name, session))
            estimated += left.pop(name)
    except OutOfTime:
        cut = f"The run took far longer than estimated, and was stopped before {', '.join(left)}."
        session.say(cut)
        return outcomes, cut
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    return outcomes, ""


def measure(name: str, session: Session) -> Outcome:
    """Run one measurement. An unexpected error is printed, and does not stop the others."""
    try:
        return MEASUREMENTS[name].measure(session)
    except OutOfTime:
        raise
    except Exception as error:
        session.say(traceback.format_exc())
        return Outcome(name, name, (), notes=[f"failed: {error!r}"])


def minutes(seconds: float) -> str:
    """Seconds, rounded to minutes if they are many."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
