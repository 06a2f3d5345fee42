"""Memory of a server after its first answer, and of one idle connection."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from pronghorn.bench.outcome import Column, Headline, Outcome, Row, at_most, middle
from pronghorn.bench.process import NotEnoughFiles, Process, ServerFailed, allow_connections
from pronghorn.bench.session import Session

from .exchange import UPGRADE, Echo, Exchange, read_upgrade, receive
from .scenarios import PEERS, PLAIN, SHORT, WEBSOCKET_PEERS

SERVERS = ("pronghorn", *PEERS, "floor", "nginx")
ESSENTIAL = ("pronghorn", "uvicorn", "floor")
STARTS, CROWD_STARTS, QUICK_STARTS = 3, 2, 1
START_SECONDS, CONNECT_SECONDS = 0.9, 0.00025
BATCH = 500
KIB = 1024

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def read_answer(process: Process, connection: socket.socket) -> None:
    """Read one answer of the plain application to its end."""
    receive(process, connection, lambda answer: answer.endswith(PLAIN.body))


@dataclass(frozen=True)
class Idle:
    """A kind of idle connection to `app`: without a request, or after `request` and its answer."""

    name: str
    heading: str
    app: str
    exchange: Exchange | Echo
    request: bytes = b""
    read: Callable[[Process, socket.socket], None] = read_answer


@dataclass(frozen=True)
class Crowd:
    """A table of the memory for each of `count` idle connections, by kind; `at_most` is the target in bytes."""

    name: str
    title: str
    count: int
    at_most: int
    servers: tuple[str, ...]
    kinds: tuple[Idle, ...]


CROWDS = (
    Crowd(
        "idle",
        "idle connections",
        5000,
        4 * KIB,
        SERVERS,
        (
            Idle("fresh", "fresh", "bench.apps:plain", PLAIN),
            Idle("served", "after one request", "bench.apps:plain", PLAIN, REQUEST),
        ),
    ),
    Crowd(
        "ws-idle",
        "idle WebSockets",
        2000,
        6 * KIB,
        ("pronghorn", *WEBSOCKET_PEERS),
        (Idle("open", "open", "bench.apps:websocket_echo", SHORT, UPGRADE, read_upgrade),),
    ),
)


def mebibytes(value: float) -> str:
    """Bytes, formatted as MiB."""
    return f"{value / 1048576:.1f} MiB"


def kibibytes(value: float) -> str:
    """Bytes, formatted as KiB."""
    return f"{value / 1024:.2f} KiB"


def measure_start(session: Session) -> Outcome:
    """Memory of the plain application's server after its first answer."""
    columns = (Column("rss", "RSS", mebibytes), Column("pss", "PSS", mebibytes))
    title = "Memory after the first answer, plain application"
    headline = Headline(f"{title} (RSS)", "rss", mebibytes, least_is_best=True)
    outcome = Outcome("memory", title, columns, headlines=[headline])

    def memory(name: str) -> Row:
        taken = []
        for _ in range(QUICK_STARTS if session.quick else STARTS):
            with session.running(name, "bench.apps:plain") as process:
                PLAIN.check(process)
                taken.append(process.memory())
        return {"rss": middle([each.rss for each in taken]), "pss": middle([each.pss for each in taken])}

    fill(outcome, session, SERVERS, memory)
    ours, theirs = (outcome.rows.get(name, {}).get("rss") for name in ("pronghorn", "uvicorn"))
    outcome.verdicts.append(at_most("uvicorn", theirs, ours, mebibytes))
    return outcome


def fill(outcome: Outcome, session: Session, servers: Iterable[str], measure: Callable[[str], Row]) -> None:
    """Give every server its row; those that fail are left out."""
    for name in session.choose(servers, ESSENTIAL):
        try:
            outcome.rows[name] = measure(name)
        except ServerFailed as error:
            outcome.notes.append(session.say_failed(error))
        else:
            session.say(f"  {name} {', '.join(column.cell(outcome.rows[name]) for column in outcome.columns)}")


def start_seconds(session: Session) -> float:
    """The approximate time that `measure_start` takes."""
    return len(session.choose(SERVERS, ESSENTIAL)) * (QUICK_STARTS if session.quick else STARTS) * START_SECONDS


def idle_seconds(crowd: Crowd, session: Session) -> float:
    """The approximate time that `measure_idle` takes."""
    starts = len(crowd.kinds) * (QUICK_STARTS if session.quick else CROWD_STARTS)
    each = START_SECONDS + crowd.count * CONNECT_SECONDS
    return len(session.choose(crowd.servers, ESSENTIAL)) * starts * each


def measure_idle(crowd: Crowd, session: Session) -> Outcome:
    """The memory (RSS) that each connection of a crowd adds."""
    columns = [Column(kind.name, kind.heading, kibibytes) for kind in crowd.kinds]
    title = f"Memory for each of {crowd.count:,} {crowd.title} (user space)"
    outcome = Outcome(crowd.name, title, columns)
    outcome.headlines = [
        Headline(f"{title}, {kind.heading}", kind.name, kibibytes, least_is_best=True) for kind in crowd.kinds
    ]
    try:
        allow_connections(crowd.count)
    except NotEnoughFiles as error:
        outcome.notes.append(session.say_failed(error))
        return outcome

    def costs(name: str) -> Row:
        starts = range(QUICK_STARTS if session.quick else CROWD_STARTS)
        return {
            kind.name: middle([connection_cost(session, name, kind, crowd.count) for _ in starts])
            for kind in crowd.kinds
        }

    fill(outcome, session, crowd.servers, costs)
    for kind in crowd.kinds:
        ours = outcome.rows.get("pronghorn", {}).get(kind.name)
        outcome.verdicts.append(at_most(kind.heading, crowd.at_most, ours, kibibytes))
    return outcome


def connection_cost(session: Session, name: str, kind: Idle, count: int) -> float:
    """Bytes of RSS for each idle connection to a new server. Raises ServerFailed, also when the server drops one."""
    with session.running(name, kind.app) as process, ExitStack() as stack:
        for _ in range(16):
            kind.exchange.check(process)
        before = process.memory().rss
        idle: list[socket.socket] = []
        while len(idle) < count:
            batch = [stack.enter_context(process.connect()) for _ in range(BATCH)]
            if kind.request:
                for connection in batch:
                    connection.sendall(kind.request)
                for connection in batch:
                    kind.read(process, connection)
            # Connections are accepted in order: once a later one is answered, the batch has left the backlog.
            kind.exchange.check(process)
            idle += batch
        after = process.memory().rss
        if dropped := count_readable(idle):
            raise process.failure(f"dropped {dropped} idle connections")
        return (after - before) / len(idle)


def count_readable(connections: list[socket.socket]) -> int:
    """The number of readable connections: an idle connection is readable only at its end."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        return len(selector.select(0))
