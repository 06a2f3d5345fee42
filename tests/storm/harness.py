"""A storm from start to end: the server, its crowds of clients, and the faults afterwards."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronghorn.logging.defaults import ACCESS_FORMAT
from tests.storm.content import BODY_LIMIT, ON_PURPOSE
from tests.support.server import Process, process

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

ROOT = Path(__file__).parent.parent.parent

_NEEDS = ("a2wsgi", "aiohttp", "flask", "h2", "httpx", "trustme", "websockets")

# Time limit in seconds for each exchange of an honest client.
PATIENCE = 20.0
# The server's timeouts in seconds: they end connections whose clients vanished.
TIMEOUT = 3
GRACE = 5
FLAGS = (
    # The server's own lines as JSON, so that others stand out; access lines in the default format, in batches.
    *("--app-dir", str(ROOT), "--log-format", "json", "--access-log-format", ACCESS_FORMAT),
    *("--http2", "--sendfile", "--limit-body-size", str(BODY_LIMIT)),
    *("--timeout-keep-alive", "5", "--timeout-first-byte", str(TIMEOUT), "--timeout-head", str(TIMEOUT)),
    *("--timeout-body", str(TIMEOUT)),
    *("--ws-ping-interval", str(TIMEOUT), "--ws-ping-timeout", str(TIMEOUT)),
    *("--timeout-graceful-shutdown", str(GRACE)),
)
# Seconds until the server has returned to its initial state, after the last response was cancelled.
SETTLED = 15.0
# Seconds until a stopped server has exited, with idle connections only.
ENDED = GRACE + 10.0
# Memory that may remain after thousands of connections: fragments and caches, nothing per connection.
MEMORY = 96 << 20
# Python's memory blocks that may remain: fewer than one per connection.
BLOCKS = 10_000
# Connections that are kept alive during the shutdown.
KEPT = 10

_MIB = 1 << 20
# Errors of a client that gets no answer, or a wrong one.
_UNANSWERED = (OSError, http.client.HTTPException, ValueError)
# Text that no line of a faultless log contains.
_FAULTY = re.compile(
    r"Traceback|Error calling|Exception in callback|never retrieved|Exception ignored|Fatal Python|never awaited"
)

State = dict[str, Any]


def lacks_for_storms() -> str | None:
    """The reason that no storm can run here, or None if it can."""
    if sys.platform != "linux":
        return "reads what is left from /proc"
    return next((f"{name} is not installed" for name in _NEEDS if find_spec(name) is None), None)


@dataclass(frozen=True)
class Storm:
    """The settings of a storm. `tls` is none or the engine: aiofastnet, or ssl for that of the loop."""

    loop: str = "asyncio"
    tls: str = "none"
    workers: int = 1
    form: str = "compiled"
    filter: bool = False
    seconds: float = 60.0
    patience: float = PATIENCE
    seed: int = 0
    without: tuple[str, ...] = ()
    write_timeout: int = 10
    """`--timeout-write`: seconds until a client that reads nothing is cut off, and until a response that outlasts its
    client is cancelled. A mounted WSGI bridge leaves a thread behind if it is cancelled, so that its responses must end
    earlier, even in a busy loop.
    """
    rest: float = 0.02
    """Mean seconds between two sessions or acts of a client."""
    faults_only: bool = False
    """True to keep no line of the log but faults."""

    def __str__(self) -> str:
        words = [self.form, self.loop]
        words += [f"TLS of {self.tls}"] * (self.tls != "none")
        words += [f"{self.workers} workers"] * (self.workers > 1)
        words += ["a filter that fails"] * self.filter
        return ", ".join([*words, f"seed {self.seed}"])


@dataclass
class Report:
    """The results. A storm without `faults` is passed."""

    faults: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    log: str = ""
    answers: int = 0
    """Of honest clients."""
    slowest: float = 0.0
    """Of these answers, in seconds."""
    acts: int = 0
    """Of hostile clients."""


Companion = Callable[[Process, "Asker", "Report"], contextlib.AbstractContextManager[None]]


def weather(storm: Storm, certificates: Certificates, companion: Companion | None = None) -> Report:
    """Serve during a storm, and report the faults. `companion` is entered for as long as the clients are there."""
    report = Report()
    flags = ["--loop", storm.loop, "--timeout-write", str(storm.write_timeout)]
    if storm.tls != "none":
        flags += certificates.flags
    if storm.workers > 1:
        flags += ["--workers", str(storm.workers), "--log-level", "debug"]
    env = {"STORM_TLS": storm.tls, "STORM_FILTER": "1" if storm.filter else ""}
    with process("tests.storm.app:app", *flags, *FLAGS, form=storm.form, env=env) as server:
        if storm.workers > 1:
            server.log.wait_for(r"\] serves", storm.workers)
        if storm.faults_only:
            server.log.keeps = lambda line: not _is_record(line) or _fault_in(line)
            server.access.keeps = lambda line: False
        asker = Asker(server.port, storm.workers, certificates.trust() if storm.tls != "none" else None)
        before = asker.ask_when_calm()
        beside = companion(server, asker, report) if companion else contextlib.nullcontext()
        with beside, _crowd("hostile", storm, server, certificates) as hostile:
            with _crowd("honest", storm, server, certificates) as honest:
                _note_crowd(report, "honest", honest, storm.seconds + storm.patience * 3)
            _note_crowd(report, "hostile", hostile, 30)
        if server.has_ended():
            report.faults.append(f"the server has ended early, with {server.wait()}")
        else:
            _note_what_is_left(report, before, asker, storm.write_timeout + SETTLED)
            _note_end(report, server, storm, asker)
        _note_log(report, server)
    return report


# The crowds


@contextlib.contextmanager
def _crowd(nature: str, storm: Storm, server: Process, certificates: Certificates) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.storm.crowd", nature, "--port", str(server.port)]
    command += ["--seconds", str(storm.seconds), "--patience", str(storm.patience), "--seed", str(storm.seed)]
    command += ["--rest", str(storm.rest), "--write-timeout", str(storm.write_timeout)]
    if storm.tls != "none":
        command += ["--authority", str(certificates.authority)]
    if storm.without:
        command += ["--without", *storm.without]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as crowd:  # type: ignore[call-overload]
        try:
            yield crowd
        finally:
            crowd.kill()


def _note_crowd(report: Report, nature: str, crowd: subprocess.Popen[str], patience: float) -> None:
    try:
        out, err = crowd.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        report.faults.append(f"the {nature} clients do not end")
        return
    if crowd.returncode:
        report.faults.append(f"the {nature} clients ended with {crowd.returncode}:\n{err[-3000:]}")
        return
    for kind, told in json.loads(out).items():
        failures = told.pop("failures")
        report.answers += told.get("answers", 0)
        report.slowest = max(report.slowest, told.get("slowest", 0.0))
        report.acts += told.get("acts", 0)
        report.figures.append(f"{nature}: {kind}: {', '.join(f'{value} {name}' for name, value in told.items())}")
        report.faults += [f"{kind}: {failure}" for failure in failures[:5]]
        if len(failures) > 5:
            report.faults.append(f"{kind}: {len(failures) - 5} more failures")
        if not told.get("acts", told.get("answers")) and kind != "slow":  # slow clients outlast a short storm
            report.faults.append(f"{nature}: {kind}: did nothing")


# Leaks


class Asker:
    """Reads the state of every process of the server."""

    def __init__(self, port: int, workers: int, context: ssl.SSLContext | None) -> None:
        self._port = port
        self._workers = workers
        self._context = context

    def connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=PATIENCE, context=self._context)

    def ask(self) -> dict[int, State]:
        """Return the states by process id, each read over the only open connection to its process.

        Raises TimeoutError if a process is not reached.
        """
        with contextlib.ExitStack() as stack:
            found = self._reach_all(stack)
            states = [_state_over(connection) for connection in found.values()]
        return {state.pop("pid"): state for state in states}

    def ask_when_calm(self) -> dict[int, State]:
        """Wait until only the asking connections are open; return the states."""
        deadline = time.monotonic() + PATIENCE
        while True:
            states = self.ask()
            if all(state["connections"] == 1 for state in states.values()):
                return states
            if time.monotonic() > deadline:
                raise AssertionError(f"other connections are open before the storm: {states}")

    def _reach_all(self, stack: contextlib.ExitStack) -> dict[int, http.client.HTTPConnection]:
        """Connect to each process. The system chooses the process, so several connections are opened at once."""
        found: dict[int, http.client.HTTPConnection] = {}
        deadline = time.monotonic() + PATIENCE
        with concurrent.futures.ThreadPoolExecutor(self._workers) as threads:
            while len(found) < self._workers:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(found)} of {self._workers} workers answer")
                connections = [stack.enter_context(contextlib.closing(self.connect())) for _ in range(self._workers)]
                for connection, state in zip(connections, threads.map(_state_over, connections), strict=True):
                    if state["pid"] in found:
                        connection.close()
                    else:
                        found[state["pid"]] = connection
        return found


def _state_over(connection: http.client.HTTPConnection) -> State:
    connection.request("GET", "/state")
    told: State = json.load(connection.getresponse())
    return told


def _note_what_is_left(report: Report, before: dict[int, State], asker: Asker, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            after = asker.ask()
        except _UNANSWERED as error:
            report.faults.append(f"the server does not tell what is left: {error!r}")
            return
        left = _left(before, after)
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    report.faults += left
    for pid in before.keys() & after.keys():
        grown = after[pid]["memory"] - before[pid]["memory"]
        report.figures.append(
            f"left: {grown / _MIB:.0f} MiB more memory than the {before[pid]['memory'] / _MIB:.0f} before"
        )
        if grown > MEMORY:
            report.faults.append(f"left: {grown / _MIB:.0f} MiB of memory")
        blocks = after[pid]["blocks"] - before[pid]["blocks"]
        report.figures.append(f"left: {blocks} more blocks than the {before[pid]['blocks']} before")
        if blocks > BLOCKS:
            report.faults.append(f"left: {blocks} blocks of Python's memory")


def _left(before: dict[int, State], after: dict[int, State]) -> list[str]:
    if before.keys() != after.keys():
        return [f"other processes serve than before: {sorted(after)}, not {sorted(before)}"]
    left = []
    for pid, state in after.items():
        for name in ("tasks", "threads", "descriptors"):
            were: collections.Counter[str] = collections.Counter(before[pid][name])
            are: collections.Counter[str] = collections.Counter(state[name])
            left += [f"left: {count} more {name}: {each}" for each, count in (are - were).items()]
            left += [f"gone: {count} of the {name}: {each}" for each, count in (were - are).items()]
        more: collections.Counter[str] = collections.Counter(state["objects"])
        more -= collections.Counter(before[pid]["objects"])
        left += [f"left: {count} more objects: {each}" for each, count in more.items()]
        for name in ("connections", "iterables", "calls"):
            if state[name] != before[pid][name]:
                left.append(f"left: {name}: {state[name]}, not {before[pid][name]}")
    return left


# The end


def _note_end(report: Report, server: Process, storm: Storm, asker: Asker) -> None:
    """Check that SIGTERM ends the server while clients keep their connections."""
    with contextlib.ExitStack() as stack:
        try:
            for _ in range(KEPT):
                connection = stack.enter_context(contextlib.closing(asker.connect()))
                connection.request("GET", "/content?token=kept&size=1")
                connection.getresponse().read()
        except _UNANSWERED as error:
            report.faults.append(f"the server does not answer before its end: {error!r}")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        try:
            code = server.wait()
        except subprocess.TimeoutExpired:
            report.faults.append("SIGTERM does not end the server")
            server.end()
            return
    seconds = time.monotonic() - began
    report.figures.append(f"end: {seconds:.1f} s, code {code}")
    if seconds > ENDED:
        report.faults.append(f"SIGTERM takes {seconds:.1f} s")
    wanted = 0 if storm.workers > 1 else -signal.SIGTERM
    if code != wanted:
        report.faults.append(f"the server ends with {code}, not {wanted}")


def _note_log(report: Report, server: Process) -> None:
    """Check that each line is a JSON record, and that no record reports a fault except the deliberate ones."""
    report.log = server.log.text()
    faults: collections.Counter[str] = collections.Counter()
    for is_record, lines in itertools.groupby(server.log, _is_record):
        if is_record:
            faults.update(fault for line in lines if (fault := _fault_in(line)))
        else:
            faults.update(_without_frames(lines))
    report.faults += [f"log: {text} ({count} times)" for text, count in faults.most_common(20)]


def _is_record(line: str) -> bool:
    return line.startswith('{"') and line.endswith("}")


# Logged by a loop's TLS for writes between the loss of the connection and `connection_lost`.
_OF_LOOPS = ("socket.send() raised exception.", "SSL connection is closed")


def _without_frames(lines: Iterable[str]) -> list[str]:
    """The lines outside of records, without blank lines, frames of tracebacks and the loops' own lines. Numbers are
    masked.
    """
    return [
        re.sub(r"0x[0-9a-f]+|\d+", "N", line)[:300]
        for line in lines
        if line and line not in _OF_LOOPS and not line.startswith((" ", "Traceback"))
    ]


def _fault_in(line: str) -> str | None:
    """The fault in a record, if any, without the time, so that equal faults compare equal."""
    try:
        record = json.loads(line)
        level, message = record["level"], record["message"]
    except (ValueError, KeyError):
        return f"no record: {line[:300]}"
    if ON_PURPOSE in line or not (level in ("ERROR", "CRITICAL") or _FAULTY.search(line)):
        return None
    trace = record.get("exception", "")
    return f"{level} {message}" + (f"\n{trace[-1500:]}" if trace else "")
