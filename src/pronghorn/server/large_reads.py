"""Read large uploads in pieces that stay in the CPU cache."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pronghorn._wire.http1.connection import Connection

# Once a single read of an event loop has this many bytes, it pays to read pieces of this size instead.
LARGE = 65536


class Pieces(asyncio.BufferedProtocol):
    """Reads into a buffer that all connections share, as `connection` consumes its content at once. Other events of
    the transport go to `protocol`.
    """

    __slots__ = ("_buffer", "_connection", "_protocol")

    def __init__(self, protocol: asyncio.Protocol, connection: Connection, buffer: memoryview) -> None:
        self._protocol = protocol
        self._connection = connection
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.receive(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
