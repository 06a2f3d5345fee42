"""Memory at rest: of a server after its first answer, and of one idle connection."""

from __future__ import annotations

import resource
import selectors
import socket
from contextlib import ExitStack
from functools import partial

from .outcome import Column, Outcome, at_most, middle
from .process import Process, ServerFailed
from .scenarios import PEERS, PLAIN
from .session import Session

SERVERS = ("pronghorn", *PEERS, "floor")
ESSENTIAL = ("pronghorn", "uvicorn", "floor")
STARTS, QUICK_STARTS = 3, 1

CONNECTIONS = 5000
BATCH = 500
SPARE_DESCRIPTORS = 200
OURS_AT_MOST = 4096

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def mebibytes(value: float) -> str:
    """Bytes, shown in MiB."""
    return f"{value / 1048576:.1f} MiB"


def kibibytes(value: float) -> str:
    """Bytes, shown in KiB."""
    return f"{value / 1024:.2f} KiB"


def measure_start(session: Session) -> Outcome:
    """Memory of the plain application's server after its first answer."""
    columns = (Column("rss", "RSS", mebibytes), Column("pss", "PSS", mebibytes))
    outcome = Outcome("memory", "Memory after the first answer, plain application", columns)
    for name in session.choose(SERVERS, ESSENTIAL):
        try:
            taken = []
            for _ in range(QUICK_STARTS if session.quick else STARTS):
                with session.running(name, "bench.apps:plain") as process:
                    PLAIN.check(process)
                    taken.append(process.memory())
        except ServerFailed as error:
            outcome.notes.append(session.say_failed(error))
            continue
        outcome.rows[name] = {"rss": middle([each.rss for each in taken]), "pss": middle([each.pss for each in taken])}
        session.say(f"  {name} {mebibytes(outcome.rows[name]['rss'])}")
    ours, theirs = (outcome.rows.get(name, {}).get("rss") for name in ("pronghorn", "uvicorn"))
    outcome.verdicts.append(at_most("uvicorn", theirs, ours, mebibytes))
    return outcome


def measure_idle(session: Session) -> Outcome:
    """What one of 5,000 idle connections adds to the RSS: fresh ones, and ones that have had one answer."""
    columns = (Column("fresh", "fresh", kibibytes), Column("served", "after one request", kibibytes))
    outcome = Outcome("idle", f"Memory for each of {CONNECTIONS:,} idle connections (user space)", columns)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS + SPARE_DESCRIPTORS:
        outcome.notes.append(f"left out: needs {CONNECTIONS + SPARE_DESCRIPTORS} open files, the limit is {hard}")
        return outcome
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in session.choose(SERVERS, ESSENTIAL):
        starts = range(QUICK_STARTS if session.quick else STARTS)
        try:
            fresh = [connection_cost(session, name, served=False) for _ in starts]
            served = [connection_cost(session, name, served=True) for _ in starts]
        except ServerFailed as error:
            outcome.notes.append(session.say_failed(error))
            continue
        outcome.rows[name] = {"fresh": middle(fresh), "served": middle(served)}
        session.say(f"  {name} {kibibytes(outcome.rows[name]['fresh'])}, {kibibytes(outcome.rows[name]['served'])}")
    for column in columns:
        ours = outcome.rows.get("pronghorn", {}).get(column.key)
        outcome.verdicts.append(at_most(column.heading, OURS_AT_MOST, ours, kibibytes))
    return outcome


def connection_cost(session: Session, name: str, served: bool) -> float:
    """Bytes of RSS for each idle connection to a new server. Raises ServerFailed, also when the server drops one."""
    with session.running(name, "bench.apps:plain") as process, ExitStack() as stack:
        for _ in range(16):
            PLAIN.check(process)
        before = process.memory().rss
        idle: list[socket.socket] = []
        while len(idle) < CONNECTIONS:
            batch = [stack.enter_context(process.connect()) for _ in range(BATCH)]
            if served:
                for connection in batch:
                    connection.sendall(REQUEST)
                for connection in batch:
                    read_answer(process, connection)
            # Connections are accepted in order: once a later one is answered, the batch has left the backlog.
            PLAIN.check(process)
            idle += batch
        after = process.memory().rss
        if dropped := count_readable(idle):
            raise process.failure(f"dropped {dropped} idle connections")
        return (after - before) / len(idle)


def read_answer(process: Process, connection: socket.socket) -> None:
    """Read one answer of the plain application to its end."""
    answer = b""
    for part in iter(partial(connection.recv, 65536), b""):
        answer += part
        if answer.endswith(PLAIN.body):
            return
    raise process.failure("closed a connection before it answered")


def count_readable(connections: list[socket.socket]) -> int:
    """How many connections have something to read: on an idle one, that is the end of the stream."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        return len(selector.select(0))
