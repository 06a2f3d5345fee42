"""Command line of the benchmarks: `python -m bench --help`."""

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
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from pronghorn.bench import machine, rounds
from pronghorn.bench.outcome import Outcome
from pronghorn.bench.servers import SERVERS
from pronghorn.bench.session import Session

from . import rest, startup
from .report import Report
from .scenarios import SCENARIOS

MEASUREMENTS: dict[str, Callable[[Session], Outcome]] = {
    **{scenario.name: partial(rounds.measure, scenario) for scenario in SCENARIOS},
    "memory": rest.measure_start,
    **{crowd.name: partial(rest.measure_idle, crowd) for crowd in rest.CROWDS},
    "startup": startup.measure,
}
ROOT = Path(__file__).resolve().parent.parent
QUICK_ROUNDS, QUICK_SECONDS = 2, 1


def main() -> None:
    """Measure, print the tables on stdout, write them down."""
    options = arguments()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("bench: needs two cores, one for the server and one for the load")
    wrk = machine.wrk_version()
    if wrk is None:
        sys.exit("bench: wrk is not installed")
    python = shutil.which(options.python)
    if python is None:
        sys.exit(f"bench: there is no Python at {options.python}")
    try:
        interpreter = machine.Interpreter(python)
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {python} does not run: {error.stderr}")

    # Both unwind the stack, so that the servers are ended.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    os.sched_setaffinity(0, {cores[1]})
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
        )
        for name, modules in session.missing.items():
            session.say(f"{name} is left out: not installed: {modules}")
        if "pronghorn" not in session.missing and not interpreter.compiled:
            session.say("pronghorn is not compiled: its rows measure the interpreted form")
        outcomes = []
        for name in options.scenarios or MEASUREMENTS:
            session.say(name)
            outcomes.append(MEASUREMENTS[name](session))
    if not any(outcome.rows for outcome in outcomes):
        sys.exit("bench: no server could be measured")

    report = Report(
        date=datetime.date.today().isoformat(),
        command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        machine=machine.describe(),
        versions=interpreter.versions | {"wrk": wrk},
        method={
            "server_core": session.server_core,
            "load_core": session.load_core,
            "rounds": session.rounds,
            "seconds": session.seconds,
            "quick": session.quick,
        },
        missing=session.missing,
        outcomes=outcomes,
    )
    print(report.markdown())
    kind = "quick" if options.quick else "partial" if options.servers or options.scenarios else "core"
    for path in report.write(options.output, f"{report.date}-{kind}"):
        session.say(f"wrote {path}")


def arguments() -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser("python -m bench", description="Measure pronghorn beside its peers, in one run.")
    parser.add_argument("--servers", type=names_of(SERVERS), default=(), help="only these, a,b (default: all)")
    parser.add_argument("--scenarios", type=names_of(MEASUREMENTS), default=(), help="only these, x,y (default: all)")
    parser.add_argument("--rounds", type=positive, default=5, help="rounds of each scenario (default: %(default)s)")
    parser.add_argument("--duration", type=positive, default=3, help="seconds of a round (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a rough look: short rounds, servers with a target only")
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


if __name__ == "__main__":
    main()
