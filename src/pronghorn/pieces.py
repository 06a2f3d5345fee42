"""Reading the body of a client that sends much, in pieces that stay in the processor's cache."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pronghorn.protocol import HTTPProtocol

# Bytes that a loop has read at once where it pays to read less; and then reads.
LARGE = 65536


class Pieces(asyncio.BufferedProtocol):
    """Reads for `protocol` from here on, into a buffer that all connections share: what it holds is taken at once."""

    __slots__ = ("_buffer", "_protocol")

    def __init__(self, protocol: HTTPProtocol, buffer: memoryview) -> None:
        self._protocol = protocol
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.connection.receive(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
