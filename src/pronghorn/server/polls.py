"""The system's notification of readable sockets, with the interface of `select.epoll` (see `_wire._interfaces`)."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pronghorn._wire._interfaces import Poll


class Kqueue:
    """`select.epoll` for macOS and the BSDs, for input alone."""

    def __init__(self) -> None:
        self._kqueue = select.kqueue()

    def fileno(self) -> int:
        return self._kqueue.fileno()

    def register(self, fd: int, events: int) -> None:
        self._change(fd, select.KQ_EV_ADD)

    def unregister(self, fd: int) -> None:
        self._change(fd, select.KQ_EV_DELETE)

    def poll(self, timeout: int, limit: int) -> list[tuple[int, int]]:
        return [(event.ident, event.flags) for event in self._kqueue.control(None, limit, timeout)]

    def close(self) -> None:
        self._kqueue.close()

    def _change(self, fd: int, flags: int) -> None:
        self._kqueue.control([select.kevent(fd, select.KQ_FILTER_READ, flags)], 0)


open_poll: Callable[[], Poll] | None
if sys.platform == "linux":
    open_poll = select.epoll
else:
    open_poll = Kqueue if hasattr(select, "kqueue") else None
