"""Socket readers of the TLS engine. The inbox serves them together, and notices a reset on every event loop.

A libuv loop stops polling a descriptor once epoll has reported an error on it, after one call of its reader. That call
may only have read the data before the reset, and the reader would wait forever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pronghorn._wire.inbox import Inbox, Reader


class Readers:
    """`add_reader` and `remove_reader` of `loop`, by `inbox` and its `reader_class`.

    The loop reads itself without an inbox, or at a limit of the system: then a connection relies on its deadlines.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, inbox: Inbox | None, reader_class: type[Reader]) -> None:
        self._loop = loop
        self._inbox = inbox
        self._reader_class = reader_class
        self._readers: dict[int, Reader] = {}

    def add(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        self.remove(fd)
        if self._inbox is None or not self._add_to_inbox(self._inbox, fd, callback, args):
            self._loop.add_reader(fd, callback, *args)

    def remove(self, fd: int) -> bool:
        reader = self._readers.pop(fd, None)
        if reader is None or self._inbox is None:
            return self._loop.remove_reader(fd)
        reader.cancel()
        self._inbox.remove(fd)
        return True

    def _add_to_inbox(self, inbox: Inbox, fd: int, callback: Callable[..., object], args: tuple[Any, ...]) -> bool:
        reader = self._reader_class(callback, args, self._report)
        try:
            inbox.add(fd, reader)
        except OSError:
            return False
        self._readers[fd] = reader
        return True

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "Exception in a reader of a socket", "exception": error})
