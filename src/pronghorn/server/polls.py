"""The system's notification of readable sockets, with the interface of `select.epoll` (see `_wire._interfaces`)."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pronghorn._wire._interfaces import Poll

# Type checkers know only what one platform has.
_select: Any = select


class Kqueue:
    """`select.epoll` for macOS and the BSDs, for input alone."""

    def __init__(self) -> None:
        self._kqueue = _select.kqueue()

    def fileno(self) -> int:
        return int(self._kqueue.fileno())

    def register(self, fd: int, events: int) -> None:
        self._change(fd, _select.KQ_EV_ADD)

    def unregister(self, fd: int) -> None:
        self._change(fd, _select.KQ_EV_DELETE)

    def poll(self, timeout: int, limit: int) -> list[tuple[int, int]]:
        return [(event.ident, event.flags) for event in self._kqueue.control(None, limit, timeout)]

    def close(self) -> None:
        self._kqueue.close()

    def _change(self, fd: int, flags: int) -> None:
        self._kqueue.control([_select.kevent(fd, _select.KQ_FILTER_READ, flags)], 0)


def _system_poll() -> Callable[[], Poll] | None:
    if hasattr(select, "kqueue"):
        return Kqueue
    return getattr(select, "epoll", None)


open_poll = _system_poll()
"""Opens the system's poll object, and raises OSError at a limit; None if it has neither epoll nor kqueue."""
