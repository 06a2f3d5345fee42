"""Memory of a server after its first answer, and of one idle connection."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pronghorn.bench.outcome import Row
from pronghorn.bench.process import Process
from pronghorn.bench.session import Session

from .exchange import UPGRADE, Echo, Exchange, read_upgrade, receive
from .samples import Samples
from .scenarios import COMPETITORS, PLAIN, SHORT, WEBSOCKET_COMPETITORS, without

SERVERS = ("pronghorn", *COMPETITORS, "floor", "nginx")
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


def mebibytes(value: float) -> str:
    """Bytes, formatted as MiB."""
    return f"{value / 1048576:.1f} MiB"


def kibibytes(value: float) -> str:
    """Bytes, formatted as KiB."""
    return f"{value / 1024:.2f} KiB"


def memory(session: Session, name: str) -> Row:
    """Memory of the plain application's server after its first answer."""
    with session.running(name, "bench.apps:plain") as process:
        PLAIN.check(process)
        return vars(process.memory())


def crowd(name: str, what: str, count: int, limit: int, servers: Sequence[str], *kinds: Idle) -> Samples:
    """A table of the memory (RSS) that each of `count` idle connections adds, by kind."""
    title = f"Memory for each of {count:,} {what} (user space)"

    def costs(session: Session, server: str) -> Row:
        return {kind.name: connection_cost(session, server, kind, count) for kind in kinds}

    return Samples(
        name,
        title,
        {kind.name: kind.heading for kind in kinds},
        kibibytes,
        servers,
        costs,
        {kind.name: f"{title}, {kind.heading}" for kind in kinds},
        starts=2,
        quick_starts=1,
        seconds_each=len(kinds) * (START_SECONDS + count * CONNECT_SECONDS),
        limit=limit,
        connections=count,
    )


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


MEMORY = (
    Samples(
        "memory",
        "Memory after the first answer, plain application",
        {"rss": "RSS", "pss": "PSS"},
        mebibytes,
        SERVERS,
        memory,
        {"rss": "Memory after the first answer, plain application (RSS)"},
        starts=3,
        quick_starts=1,
        seconds_each=START_SECONDS,
    ),
    crowd(
        "idle",
        "idle connections",
        5000,
        4 * KIB,
        tuple(without("m0serve", names=SERVERS)),  # it has 1,024 connections at most
        Idle("fresh", "fresh", "bench.apps:plain", PLAIN),
        Idle("served", "after one request", "bench.apps:plain", PLAIN, REQUEST),
    ),
    crowd(
        "ws-idle",
        "idle WebSockets",
        2000,
        6 * KIB,
        ("pronghorn", *without("m0serve", names=WEBSOCKET_COMPETITORS)),
        Idle("open", "open", "bench.apps:websocket_echo", SHORT, UPGRADE, read_upgrade),
    ),
)
