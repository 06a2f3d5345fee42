"""The page of a process, which holds the cells of `layout`, and the pages of all processes of a server."""

from __future__ import annotations

import mmap
import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pronghorn.metrics import layout

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext

    from pronghorn.config import Config

Page: TypeAlias = "memoryview[int]"
"""A writable view of `layout.size()` integers of 64 bits."""

# Untyped: other systems than Linux lack some of the names.
_os: Any = os

# The cells that still count when their process has ended.
_KEPT = [
    cell
    for family in layout.FAMILIES
    if family.kind is not layout.Kind.GAUGE
    for cell in range(family.first, family.first + family.size)
]


def allocate() -> Page:
    """A page of this process alone."""
    return memoryview(bytearray(8 * layout.size())).cast("q")


def is_wanted(config: Config) -> bool:
    """Return whether the parent of a worker needs its page."""
    return bool(config.metrics_bind or config.health_path or config.drain_delay)


def allocate_shared(context: SpawnContext) -> Any:
    """Memory for the page of a process that is spawned, to be one of its arguments. `of_shared` keeps it alive."""
    return context.RawArray("q", layout.size())


def of_shared(memory: Any) -> Page:
    return memoryview(memory).cast("B").cast("q")


def create_file() -> int:
    """A descriptor of a new file for `of_file`, without a name. Linux only."""
    descriptor: int = _os.memfd_create("pronghorn-page")
    os.ftruncate(descriptor, 8 * layout.size())
    return descriptor


def of_file(descriptor: int) -> Page:
    """The page in a file, which may be closed."""
    return memoryview(mmap.mmap(descriptor, 8 * layout.size())).cast("q")


class Reading(NamedTuple):
    """The cells of all pages at one time: summed up, and by the ID of the worker and of the process."""

    total: list[int]
    workers: dict[int, list[int]]
    processes: dict[int, list[int]]


class Pages:
    """The pages of a server's processes. Counters include those of processes that have ended: they never go back.

    All methods may be called in any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[int, Page] = {}
        self._ended = [0] * layout.size()

    def add(self, pid: int, page: Page) -> None:
        with self._lock:
            self._pages[pid] = page

    def retire(self, pid: int) -> None:
        """Keep the counters of a process that has ended."""
        with self._lock:
            page = self._pages.pop(pid, None)
            if page is not None:
                for cell in _KEPT:
                    self._ended[cell] += page[cell]

    def drain(self) -> None:
        """Let the health paths of all processes report that they are to be taken out of rotation."""
        with self._lock:
            for page in self._pages.values():
                page[layout.DRAINING] = 1

    def stop(self, pid: int) -> None:
        """Tell a process that the signal to stop, which follows, comes from its parent."""
        with self._lock:
            if pid in self._pages:
                self._pages[pid][layout.STOPPED] = 1

    def read(self) -> Reading:
        with self._lock:
            workers = {pid: list(page) for pid, page in self._pages.items()}
            total = [sum(cells) for cells in zip(self._ended, *workers.values(), strict=True)]
            return Reading(total, workers, workers)
