"""A server in this process, as the metrics listener shows it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pronghorn.metrics import layout, page
from pronghorn.metrics.page import Pages

if TYPE_CHECKING:
    from pronghorn.server import Server


class ServerProcess:
    """Shows `server`, which has no other processes. See `collector.Server`."""

    def __init__(self, server: Server) -> None:
        self.pages = Pages()
        self._server = server
        self._page = server.server_state.page = page.allocate()
        self._began = time.monotonic()
        self.pages.add(os.getpid(), self._page)

    def phase(self) -> str:
        if self._page[layout.DRAINING] or self._server.should_exit:
            return "draining"
        return "ready" if self._server.started else "starting"

    def workers(self) -> list[tuple[int, str, float]]:
        return [(os.getpid(), self.phase(), time.monotonic() - self._began)]

    def worker_events(self) -> tuple[int, Mapping[str, int]]:
        return 0, {}
