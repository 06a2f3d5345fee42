"""A stand-in for systemd: it receives what a service tells it."""

from __future__ import annotations

import contextlib
import socket
import time

from tests.support.server import PATIENCE


class ServiceManager:
    """The socket at `path`, and everything received there."""

    def __init__(self, path: str) -> None:
        self.environment = {"NOTIFY_SOCKET": path}
        self.received: list[str] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(PATIENCE)
        self._sock.bind(path)

    def wait_for(self, assignment: str) -> list[str]:
        """Wait for a message that contains `assignment`; return its lines."""
        while True:
            lines = self._sock.recv(4096).decode().split("\n")
            self.received += lines
            if assignment in lines:
                return lines

    def wait_for_silence(self, seconds: float) -> None:
        """Wait until nothing is received for so many seconds."""
        self._sock.settimeout(seconds)
        end = time.monotonic() + PATIENCE
        with contextlib.suppress(TimeoutError):
            while self._sock.recv(4096):
                assert time.monotonic() < end

    def close(self) -> None:
        self._sock.close()
