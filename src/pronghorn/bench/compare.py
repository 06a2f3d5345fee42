"""Compare servers side by side: start and check them, then load them in turn, so noise affects all of them alike."""

from __future__ import annotations

import time
from contextlib import ExitStack

from pronghorn.bench.outcome import Row
from pronghorn.bench.process import LOOK, Process, ServerFailed, allow_connections
from pronghorn.bench.rounds import Round, one_round, remarks, row, void
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session

# The time to start and end a server, and the time before and after a round.
START_SECONDS, AROUND_SECONDS = 0.8, 0.15 + LOOK


class Comparison:
    """One scenario on its servers. `rows` has the figures by server, `left_out` the reason why a server has none.

    Other threads may read `doing`, `spent`, `seconds` and `rows` meanwhile.
    """

    def __init__(self, scenario: Scenario, session: Session, *, subject_required: bool = False) -> None:
        self.scenario = scenario
        self.session = session
        self.doing = "starting"
        self.rounds: dict[str, list[Round]] = {}
        self.rows: dict[str, Row] = {}
        self.left_out: dict[str, str] = {}
        self._subject_required = subject_required
        self._servers = session.choose(scenario.servers, scenario.essential)
        self.seconds = self._seconds(len(self._servers))
        self._spent = 0
        self._step: tuple[float, int] = (0.0, 0)

    @property
    def spent(self) -> float:
        """Seconds of load that are over, of all `seconds`."""
        since, step = self._step
        return self._spent + min(step, time.monotonic() - since) if step else self._spent

    def run(self) -> None:
        """Measure. Raises LoadFailed or NotEnoughFiles if that is impossible, ServerFailed if a required subject
        fails.
        """
        allow_connections(self.scenario.load.connections)
        self._program = self.scenario.load.program(self.session.directory)
        with ExitStack() as stack:
            processes = self._start(stack)
            self.seconds = self._seconds(len(processes))
            for process in processes if self.session.warm_up else ():
                self._step_of(process, self.session.warm_up, "warming up")
            for number in range(1, self.session.rounds + 1 if processes else 0):
                for process in processes:
                    label = f"round {number} of {self.session.rounds}"
                    result = self._step_of(process, self.session.seconds, label)
                    self.rounds.setdefault(process.server.name, []).append(result)
                self.rows = {name: self.row(results) for name, results in self.rounds.items()}
                results = ", ".join(f"{name} {results[-1]}" for name, results in self.rounds.items())
                self.session.say(f"  round {number}: {results}")
            for process in processes:
                self.rows[process.server.name]["rss"] = process.memory().rss
            self.doing = "ending the servers"

    def load(self, process: Process, seconds: int) -> Round:
        """Load one server, with the program of the scenario."""
        return one_round(process, self.scenario, self._program, seconds, self.session)

    def row(self, rounds: list[Round]) -> Row:
        """The figures of one server."""
        return row(rounds, self.rounds.get(self.scenario.subject))

    def notes(self) -> list[str]:
        """Remarks on void rounds, and on what limited the servers."""
        return void(self.rows) + remarks(self.rows, self.session.cores.server is not None)

    def _seconds(self, servers: int) -> int:
        return servers * (self.session.warm_up + self.session.rounds * self.session.seconds)

    def _start(self, stack: ExitStack) -> list[Process]:
        """Start all servers at once, then check each; return those that answer correctly."""
        started = []
        for name in self._servers:
            try:
                started.append(stack.enter_context(self.session.running(name, self.scenario.app)))
            except ServerFailed as error:
                self._leave_out(name, error)
        answered = []
        for process in started:
            self.doing = f"asking {process.server.name}"
            try:
                self.scenario.exchange.check(process)
            except ServerFailed as error:
                self._leave_out(process.server.name, error)
                continue
            answered.append(process)
            if process.server.restless:
                process.stop()
                stack.callback(process.go_on)
        return answered

    def _leave_out(self, name: str, error: ServerFailed) -> None:
        if self._subject_required and name == self.scenario.subject:
            raise error
        self.left_out[name] = str(error)
        self.session.say_failed(error)

    def _step_of(self, process: Process, seconds: int, label: str) -> Round:
        self.doing = f"{label}: {process.server.name}"
        self._step = (time.monotonic(), seconds)
        result = self.load(process, seconds)
        self._spent += seconds
        self._step = (0.0, 0)
        return result


def seconds(scenario: Scenario, session: Session) -> float:
    """The approximate time that a scenario takes."""
    servers = session.choose(scenario.servers, scenario.essential)
    warm_up = session.warm_up + AROUND_SECONDS if session.warm_up else 0
    return len(servers) * (START_SECONDS + warm_up + session.rounds * (session.seconds + AROUND_SECONDS))
