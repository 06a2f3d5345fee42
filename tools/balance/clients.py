"""Ways to connect to a server whose answers are the process IDs of its workers."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

_REQUEST = b"GET / HTTP/1.1\r\nhost: balance\r\n\r\n"
_LAST_REQUEST = b"GET / HTTP/1.1\r\nhost: balance\r\nconnection: close\r\n\r\n"

# Seconds for one answer.
_PATIENCE = 30

# Connections, each for one request, that are open at a time.
_AT_A_TIME = 32


@dataclass
class Answers:
    """The worker of each connection, and the seconds from the connection's start to its answer."""

    workers: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


def burst(port: int, count: int) -> Answers:
    """Open all connections at once, and keep them open until each is answered."""
    with contextlib.ExitStack() as kept:
        return _exchange(_opened(port, count, kept), count, _REQUEST)


def one_by_one(port: int, count: int) -> Answers:
    """Open each connection once the one before is answered, and keep all of them open."""
    answers = Answers()
    with contextlib.ExitStack() as kept:
        for sock in _opened(port, count, kept):
            one = _exchange(iter([sock]), 1, _REQUEST)
            answers.workers += one.workers
            answers.latencies += one.latencies
    return answers


def short(port: int, count: int) -> Answers:
    """Open a connection for each of 50 times as many requests."""
    with contextlib.ExitStack() as kept:
        return _exchange(_opened(port, 50 * count, kept), _AT_A_TIME, _LAST_REQUEST)


WAYS: dict[str, Callable[[int, int], Answers]] = {"burst": burst, "one by one": one_by_one, "short": short}


def _opened(port: int, count: int, kept: contextlib.ExitStack) -> Iterator[socket.socket]:
    for _ in range(count):
        sock = kept.enter_context(socket.socket())
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(("127.0.0.1", port))
        yield sock


def _exchange(sockets: Iterator[socket.socket], limit: int, request: bytes) -> Answers:
    """Send `request` on each socket, `limit` of them at a time, and read the answers. Raises OSError."""
    answers = Answers()
    with selectors.DefaultSelector() as selector:
        waiting = 0
        while True:
            while waiting < limit and (opened := next(sockets, None)) is not None:
                selector.register(opened, selectors.EVENT_WRITE, time.perf_counter())
                waiting += 1
            if not waiting:
                return answers
            ready = selector.select(_PATIENCE)
            if not ready:
                raise TimeoutError("a connection is not answered")
            for key, events in ready:
                sock = cast(socket.socket, key.fileobj)
                if events & selectors.EVENT_WRITE:
                    sock.send(request)
                    selector.modify(sock, selectors.EVENT_READ, key.data)
                    continue
                answers.latencies.append(time.perf_counter() - key.data)
                answers.workers.append(int(sock.recv(65536).rpartition(b"\r\n\r\n")[2]))
                selector.unregister(sock)
                waiting -= 1
                if request is _LAST_REQUEST:
                    sock.close()
