"""One slice: locust with a number of users on one server, for a few seconds, with the CPU that both have used."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from pronghorn.bench.process import CPU, Process, ServerFailed, busy_seconds, pinning
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
    """So many users, each of whom thinks so many seconds on average."""

    users: int
    think: float

    @property
    def spawning(self) -> float:
        """Seconds until all are there."""
        return self.users / SPAWNED_PER_SECOND

    @property
    def settling(self) -> float:
        """Seconds after that until they no longer act at the same time."""
        return max(1.0, 2 * self.think)


@dataclass(frozen=True)
class Request:
    """When it ended, what it was, how many milliseconds it took, why it failed."""

    at: float
    action: str
    milliseconds: float
    error: str | None


@dataclass(frozen=True)
class Slice:
    """What happened in so many `seconds` from `start` on. `problem` says why it does not count."""

    start: float = 0.0
    seconds: float = 0.0
    requests: list[Request] = field(default_factory=list)
    server: CPU = field(default_factory=lambda: CPU(0, 0))
    locust: float = 0.0
    others: float = 0.0
    problem: str = ""

    @property
    def per_second(self) -> float:
        """Requests per second, those that failed too."""
        return len(self.requests) / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU for a request."""
        return self.server.total / len(self.requests) * 1e6

    def __str__(self) -> str:
        if self.problem:
            return f"void: {self.problem}"
        failures = sum(request.error is not None for request in self.requests)
        return (
            f"{self.per_second:,.0f} requests/s, {failures} failures, {self.cpu_us:,.0f} µs of CPU each,"
            f" server {self.server.total / self.seconds:.0%}, locust {self.locust / self.seconds:.0%}"
        )


@dataclass(frozen=True)
class Mark:
    """What had been used at a moment: by the server, and of the cores by whomever."""

    at: float
    server: CPU
    busy: float


def run(process: Process, crowd: Crowd, session: Session, name: str) -> Slice:
    """Let the users in; locust's reports go to the session's directory under `name`."""
    try:
        marks = watch(process, crowd, session, session.directory / name)
        process.check_alive()
        return evaluate(marks, crowd, session, session.directory / f"{name}-requests.json")
    except (LocustFailed, ServerFailed) as error:
        return Slice(problem=str(error))


def watch(process: Process, crowd: Crowd, session: Session, path: Path) -> list[Mark]:
    """Run locust to its end, take marks meanwhile. Raises LocustFailed."""
    seconds = crowd.spawning + crowd.settling + session.seconds + 2 * SECONDS_OF_A_MARK
    log = path.with_name(f"{path.name}.log")
    with log.open("wb") as output:
        locust = subprocess.Popen(
            [sys.executable, "-m", "locust", *arguments(crowd, seconds, process.port, path)],
            cwd=session.root,
            env=process.server.environ(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=pinning(session.load_core),
        )
    marks = []
    deadline = time.monotonic() + seconds + STOP_TIMEOUT
    try:
        while locust.poll() is None and time.monotonic() < deadline:
            cores = (session.server_core, session.load_core)
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


def arguments(crowd: Crowd, seconds: float, port: int, path: Path) -> list[str]:
    """The command line of locust, without a web page; what it writes begins with `path`."""
    options = {
        "--locustfile": ",".join(map(str, FILES)),
        "--host": f"http://127.0.0.1:{port}",
        "--users": crowd.users,
        "--spawn-rate": SPAWNED_PER_SECOND,
        "--run-time": round(seconds + 0.5),
        "--think": crowd.think,
        "--html": f"{path}.html",
        "--csv": path,
        "--record": f"{path}-requests.json",
        "--exit-code-on-error": 0,
    }
    return ["--headless", "--only-summary", *(str(word) for option in options.items() for word in option)]


def evaluate(marks: list[Mark], crowd: Crowd, session: Session, path: Path) -> Slice:
    """What lies between the first mark after the users have settled, and the last of the slice. Raises LocustFailed."""
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
    server, locust = last.server - first.server, seen[-1][-1] - seen[0][-1]
    return Slice(
        first.at,
        last.at - first.at,
        [Request(*each[:-1]) for each in seen],
        server,
        locust,
        max(0.0, last.busy - first.busy - server.total - locust),
    )
