"""Command line of the benchmarks."""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FrameType

from pronghorn.bench import machine
from pronghorn.bench.outcome import Outcome
from pronghorn.bench.session import Session

from . import drawings, nginx
from .measurements import MEASUREMENTS
from .report import Report
from .servers import SERVERS

ROOT = Path(__file__).resolve().parent.parent
QUICK_ROUNDS, QUICK_SECONDS = 1, 1
# A run is given up when it takes so many times the estimate, and some minutes.
PATIENCE, SPARE_SECONDS = 2, 300


class OutOfTime(Exception):
    """The run takes far longer than it should."""


def main() -> None:
    """Measure, print the tables on stdout, write them down with their charts."""
    options = arguments()
    cores = two_cores("the load")
    wrk = machine.wrk_version()
    if wrk is None:
        sys.exit("bench: wrk is not installed")
    python, interpreter = find_interpreter(options.python)
    begin(cores[1])
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        session = Session(
            python=python,
            root=ROOT,
            server_core=cores[0],
            load_core=cores[1],
            rounds=QUICK_ROUNDS if options.quick else options.rounds,
            seconds=QUICK_SECONDS if options.quick else options.duration,
            quick=options.quick,
            wanted=options.servers,
            missing=interpreter.missing(),
            directory=Path(directory),
            servers=SERVERS,
        )
        for name, modules in session.missing.items():
            session.say(f"{name} is left out: not installed: {modules}")
        if "pronghorn" not in session.missing and not interpreter.compiled:
            session.say("pronghorn is not compiled: its rows measure the interpreted form")
        started = time.monotonic()
        outcomes, cut = measure_all(options.scenarios or MEASUREMENTS, session)
        minutes = (time.monotonic() - started) / 60
    if not any(outcome.rows for outcome in outcomes):
        sys.exit("bench: no server could be measured")

    report = Report(
        date=datetime.date.today().isoformat(),
        command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        machine=machine.describe(),
        versions=interpreter.versions | {"wrk": wrk} | nginx.version(),
        method={
            "server_core": session.server_core,
            "load_core": session.load_core,
            "rounds": session.rounds,
            "seconds": session.seconds,
            "quick": session.quick,
            "warm_up": "without a warm-up" if session.quick else "after a warm-up of 1 s",
            "minutes": round(minutes, 1),
        },
        missing=session.missing,
        outcomes=outcomes,
        cut=cut,
    )
    print(report.markdown())
    kind = "quick" if options.quick else "partial" if options.servers or options.scenarios else "core"
    name = f"{report.date}-{kind}"
    for path in report.write(options.output, name, drawings.draw(report)):
        session.say(f"wrote {path}")


def two_cores(load: str) -> list[int]:
    """The cores that this process may use, in order. Exits where there is none left for the `load`."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit(f"bench: needs two cores, one for the server and one for {load}")
    return cores


def find_interpreter(name: str) -> tuple[str, machine.Interpreter]:
    """The path of the servers' Python, and what it has. Exits where it is not there or does not run."""
    python = shutil.which(name)
    if python is None:
        sys.exit(f"bench: there is no Python at {name}")
    try:
        return python, machine.Interpreter(python, SERVERS)
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {python} does not run: {error.stderr}")


def begin(core: int) -> None:
    """Leave the other core to the servers, and unwind the stack at a signal, so that they are ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    os.sched_setaffinity(0, {core})


def measure_all(names: Iterable[str], session: Session) -> tuple[list[Outcome], str]:
    """Measure what is named and tell how far it is; what was measured, and why the rest was not."""
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
            # As fast as it went so far.
            pace = (time.monotonic() - started) / estimated if estimated else 1.0
            session.say(f"[{number}/{count}] {name}, {minutes(pace * sum(left.values()))} left")
            outcomes.append(measure(name, session))
            estimated += left.pop(name)
    except OutOfTime:
        cut = f"The run took far longer than estimated, and was ended before {', '.join(left)}."
        session.say(cut)
        return outcomes, cut
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    return outcomes, ""


def measure(name: str, session: Session) -> Outcome:
    """One measurement. What nobody thought of is told, and costs no other measurement."""
    try:
        return MEASUREMENTS[name].measure(session)
    except OutOfTime:
        raise
    except Exception as error:
        session.say(traceback.format_exc())
        return Outcome(name, name, (), notes=[f"failed: {error!r}"])


def minutes(seconds: float) -> str:
    """Seconds, as told to somebody who waits."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def arguments() -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser("python -m bench", description="Measure pronghorn beside its peers, in one run.")
    parser.add_argument("--servers", type=names_of(SERVERS), default=(), help="only these, a,b (default: all)")
    parser.add_argument("--scenarios", type=names_of(MEASUREMENTS), default=(), help="only these, x,y (default: all)")
    parser.add_argument("--rounds", type=positive, default=5, help="rounds of each scenario (default: %(default)s)")
    parser.add_argument("--duration", type=positive, default=1, help="seconds of a round (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a rough look: one round, servers with a target only")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results", help="directory of the results")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the servers (default: this one)")
    return parser.parse_args()


def names_of(known: Mapping[str, object]) -> Callable[[str], tuple[str, ...]]:
    """A parser of comma-separated names, all of which have to be known."""

    def names(text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return chosen

    return names


def positive(text: str) -> int:
    """A whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above zero")
    return number
