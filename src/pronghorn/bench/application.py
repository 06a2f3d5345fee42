"""A comparison of servers on an application of the user's, from what was asked for to what is told."""

from __future__ import annotations

import datetime
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil
from rich.console import Console

from pronghorn.bench import cores, machine, peers, terminal
from pronghorn.bench.answers import Questions, described
from pronghorn.bench.compare import Comparison
from pronghorn.bench.load import Wrk
from pronghorn.bench.process import ServerFailed
from pronghorn.bench.request import Request, loader
from pronghorn.bench.result import Result
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session


@dataclass(frozen=True)
class Plan:
    """What is asked for; `against` are names of peers, or None for those that are usual and installed."""

    app: str
    request: Request
    against: Sequence[str] | None
    connections: int
    rounds: int
    seconds: int
    app_dir: Path
    factory: bool


def measure(plan: Plan, console: Console) -> Result:
    """Compare, while `console` tells how far it is. Raises LoadFailed, NotEnoughFiles or ServerFailed if it cannot."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    servers = peers.known()
    wanted = [peers.SUBJECT, *(peers.DEFAULT if plan.against is None else plan.against)]
    interpreter = machine.Interpreter(sys.executable, servers)
    lacking = peers.lacking([servers[name] for name in wanted], interpreter.absent)
    if peers.SUBJECT in lacking:
        raise ServerFailed(f"{peers.SUBJECT} cannot be measured: {lacking[peers.SUBJECT]}")
    chosen = tuple(name for name in wanted if name not in lacking)
    pinned = cores.choose()
    with ExitStack() as stack:
        stack.callback(end_children)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pronghorn-bench-")))
        app, environment = plan.app, peers.environment(plan.app_dir.absolute())
        if plan.factory:
            app, environment = peers.made_by(app, directory), peers.importing_from(directory, environment)
        load = loader(plan.request, plan.connections, directory)
        questions = Questions(plan.request)
        session = Session(
            python=sys.executable,
            root=Path.cwd(),
            server_core=pinned.server,
            load_core=pinned.load,
            rounds=plan.rounds,
            seconds=plan.seconds,
            quick=False,
            wanted=chosen,
            missing={},
            directory=directory,
            environment=environment,
            servers=servers,
        )
        scenario = Scenario(plan.app, str(plan.request), app, load, questions, chosen, {})
        comparison = Comparison(scenario, questions, session)
        terminal.left_out(lacking, console)
        terminal.announce(comparison, console)
        pinned.leave()
        with terminal.watching(comparison, console):
            comparison.run()
        terminal.left_out(comparison.left_out, console)
        wrk = machine.wrk_version() if isinstance(load, Wrk) else None
        return Result(
            date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            command=shlex.join(["pronghorn", *sys.argv[1:]]),
            app=plan.app,
            request=str(plan.request),
            connections=plan.connections,
            rounds=plan.rounds,
            seconds=plan.seconds,
            load=f"wrk {wrk}" if wrk else "our own client, as wrk is not installed",
            cores=str(pinned),
            machine=machine.describe(),
            versions=interpreter.versions,
            commands={name: peers.command_line(servers[name], app) for name in chosen},
            answers={name: described(answers) for name, answers in questions.answers.items()},
            rows=comparison.rows,
            left_out={**lacking, **comparison.left_out},
            notes=comparison.notes(),
        )


def end_children() -> None:
    """Kill what has not ended otherwise: a signal may come between the start of a server and its record."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()


def stop(number: int, frame: object) -> NoReturn:
    """End the servers, by unwinding the stack; whatever comes meanwhile does not hinder it."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)
