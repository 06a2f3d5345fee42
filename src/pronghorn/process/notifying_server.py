"""The server of a service that is one process: it tells the service manager when it serves, reloads and stops."""

from __future__ import annotations

import asyncio
import socket
import time

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.process.service_manager import ServiceManager
from pronghorn.server import Server

_STATUS = "1 process"


class NotifyingServer(Server):
    """Also feeds the watchdog from the event loop, until the shutdown has ended: a blocked loop is restarted."""

    def __init__(self, config: Config, manager: ServiceManager) -> None:
        super().__init__(config)
        self._manager = manager
        self._beat: asyncio.TimerHandle | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._manager.ready(_STATUS)
            self._feed_watchdog()

    def reload(self) -> None:
        self._manager.reloading()
        try:
            super().reload()
        finally:
            self._manager.ready(_STATUS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._manager.stopping()
        try:
            await super().shutdown(sockets)
        finally:
            if self._beat is not None:
                self._beat.cancel()

    def _feed_watchdog(self) -> None:
        due = self._manager.beat()
        if due != FOREVER:
            delay = due - time.monotonic()
            self._beat = asyncio.get_running_loop().call_later(max(0.0, delay), self._feed_watchdog)
