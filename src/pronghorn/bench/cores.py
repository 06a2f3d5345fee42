"""The cores for the server, the load and this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """One core for the server, one for the load; both None without two cores, or where processes cannot be pinned."""

    server: int | None = None
    load: int | None = None
    rest: frozenset[int] = frozenset()

    def leave(self) -> None:
        """Move this process off the server's core: to the cores that are left, or to the load's."""
        if sys.platform == "linux" and self.load is not None:
            os.sched_setaffinity(0, self.rest or {self.load})

    def __str__(self) -> str:
        if self.server is None:
            return "nothing is pinned to a core"
        return f"server pinned to core {self.server}, load to core {self.load}"


def choose() -> Cores:
    """The cores of this machine that this process may use."""
    if sys.platform != "linux":
        return Cores()
    usable = sorted(os.sched_getaffinity(0))
    server, *others = usable
    if not others:
        return Cores()
    load = next((core for core in others if core not in siblings(server)), others[0])
    return Cores(server, load, frozenset(others) - {load} - siblings(server))


def siblings(core: int) -> set[int]:
    """The logical cores of the same physical core, itself included."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return {core}
    return set(numbers(text.strip().split(",")))


def numbers(ranges: Iterable[str]) -> Iterable[int]:
    """Expand ranges: 0-2 and 5 are 0, 1, 2, 5."""
    for each in ranges:
        first, _, last = each.partition("-")
        yield from range(int(first), int(last or first) + 1)
