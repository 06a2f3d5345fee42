"""`pronghorn bench` without its options: compare servers on a user's application."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pronghorn.bench import cores, machine, peers, result, terminal
from pronghorn.bench.answers import Questions, described
from pronghorn.bench.compare import Comparison
from pronghorn.bench.load import Wrk
from pronghorn.bench.process import ServerFailed
from pronghorn.bench.request import Request, loader
from pronghorn.bench.result import Result
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session, measuring


@dataclass(frozen=True)
class Plan:
    """The options; `against` are names of peers, or None for the default peers that are installed."""

    app: str
    request: Request
    against: Sequence[str] | None
    connections: int
    rounds: int
    seconds: int
    app_dir: Path
    factory: bool


def measure(plan: Plan, console: Console) -> Result:
    """Compare, and show progress on `console`. Raises LoadFailed, NotEnoughFiles or ServerFailed."""
    servers = peers.known()
    wanted = [peers.SUBJECT, *(peers.DEFAULT if plan.against is None else plan.against)]
    interpreter = machine.Interpreter(sys.executable, servers)
    lacking = peers.lacking([servers[name] for name in wanted], interpreter.absent)
    if peers.SUBJECT in lacking:
        raise ServerFailed(f"{peers.SUBJECT} cannot be measured: {lacking[peers.SUBJECT]}")
    chosen = tuple(name for name in wanted if name not in lacking)
    pinned = cores.choose()
    with measuring(pinned) as directory:
        app, environment = plan.app, peers.environment(plan.app_dir.absolute())
        if plan.factory:
            app, environment = peers.made_by(app, directory), peers.importing_from(directory, environment)
        load = loader(plan.request, plan.connections, directory)
        questions = Questions(plan.request)
        session = Session(
            python=sys.executable,
            root=Path.cwd(),
            directory=directory,
            cores=pinned,
            rounds=plan.rounds,
            seconds=plan.seconds,
            environment=environment,
            servers=servers,
            say=lambda text: None,
        )
        scenario = Scenario(plan.app, str(plan.request), app, load, questions, chosen, {})
        comparison = Comparison(scenario, session, subject_required=True)
        terminal.left_out(lacking, console)
        terminal.announce(comparison, console)
        with terminal.watching(comparison, console):
            comparison.run()
        terminal.left_out(comparison.left_out, console)
        wrk = machine.wrk_version() if isinstance(load, Wrk) else None
        return Result(
            date=result.now().strftime("%Y-%m-%d %H:%M"),
            command=result.typed("pronghorn"),
            machine=machine.describe(),
            versions=interpreter.versions,
            app=plan.app,
            request=str(plan.request),
            connections=plan.connections,
            rounds=plan.rounds,
            seconds=plan.seconds,
            load=f"wrk {wrk}" if wrk else "our own client, as wrk is not installed",
            cores=str(pinned),
            commands={name: servers[name].command_line(app, "PORT") for name in chosen},
            answers={name: described(answers) for name, answers in questions.answers.items()},
            rows=comparison.rows,
            left_out={**lacking, **comparison.left_out},
            notes=questions.differences(peers.SUBJECT) + comparison.notes(),
        )
