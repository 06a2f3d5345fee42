"""Records what one process does, as far as the wire does not count it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

from pronghorn._wire.kernels import Cells
from pronghorn.errors import HTTP2Error, ProtocolError
from pronghorn.http2_constants import ENHANCE_YOUR_CALM
from pronghorn.metrics import layout
from pronghorn.metrics.layout import REASONS
from pronghorn.process import memory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pronghorn.metrics.page import Page

# The reason for each status of a refusal; any other is `malformed`.
_REASONS = {
    408: "timeout",
    413: "body_too_large",
    414: "target_too_long",
    426: "unsupported",
    431: "head_too_large",
    501: "unsupported",
    505: "version",
}


class Connection(Protocol):
    """The part of a connection that is counted."""

    def is_idle(self) -> bool: ...


class Recorder:
    """Records on `page`. Raises nothing: a figure that the system does not give stays 0."""

    def __init__(self, page: Page) -> None:
        self._page = page
        # A process that was forked inherits its parent's numbers.
        self._collections = _collections()

    def count(self, cell: int, amount: int = 1) -> None:
        self._page[cell] += amount

    def refused(self, error: ProtocolError | HTTP2Error) -> None:
        """Count a request or a connection of HTTP/2 that was refused."""
        if isinstance(error, ProtocolError):
            reason = _REASONS.get(error.status, "malformed")
        else:
            reason = "http2_flood" if error.code == ENHANCE_YOUR_CALM else "http2"
        self.count(layout.REFUSED + REASONS.index(reason))

    def lag(self, seconds: float) -> None:
        """Record that a timer of the event loop was `seconds` late."""
        seconds = max(0.0, seconds)
        Cells(self._page).observe(layout.LAG, seconds)
        self._page[layout.LATEST_LAG] = round(seconds * 1e9)

    def connections(self, http1: Iterable[Connection], http2: Iterable[Connection], streams: int) -> None:
        """Record the open connections and streams."""
        page = self._page
        for index, each in enumerate((http1, http2)):
            idle = [connection.is_idle() for connection in each]
            page[layout.CONNECTIONS + 2 * index] = idle.count(False)
            page[layout.CONNECTIONS + 2 * index + 1] = idle.count(True)
        page[layout.STREAMS] = streams

    def thread(self) -> None:
        """Record what this thread uses."""
        self._page[layout.CPU] = time.thread_time_ns()

    def process(self) -> None:
        """Record what this process uses."""
        page = self._page
        page[layout.CPU] = time.process_time_ns()
        with contextlib.suppress(OSError):  # not on every system
            page[layout.MEMORY] = memory.resident()
        page[layout.DESCRIPTORS] = _open_descriptors()
        for generation, (now, before) in enumerate(zip(_collections(), self._collections, strict=True)):
            page[layout.COLLECTIONS + generation] = now - before


def _collections() -> list[int]:
    return [stats["collections"] for stats in gc.get_stats()[:3]]


def _open_descriptors() -> int:
    count = 0
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            # Since Linux 6.2 the size of the folder is the number; counting the entries takes longer.
            folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
            count = os.stat(folder).st_size if sys.platform == "linux" else 0
            count = count or len(os.listdir(folder))
    return count
