"""The service manager that started this process, as systemd: told about its state over a socket (sd_notify(3)).

    STARTING          ──ready──> READY
    READY, RELOADING  ──reloading──> RELOADING ──ready──> READY
    any state         ──stopping, hand_over──> STOPPING

A call that does not fit the state does nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from enum import Enum, auto

from pronghorn.deadlines import FOREVER

# Seconds to wait for a service manager that does not read its socket.
_PATIENCE = 0.5

_log = logging.getLogger("pronghorn.error")


class State(Enum):
    STARTING = auto()
    READY = auto()
    RELOADING = auto()
    STOPPING = auto()


class ServiceManager:
    """Sends to `address`, a path, or a name after "@" (unix(7)); without one, every method does nothing.

    `watchdog` is the number of seconds after which the service manager restarts a process that has not called `beat`.
    """

    def __init__(self, address: str = "", watchdog: float = FOREVER) -> None:
        self.state = State.STARTING
        self._address = address
        self._interval = watchdog / 2
        self._next_beat = 0.0 if address else FOREVER
        self._status = ""
        self._has_failed = False

    def ready(self, status: str) -> None:
        """The server serves, for the first time or after `reloading`."""
        if self.state in (State.STARTING, State.RELOADING):
            self.state = State.READY
            self._status = status
            self._send("READY=1", f"STATUS={status}")

    def report(self, status: str) -> None:
        """A line for `systemctl status`; sent if it is new."""
        if self.state is not State.STOPPING and status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins, which `ready` ends."""
        if self.state in (State.READY, State.RELOADING):
            self.state = State.RELOADING
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        if self.state is not State.STOPPING:
            self.state = State.STOPPING
            self._send("STOPPING=1", "STATUS=stopping")

    def hand_over(self, pid: int) -> None:
        """Another process takes the place of this one, and talks to the service manager from now on."""
        self._send(f"MAINPID={pid}")
        self.state = State.STOPPING
        self._next_beat = FOREVER

    def beat(self) -> float:
        """Tell the watchdog that this process lives, if it is time; return the time for the next call."""
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + self._interval
            if self._interval != FOREVER:
                self._send("WATCHDOG=1")
        return self._next_beat

    def _send(self, *assignments: str) -> None:
        if sys.platform != "win32" and self._address:
            address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                    sock.settimeout(_PATIENCE)
                    sock.sendto("\n".join(assignments).encode(), address)
            except OSError as error:
                if not self._has_failed:
                    self._has_failed = True
                    _log.warning("Cannot notify the service manager at NOTIFY_SOCKET=%s: %s", self._address, error)


def from_environment() -> ServiceManager:
    """The service manager that the environment names. Removes it from there: a child process of the application must
    not speak for this one.
    """
    address = os.environ.pop("NOTIFY_SOCKET", "")
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID") or str(os.getpid())
    if not microseconds.isdecimal() or not int(microseconds) or pid != str(os.getpid()):
        return ServiceManager(address)
    return ServiceManager(address, int(microseconds) / 1e6)
