"""A slice: a round in which locust loads one server with a number of users."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pronghorn.bench.load import Load
from pronghorn.bench.outcome import percentile
from pronghorn.bench.process import CPU, Process, ServerFailed, busy_seconds, pinning
from pronghorn.bench.rounds import Round
from pronghorn.bench.session import Session

HERE = Path(__file__).resolve().parent
FILES = (HERE.parent / "locustfile.py", HERE / "recorder.py")
SPAWNED_PER_SECOND = 500
SECONDS_OF_A_MARK = 0.5
STOP_TIMEOUT = 30.0


class LocustFailed(Exception):
    """Locust did not run as it should; the text says why."""


@dataclass(frozen=True)
class Crowd:
    """The number of users, and the seconds that each thinks on average."""

    users: int
    think: float

    @property
    def connections(self) -> int:
        """At most one for HTTP and one for WebSocket per user."""
        return 2 * self.users

    @property
    def spawning(self) -> float:
        """Seconds until all users have come."""
        return self.users / SPAWNED_PER_SECOND

    @property
    def settling(self) -> float:
        """Seconds after that until they no longer act at the same time."""
        return max(1.0, 2 * self.think)

    def program(self, directory: Path) -> str:
        """The program to execute."""
        return sys.executable

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """The arguments to run locust for `seconds`, without a web page."""
        options = {
            "--locustfile": ",".join(map(str, FILES)),
            "--host": f"http://127.0.0.1:{port}",
            "--users": self.users,
            "--spawn-rate": SPAWNED_PER_SECOND,
            "--run-time": seconds,
            "--think": self.think,
            "--exit-code-on-error": 0,
        }
        words = (str(word) for option in options.items() for word in option)
        return ["-m", "locust", "--headless", "--only-summary", *words]


@dataclass(frozen=True)
class Request:
    """The end, action and duration of a request, and the error if it failed."""

    at: float
    action: str
    milliseconds: float
    error: str | None


@dataclass(frozen=True)
class Visits(Load):
    """All requests from `start` on."""

    start: float = 0.0
    log: Sequence[Request] = ()

    @classmethod
    def of(cls, start: float, seconds: float, log: Sequence[Request]) -> Visits:
        """The requests of so many seconds."""
        ordered = sorted(each.milliseconds for each in log)
        p50, p99, p999 = (round(percentile(ordered, percent) * 1000) for percent in (50, 99, 99.9))
        return cls(len(log), seconds, 0, p50, p99, {}, p999, start, log)


def visits(one: Round) -> Visits:
    """The requests of a slice, none if it is void."""
    return one.seen if isinstance(one.seen, Visits) else Visits.of(0.0, 0.0, ())


@dataclass(frozen=True)
class Mark:
    """CPU used up to a moment: by the server, and of both cores by all processes."""

    at: float
    server: CPU
    busy: float


def run(process: Process, crowd: Crowd, session: Session, path: Path) -> Round:
    """Load the server with the users; the names of locust's reports begin with `path`."""
    try:
        marks = watch(process, crowd, session, path)
        process.check_alive()
        return evaluate(marks, crowd, session, path.with_name(f"{path.name}-requests.json"))
    except (LocustFailed, ServerFailed) as error:
        return Round(None, 0.0, CPU(0, 0), CPU(0, 0), 0.0, str(error))


def watch(process: Process, crowd: Crowd, session: Session, path: Path) -> list[Mark]:
    """Run locust to its end, take marks meanwhile. Raises LocustFailed."""
    seconds = crowd.spawning + crowd.settling + session.seconds + 2 * SECONDS_OF_A_MARK
    log = path.with_name(f"{path.name}.log")
    with log.open("wb") as output:
        locust = subprocess.Popen(
            [
                *(crowd.program(path.parent), *crowd.arguments(process.port, "/", round(seconds + 0.5))),
                *("--html", f"{path}.html", "--csv", str(path), "--record", f"{path}-requests.json"),
            ],
            cwd=session.root,
            env=process.server.environ(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=pinning(session.cores.load),
        )
    marks = []
    deadline = time.monotonic() + seconds + STOP_TIMEOUT
    try:
        while locust.poll() is None and time.monotonic() < deadline:
            cores = (session.cores.server, session.cores.load)
            marks.append(Mark(time.monotonic(), process.cpu(), busy_seconds(cores)))
            try:
                locust.wait(SECONDS_OF_A_MARK)
            except subprocess.TimeoutExpired:
                continue
        if locust.returncode is None:
            raise LocustFailed(f"locust did not end within {seconds + STOP_TIMEOUT:.0f} s: see {log.name}")
    finally:
        if locust.poll() is None:
            locust.kill()
            locust.wait()
    if locust.returncode:
        raise LocustFailed(f"locust exited with status {locust.returncode}: see {log.name}")
    return marks


def evaluate(marks: list[Mark], crowd: Crowd, session: Session, path: Path) -> Round:
    """The slice between the first mark after the users have settled and its last mark. Raises LocustFailed."""
    record = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    if record["crashes"]:
        raise LocustFailed(f"a user crashed: {record['crashes'][0]}")
    if record["spawned"] is None:
        raise LocustFailed("not all users were there in time")
    begin = record["spawned"] + crowd.settling
    inside = [mark for mark in marks if begin <= mark.at <= begin + session.seconds + SECONDS_OF_A_MARK]
    if len(inside) < 2:
        raise LocustFailed("the slice was too short")
    first, last = inside[0], inside[-1]
    seen = [each for each in record["requests"] if first.at <= each[0] < last.at]
    if not seen:
        raise LocustFailed("no request was answered")
    seconds, server, locust = last.at - first.at, last.server - first.server, seen[-1][-1] - seen[0][-1]
    log = [Request(*each[:-1]) for each in seen]
    others = max(0.0, last.busy - first.busy - server.total - locust)
    return Round(Visits.of(first.at, seconds, log), seconds, server, CPU(locust, 0), others, "")
