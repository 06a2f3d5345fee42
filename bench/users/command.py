"""Command line of the users."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from bench.command import ROOT, begin, find_interpreter, names_of, positive, two_cores
from bench.exchange import Exchange
from bench.report import commands
from bench.servers import SERVERS
from pronghorn.bench import machine
from pronghorn.bench.process import NotEnoughFiles, Process, ServerFailed, allow_connections
from pronghorn.bench.session import Session

from . import chart, figures, slices
from .report import Report
from .slices import Crowd, Slice

APP, WELCOME = "bench.shop:app", Exchange("/", body=b'{"shop":"open"}')
SUBJECT = "pronghorn"
PEERS = "pronghorn,uvicorn,granian,peregrine,weft,hypercorn"


def main() -> None:
    """Let the users in, print the tables on stdout, write them down."""
    options = arguments()
    if importlib.util.find_spec("locust") is None:
        sys.exit("bench: locust is not installed: pip install -r bench/requirements.txt")
    cores = two_cores("locust")
    python, interpreter = find_interpreter(options.python)
    try:
        allow_connections(2 * options.users)
    except NotEnoughFiles as error:
        sys.exit(f"bench: {error}")
    begin(cores[1])
    now = datetime.datetime.now()
    session = Session(
        python=python,
        root=ROOT,
        server_core=cores[0],
        load_core=cores[1],
        rounds=options.rounds,
        seconds=options.duration,
        quick=False,
        wanted=(),
        missing=interpreter.missing(),
        servers=SERVERS,
        directory=options.reports / f"{now:%Y-%m-%d-%H%M%S}",
    )
    session.directory.mkdir(parents=True)
    crowd = Crowd(options.users, options.think)
    servers = {name: entry(name) for name in options.compare or (SUBJECT,)}
    notes = [
        f"{name} is left out: not installed: {session.missing[server]}"
        for name, server in servers.items()
        if server in session.missing
    ]
    for note in notes:
        session.say(note)
    servers = {name: server for name, server in servers.items() if server not in session.missing}
    rounds = measure(servers, crowd, session, notes)
    session.say(f"locust's reports, and what the servers wrote: {session.directory}")
    if not any(each.requests for results in rounds.values() for each in results):
        sys.exit("bench: no server could be measured")

    rows = figures.rows(rounds, SUBJECT)
    versions = interpreter.versions | {"locust": metadata.version("locust")}
    report = Report(
        date=f"{now:%Y-%m-%d}",
        command=shlex.join(["python", "-m", "bench.users", *sys.argv[1:]]),
        machine=machine.describe(),
        versions=versions,
        method={
            "users": crowd.users,
            "think": crowd.think,
            "server_core": session.server_core,
            "load_core": session.load_core,
            "rounds": session.rounds,
            "seconds": session.seconds,
        },
        notes=notes,
        rows=rows,
        started={name: commands(servers[name]) for name in rounds},
    )
    print(report.markdown())
    directory = options.output if options.compare else session.directory
    paths = report.write(directory, f"{report.date}-locust")
    for path in paths + draw(report, directory):
        session.say(f"wrote {path}")


def draw(report: Report, directory: Path) -> list[Path]:
    """The charts, beside the tables."""
    valid = {name: row for name, row in report.rows.items() if row["per_second"] is not None}
    title = f"{report.method['users']:,} users of a shop in FastAPI"
    note = (
        f"Locust, {report.date}; one core for the server, another for locust. CPU: the server's and its application's."
    )
    paths = [directory / f"{report.date}-locust.svg", directory / f"{report.date}-locust-cost.svg"]
    for path, kind in zip(paths, (chart.over_time, chart.costs), strict=True):
        kind(valid, title, note, SUBJECT).save(path)
    return paths


def entry(name: str) -> str:
    """The server of that name that speaks WebSocket: some are told at their start whether they do."""
    return f"{name}-ws" if f"{name}-ws" in SERVERS else name


def measure(servers: Mapping[str, str], crowd: Crowd, session: Session, notes: list[str]) -> dict[str, list[Slice]]:
    """Start every server, let the users into one after another, round by round; `notes` gets those left out."""
    rounds: dict[str, list[Slice]] = {}
    with ExitStack() as stack:
        processes: dict[str, Process] = {}
        for name, server in servers.items():
            try:
                process = stack.enter_context(session.running(server, APP))
                WELCOME.check(process)
                processes[name] = process
            except ServerFailed as error:
                notes.append(session.say_failed(error))
        for number in range(1, session.rounds + 1):
            for name, process in processes.items():
                result = slices.run(process, crowd, session, f"{name}-{number}")
                rounds.setdefault(name, []).append(result)
                session.say(f"round {number}, {name}: {result}")
    return rounds


def arguments() -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(
        "python -m bench.users",
        description="Let the users of bench/locustfile.py into bench/shop.py, on one server or several.",
    )
    add = parser.add_argument
    add(
        "--compare",
        type=names_of(SERVERS),
        nargs="?",
        const=tuple(PEERS.split(",")),
        metavar="A,B",
        help=f"several servers, one after another (default: {PEERS})",
    )
    add("--users", type=positive, default=1000, help="how many (default: %(default)s)")
    add("--think", type=float, default=0.6, help="seconds that a user thinks, on average (default: %(default)s)")
    add("--rounds", type=positive, default=3, help="rounds (default: %(default)s)")
    add("--duration", type=positive, default=8, help="seconds of a round for each server (default: %(default)s)")
    add("--output", type=Path, default=ROOT / "bench" / "results", help="directory of the comparison")
    add("--reports", type=Path, default=ROOT / "build" / "locust", help="directory of locust's own reports")
    add("--python", default=sys.executable, help="interpreter of the servers (default: this one)")
    return parser.parse_args()
