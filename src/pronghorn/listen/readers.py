"""Socket readers that notice a connection's reset on every event loop.

A libuv loop stops polling a descriptor once epoll has reported an error on it, after one call of its reader. That call
may only have read the data before the reset, and the reader would wait forever.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Callable
from typing import Any

# Loops on systems without epoll keep polling.
_epoll: Any = getattr(select, "epoll", None)


class Readers:
    """`add_reader` and `remove_reader` of `loop`; the callback is called again and again while its socket has an error.

    The system watches for errors: a healthy connection costs no call. The epoll descriptor is open only while readers
    are registered.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._readers: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self._errors: Any = None

    def add(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        self._loop.add_reader(fd, callback, *args)
        if _epoll is not None:
            self._readers[fd] = (callback, args)
            # If a limit of the system prevents it, the connection relies on its deadlines instead.
            with contextlib.suppress(OSError):
                self._watch(fd)

    def remove(self, fd: int) -> None:
        if self._readers.pop(fd, None) is not None and self._errors is not None:
            with contextlib.suppress(OSError):  # it is not registered
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
        # epoll always reports errors, so no events are requested.
        self._errors.register(fd, 0)

    def _report(self) -> None:
        for fd, _ in self._errors.poll(0):
            # One callback each: an exception in one does not affect the others.
            self._loop.call_soon(self._call, fd)

    def _call(self, fd: int) -> None:
        callback, args = self._readers.get(fd, (None, ()))
        if callback is not None:
            callback(*args)
