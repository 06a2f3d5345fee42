"""An even distribution of connections over the workers that accept from the same sockets.

Each worker shows the others the number of its open connections, in memory that the parent has allocated. One that is
ahead of another lets the others accept first.
"""

from __future__ import annotations

import os
from collections.abc import Sized

from pronghorn import shared_memory
from pronghorn.shared_memory import Memory

# Connections by which a worker may be ahead of another, and one more for each of these that the other has. Less would
# only make clients wait until the other has woken up.
_LEAD = 4
_CONNECTIONS_PER_LEAD = 8

# Times that a worker waits for one that is behind and does not accept: it may be blocked. The next connection waits
# only once.
_MAX_WAITS = 20

# After them it accepts one connection, and one more for each of these that it is ahead.
_AHEAD_PER_SURPLUS = 32

# More than any number of connections: such a worker is never behind another.
_ABSENT = 1 << 62

PATIENCE = 0.001
"""Seconds for which a worker that is ahead leaves connections to the others."""


def allocate(workers: int) -> Memory:
    """Memory for an empty table with room for a number of workers. Raises OSError."""
    memory = shared_memory.allocate(2 * workers)
    cells = shared_memory.cells(memory)
    for row in range(workers):
        cells[workers + row] = _ABSENT
    return memory


class Table:
    """The process IDs of workers, and their numbers of connections. The parent adds and removes them; each worker
    writes its own number.
    """

    def __init__(self, memory: Memory) -> None:
        cells = shared_memory.cells(memory)
        rows = len(cells) // 2
        self._pids, self._counts = cells[:rows], cells[rows:]

    def add(self, pid: int) -> None:
        """Add a worker that does not accept yet. One for which there is no room accepts without regard to others."""
        row = self.row_of(0)
        if row is not None:
            self._counts[row] = _ABSENT
            self._pids[row] = pid

    def remove(self, pid: int) -> None:
        row = self.row_of(pid)
        if row is not None:
            self._counts[row] = _ABSENT
            self._pids[row] = 0

    def row_of(self, pid: int) -> int | None:
        pids = self._pids.tolist()
        return pids.index(pid) if pid in pids else None

    def write(self, row: int, count: int) -> None:
        self._counts[row] = count

    def leave(self, row: int) -> None:
        """The worker accepts no more in its turn."""
        self._counts[row] = _ABSENT

    def least(self) -> int:
        """The number of connections of the worker with the fewest."""
        return min(self._counts)


class Share:
    """The share of the worker `pid` in the connections of a table's workers: `connections`, and those being set up."""

    def __init__(self, table: Table, connections: Sized, pid: int | None = None) -> None:
        self._table = table
        self._pid = os.getpid() if pid is None else pid
        self._row: int | None = None
        self._counted = [connections]
        self._is_over = False
        self._least = 0
        self._waits = 0

    def join(self, connecting: Sized) -> None:
        """Begin to accept. `connecting` are the connections of one listener that are being set up."""
        self._counted.append(connecting)
        self.update()

    def leave(self) -> None:
        """Accept without regard to the others from now on, and let none of them wait for this worker."""
        self._is_over = True
        if self._row is not None:
            self._table.leave(self._row)

    def update(self) -> None:
        """Show the others the number of connections."""
        self._write()

    def allowance(self) -> int:
        """The number of connections to accept now. If it is 0, ask again in PATIENCE seconds."""
        own = self._write()
        if self._is_over or self._row is None:
            return _ABSENT
        least = self._table.least()
        if least != self._least:
            self._least, self._waits = least, 0
        allowed = least + least // _CONNECTIONS_PER_LEAD + _LEAD + 1 - own
        if allowed > 0:
            self._waits = 0
            return allowed
        if self._waits < _MAX_WAITS:
            self._waits += 1
            return 0
        self._waits -= 1
        return 1 + (own - least) // _AHEAD_PER_SURPLUS

    def _write(self) -> int:
        own = sum(map(len, self._counted))
        if self._row is None:  # the parent may add this worker a moment after its start
            self._row = self._table.row_of(self._pid)
        if self._row is not None and not self._is_over:
            self._table.write(self._row, own)
        return own
