"""The interface between a connection, of any protocol, and the event loop that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import PIECE_SIZE

from .kernels import receive_large, receive_now

if TYPE_CHECKING:
    from collections.abc import Iterable


# A read of this many bytes or more is large. The next one is probably large too: it is another part of a body.
LARGE_READ = 8192


class Endpoint:
    """One end of a connection, called from code that also serves other connections."""

    __slots__ = ("_reads_much",)

    _reads_much: bool

    def read(self, fd: int) -> bytes | None:
        """Read from the socket: b"" at its end, None if there is nothing to read. Raises OSError."""
        size = self.read_size()
        data = receive_large(fd, size) if self._reads_much else receive_now(fd, size)
        self._reads_much = data is not None and len(data) >= LARGE_READ
        return data

    def read_size(self) -> int:
        """The number of bytes to read at a time."""
        return PIECE_SIZE

    def receive(self, data: bytes) -> None:
        """Process bytes from the client."""
        raise NotImplementedError

    def leave_inbox(self, failed: bool) -> None:
        """Leave the end of the stream to the transport or, if reading has `failed`, abort it."""
        raise NotImplementedError

    def leave_outbox(self) -> None:
        """Write the output at the end of the event-loop iteration."""
        raise NotImplementedError

    def on_tick(self, now: int) -> None:
        """Act on deadlines that have passed. Called once a second."""
        raise NotImplementedError

    def crash(self, error: Exception) -> None:
        """Report `error`, raised by another method here, and end this connection alone. Raises nothing."""
        raise NotImplementedError


def sweep(endpoints: Iterable[Endpoint], now: int) -> None:
    """Let each of `endpoints` act on its deadlines."""
    for endpoint in endpoints:
        try:
            endpoint.on_tick(now)
        except Exception as error:
            endpoint.crash(error)
