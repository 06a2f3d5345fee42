"""The pages of worker threads. Their process has a page of its own, for what belongs to none of them."""

from __future__ import annotations

import os

from pronghorn.metrics import layout
from pronghorn.metrics.page import Pages, Reading, allocate
from pronghorn.metrics.recorder import Recorder


class ThreadPages(Pages):
    """Pages of threads, by their IDs."""

    def __init__(self) -> None:
        super().__init__()
        self._page = allocate()
        self._recorder = Recorder(self._page)

    def read(self) -> Reading:
        """Read all pages. Called by one thread, that of the metrics listener."""
        self._recorder.process()
        reading = super().read()
        process = list(self._page)
        total = [sum(cells) for cells in zip(reading.total, process, strict=True)]
        total[layout.CPU] = process[layout.CPU]  # which includes the threads
        return Reading(total, reading.workers, {os.getpid(): process}, reading.cpu)
