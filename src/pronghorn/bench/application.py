"""`pronghorn bench` without its options: compare servers on a user's application."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pronghorn.bench import competitors, cores, machine, result, terminal
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
    """The options; `against` has the names of the other servers, or is None for the default ones that are installed."""

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
    servers = competitors.known()
    wanted = [competitors.SUBJECT, *(competitors.DEFAULT if plan.against is None else plan.against)]
    interpreter = machine.Interpreter(sys.executable, servers)
    lacking = competitors.lacking([servers[name] for name in wanted], interpreter.absent)
    if competitors.SUBJECT in lacking:
        raise ServerFailed(f"{competitors.SUBJECT} cannot be measured: {lacking[competitors.SUBJECT]}")
    chosen = tuple(name for name in wanted if name not in lacking)
    pinned = cores.choose()
    with measuring(pinned) as directory:
        app, environment = plan.app, competitors.environment(plan.app_dir.absolute())
        if plan.factory:
            app, environment = competitors.made_by(app, directory), competitors.importing_from(directory, environment)
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
            load=f"wrk {wrk}" if wrk else "pronghorn.bench.client, as wrk is not installed",
            cores=str(pinned),
            commands={name: servers[name].command_line(app, "PORT") for name in chosen},
            answers={name: described(answers) for name, answers in questions.answers.items()},
            rows=comparison.rows,
            left_out={**lacking, **comparison.left_out},
            notes=questions.differences(competitors.SUBJECT) + comparison.notes(),
        )
