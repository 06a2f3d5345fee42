"""The page of a process, which holds the cells of `layout`, and the pages of all processes of a server."""

from __future__ import annotations

import mmap
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pronghorn import shared_memory
from pronghorn.metrics import layout
from pronghorn.shared_memory import Memory

if TYPE_CHECKING:
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


def allocate_shared() -> Memory:
    """Memory for the page of a process that is spawned."""
    return shared_memory.allocate(layout.size())


def of_shared(memory: Memory) -> Page:
    return shared_memory.cells(memory)


def create_file() -> int:
    """A descriptor of a new file for `of_file`, without a name. Linux only."""
    descriptor: int = _os.memfd_create("pronghorn-page")
    os.ftruncate(descriptor, 8 * layout.size())
    return descriptor


def of_file(descriptor: int) -> Page:
    """The page in a file, which may be closed."""
    return memoryview(mmap.mmap(descriptor, 8 * layout.size())).cast("q")


class Reading(NamedTuple):
    """The cells of all pages at one time: summed up, and by the ID of the worker and of the process. `cpu` is the cell
    CPU, summed up by slot.
    """

    total: list[int]
    workers: dict[int, list[int]]
    processes: dict[int, list[int]]
    cpu: dict[int, int]


class Pages:
    """The pages of a server's processes. Counters include those of processes that have ended: they never go back.

    The slot of a process is a small number, which its successor takes over.

    All methods may be called in any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[int, Page] = {}
        self._slots: dict[int, int] = {}
        self._ended = [0] * layout.size()
        self._ended_cpu: Counter[int] = Counter()

    def add(self, pid: int, page: Page, slot: int = 1) -> None:
        with self._lock:
            self._pages[pid] = page
            self._slots[pid] = slot

    def retire(self, pid: int) -> None:
        """Keep the counters of a process that has ended."""
        with self._lock:
            page = self._pages.pop(pid, None)
            if page is not None:
                self._ended_cpu[self._slots.pop(pid)] += page[layout.CPU]
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
            cpu = self._ended_cpu.copy()
            for pid, cells in workers.items():
                cpu[self._slots[pid]] += cells[layout.CPU]
        total = [sum(cells) for cells in zip(self._ended, *workers.values(), strict=True)]
        return Reading(total, workers, workers, cpu)
