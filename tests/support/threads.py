"""Servers in threads of this process, for tests of the benchmarks' checks and loads."""

from __future__ import annotations

# Imported now: if a loop's thread imported it during a fork, the child could inherit its lock in the wrong state.
import concurrent.futures.thread  # noqa: F401
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from bench.servers import SERVERS
from pronghorn.bench.process import Process, ServerFailed
from pronghorn.bench.servers import Server
from tests.support.server import thread


@dataclass
class Listening:
    """The attributes of a process that `Exchange.check` uses."""

    port: int
    server: Server = SERVERS["pronghorn"]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def failure(self, reason: str) -> ServerFailed:
        return ServerFailed(reason)


@contextlib.contextmanager
def serving(app: Any, name: str = "pronghorn", **options: Any) -> Iterator[Process]:
    """Serve `app` in a thread of this process, as the server `name`."""
    with thread(app, **options) as server:
        yield cast(Process, Listening(server.port, SERVERS[name]))


@contextlib.contextmanager
def websockets_serving(handler: Callable[[Any], None], **options: Any) -> Iterator[int]:
    """Serve `handler` with the websockets library; yield the port."""
    server = pytest.importorskip("websockets.sync.server").serve(handler, "127.0.0.1", 0, **options)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()
        serving.join(30)


def echo(connection: Any) -> None:
    for message in connection:
        connection.send(message)
