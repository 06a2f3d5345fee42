"""A client of HTTP/2 that sends and returns frames."""

import contextlib
import socket

from tests.support.http2 import PREFACE, Frame, settings
from tests.support.server import PATIENCE


class Raw:
    """A client that sends and receives frames. The preface is sent, and settings are acknowledged."""

    def __init__(self, address, timeout=PATIENCE):
        self.socket = socket.create_connection(address, timeout=timeout)
        self._buffer = b""
        self.socket.sendall(PREFACE + settings())

    def close(self):
        self.socket.close()

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def read(self):
        """The next frame; None at the end of the stream."""
        while len(self._buffer) < 9 or len(self._buffer) < 9 + int.from_bytes(self._buffer[:3], "big"):
            received = self.socket.recv(65536)
            if not received:
                assert not self._buffer
                return None
            self._buffer += received
        size = int.from_bytes(self._buffer[:3], "big")
        raw, self._buffer = self._buffer[: 9 + size], self._buffer[9 + size :]
        return Frame(raw[3], raw[4], int.from_bytes(raw[5:9], "big"), raw[9:])

    def read_until(self, kind, stream=None):
        """The next frame of `kind`."""
        while (each := self.read()) is not None:
            if each.kind == kind and stream in (None, each.stream):
                return each
        return None


@contextlib.contextmanager
def raw(server):
    client = Raw(("127.0.0.1", server.port))
    with contextlib.closing(client):
        yield client
