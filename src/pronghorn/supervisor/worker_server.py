"""The server of a worker: it reports to the supervisor, which decides when it stops."""

from __future__ import annotations

import contextlib
import socket
from multiprocessing.connection import Connection

from pronghorn.config import Config
from pronghorn.metrics import layout
from pronghorn.process.limits import Limit
from pronghorn.server import Server
from pronghorn.supervisor.worker_messages import LimitReached, Message, Serving, encode


class WorkerServer(Server):
    """Sends its messages through `parent`."""

    def __init__(self, config: Config, parent: Connection) -> None:
        super().__init__(config)
        self._parent = parent
        if config.reload:  # a developer waits for the next worker, and a new connection is about to send its request
            self.linger = 0.1

    @property
    def drain_delay(self) -> float:
        # The parent waits before it stops its workers. A service manager may send SIGTERM to all processes at once.
        delay = super().drain_delay
        return 0.0 if not delay or self.server_state.page[layout.STOPPED] else delay

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._send(Serving())

    def on_limit(self, limit: Limit) -> None:
        # Continue to serve: the parent stops this process once another one serves in its place.
        self._send(LimitReached(limit))

    def _send(self, message: Message) -> None:
        with contextlib.suppress(OSError):
            self._parent.send_bytes(encode(message))
