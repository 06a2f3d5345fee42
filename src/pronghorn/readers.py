"""Readers of sockets that hear of a connection's reset on every loop.

A loop of libuv's polls a descriptor no more once epoll has reported an error on it, having called its reader once. That
reader has taken what came before the reset, and would wait for the rest for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Callable
from typing import Any

# Where it is missing, a loop goes on polling.
_epoll: Any = getattr(select, "epoll", None)


class Readers:
    """`add_reader` and `remove_reader` of `loop`, whose callback is called for as long as its socket has an error.

    The system watches for errors by itself: a healthy connection costs no call, and without any there is no descriptor.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._readers: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self._errors: Any = None

    def add(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        self._loop.add_reader(fd, callback, *args)
        if _epoll is not None:
            self._readers[fd] = (callback, args)
            # Where the system has no room for it, the connection is served without, and has its deadlines.
            with contextlib.suppress(OSError):
                self._watch(fd)

    def remove(self, fd: int) -> None:
        if self._readers.pop(fd, None) is not None and self._errors is not None:
            with contextlib.suppress(OSError):  # it is not watched
                self._errors.unregister(fd)
            if not self._readers:
                self._loop.remove_reader(self._errors.fileno())
                self._errors.close()
                self._errors = None
        self._loop.remove_reader(fd)

    def _watch(self, fd: int) -> None:
        if self._errors is None:
            self._errors = _epoll()
            self._loop.add_reader(self._errors.fileno(), self._report)
        # Errors are reported without being asked for.
        self._errors.register(fd, 0)

    def _report(self) -> None:
        for fd, _ in self._errors.poll(0):  # each has a call of its own, so that one that raises keeps none waiting
            self._loop.call_soon(self._call, fd)

    def _call(self, fd: int) -> None:
        callback, args = self._readers.get(fd, (None, ()))
        if callback is not None:
            callback(*args)
