"""Servers side by side on one application: started, asked, loaded in turn. Others may look on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from pronghorn.bench.answers import Questions
from pronghorn.bench.outcome import Row, middle
from pronghorn.bench.process import Process, ServerFailed, allow_connections
from pronghorn.bench.rounds import FULL, QUIET, WARM_UP_SECONDS, Round, one_round, row
from pronghorn.bench.scenario import Scenario
from pronghorn.bench.session import Session


class Comparison:
    """One scenario on its servers. `rows` are the figures by server, `left_out` the reasons why one has none."""

    def __init__(self, scenario: Scenario, questions: Questions, session: Session) -> None:
        self.scenario = scenario
        self.questions = questions
        self.session = session
        self.doing = "starting"
        self.rows: dict[str, Row] = {}
        self.left_out: dict[str, str] = {}
        self.seconds = len(scenario.servers) * (WARM_UP_SECONDS + session.rounds * session.seconds)
        self._rounds: dict[str, list[Round]] = {}
        self._spent = 0
        self._step: tuple[float, int] = (0.0, 0)

    @property
    def spent(self) -> float:
        """Seconds of measuring that are over, of all `seconds`."""
        since, step = self._step
        return self._spent + min(step, time.monotonic() - since) if step else self._spent

    def run(self) -> None:
        """Measure. Raises LoadFailed or NotEnoughFiles when nothing can be, ServerFailed when not the subject."""
        allow_connections(self.scenario.load.connections)
        programme = self.scenario.load.programme(self.session.directory)
        with ExitStack() as stack:
            servers = self.scenario.servers
            started = [stack.enter_context(self.session.running(name, self.scenario.app)) for name in servers]
            processes = [process for process in started if self._is_answered_by(process)]
            for process in processes:
                if process.server.restless:
                    process.stop()
                    stack.callback(process.go_on)
            self.seconds = len(processes) * (WARM_UP_SECONDS + self.session.rounds * self.session.seconds)
            for process in processes:
                self._load(process, programme, WARM_UP_SECONDS, "warming up")
            for number in range(1, self.session.rounds + 1):
                for process in processes:
                    label = f"round {number} of {self.session.rounds}"
                    result = self._load(process, programme, self.session.seconds, label)
                    self._rounds.setdefault(process.server.name, []).append(result)
                self.rows = {name: self._row(results) for name, results in self._rounds.items()}
            for process in processes:
                self.rows[process.server.name]["rss"] = process.memory().rss
            self.doing = "ending the servers"

    def notes(self) -> list[str]:
        """What a reader has to know of the figures."""
        pinned = self.session.server_core is not None
        return self.questions.differences(self.scenario.subject) + remarks(self.rows, pinned)

    def _is_answered_by(self, process: Process) -> bool:
        self.doing = f"asking {process.server.name}"
        try:
            self.questions.check(process)
        except ServerFailed as error:
            if process.server.name == self.scenario.subject:
                raise
            self.left_out[process.server.name] = str(error)
            return False
        return True

    def _load(self, process: Process, programme: str, seconds: int, label: str) -> Round:
        self.doing = f"{label}: {process.server.name}"
        self._step = (time.monotonic(), seconds)
        result = one_round(process, self.scenario, programme, seconds, self.session)
        self._spent += seconds
        self._step = (0.0, 0)
        return result

    def _row(self, rounds: list[Round]) -> Row:
        valid = [each.seen for each in rounds if each.seen and not each.errors]
        figures = row(rounds, self._rounds.get(self.scenario.subject))
        return figures | {
            "p50_us": middle([seen.p50_us for seen in valid]),
            "rss": None,
            "limited": bool(valid) and figures["busy"] < FULL,
        }


def remarks(rows: dict[str, Row], pinned: bool) -> list[str]:
    """What limited the servers, beside themselves. What others take of cores matters where the servers are `pinned`."""
    valid = {name: figures for name, figures in rows.items() if figures["per_second"] is not None}
    void = {name: figures["void"] for name, figures in rows.items() if figures["void"]}
    disturbed = [name for name, figures in valid.items() if pinned and figures["others"] > QUIET]
    idle = [name for name, figures in valid.items() if figures["limited"] and name not in disturbed]
    loaded = [name for name in idle if valid[name]["load_busy"] >= FULL]
    waiting = [name for name in idle if name not in loaded]
    found = [f"{len(errors)} rounds of {name} do not count: {'; '.join(errors)}." for name, errors in void.items()]
    if disturbed:
        found.append(f"Other processes took time from {names(disturbed)}: measure again when the machine is quiet.")
    if loaded:
        found.append(f"The load was the limit of {names(loaded)}, whose core was not full: compare the CPU.")
    if waiting:
        found.append(
            f"Neither the load nor {names(waiting)} had a full core: the application waits, or more connections"
            " would be served; compare the CPU."
        )
    return found


def names(of: Sequence[str]) -> str:
    """A list for people."""
    *others, last = of
    return f"{', '.join(others)} and {last}" if others else last
