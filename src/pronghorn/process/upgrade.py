"""SIGUSR2: a new program takes over the listening sockets of this one, which then stops gracefully.

The old program starts the new one with its own arguments and environment. The new one inherits the sockets, and one end
of a pair of sockets, where it says once that it serves. Until then the listening sockets belong to the old one: if the
new one fails, the old one continues as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from types import FrameType
from typing import TYPE_CHECKING, Any

from pronghorn import deadlines
from pronghorn.deadlines import FOREVER
from pronghorn.errors import StartupError
from pronghorn.listen import sockets
from pronghorn.listen.places import Place
from pronghorn.logging import log
from pronghorn.process import init, pids
from pronghorn.signal_handlers import reset_after_fork

if TYPE_CHECKING:
    import subprocess

SIGNAL = "SIGUSR2"

# The older program and the inherited descriptors, as JSON: {"pid": 4, "socket": 5, "sockets": [[USE, 6], …]}.
_VARIABLE = "PRONGHORN_HANDOVER"

_SERVES = b"S"

# Seconds for the system to report the end of a process whose descriptors are closed.
_REAP_TIMEOUT = 1.0

_log = logging.getLogger("pronghorn.error")


class Program:
    """The running program as it was started: its command, environment and working directory.

    To be created before anything changes them. Takes what an older program has handed over, whose process ID is
    `predecessor`.
    """

    def __init__(self) -> None:
        handed = os.environ.pop(_VARIABLE, None)
        self.command = [sys.executable, *sys.orig_argv[1:]]
        # The next program is watched once it is the main one.
        self.environment = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"}
        self.directory = _working_directory()
        self.predecessor: int | None = None
        self._socket: socket.socket | None = None
        self._steps: list[Callable[[], object]] = []
        if handed is not None:
            import json  # only needed here

            described = json.loads(handed)
            self.predecessor = described["pid"]
            self._socket = socket.socket(fileno=described["socket"])
            self._socket.set_inheritable(False)
            uses = [(sockets.Use(Place(*place), *rest), number) for (place, *rest), number in described["sockets"]]
            sockets.offer([(use, socket.socket(fileno=number)) for use, number in uses])

    def on_taking_over(self, step: Callable[[], object]) -> None:
        """Call `step` once this program has taken the place of an older one. Its exceptions are logged."""
        self._steps.append(step)

    def announce(self) -> None:
        """Tell the older program, if there is one, that this one serves. From then on, the sockets belong to it."""
        if self._socket is None or self.predecessor is None:
            return
        has_heard = True
        with self._socket:
            try:
                self._socket.send(_SERVES)
            except OSError:
                has_heard = False
        self._socket = None
        if not has_heard:
            _log.warning("The program that started this one does not wait for it any more.")
            if pids.exists(self.predecessor):  # it has given up: its sockets and files are its own
                return
        sockets.take_over()
        for step in self._steps:
            try:
                step()
            except StartupError as error:
                log.report(error)
            except Exception as error:
                _log.error("After the upgrade: %r", error)


class State(Enum):
    """The state of an upgrade."""

    IDLE = auto()
    """No new program is starting."""
    STARTING = auto()
    """A new program has been started and does not serve yet."""
    DONE = auto()
    """The new program serves: this one has to stop."""


class Upgrade:
    """Starts new programs in place of `program`, one at a time. A new one has `timeout` seconds until it serves.

    Each of `on_done` is called with the process ID of the new program, once that has taken this one's place.

    `step` does all the work and never raises; call it once in a while, and whenever one of `waitables` is ready.
    """

    def __init__(self, program: Program, timeout: float | None) -> None:
        self.state = State.IDLE
        self.deadline = FOREVER
        self.on_done: list[Callable[[int], object]] = []
        self._is_over = False
        self._failed: list[subprocess.Popen[bytes]] = []
        self._program = program
        self._timeout = timeout
        self._is_requested = False
        self._process: subprocess.Popen[bytes]
        self._successor: socket.socket

    def request(self) -> None:
        """Let the next `step` start a new program. May be called in a signal handler."""
        self._is_requested = True

    def waitables(self) -> list[Any]:
        """The objects that become ready when `step` must be called."""
        return [self._successor] if self.state is State.STARTING else []

    def replaces_another(self) -> bool:
        """Return whether an older program started this one."""
        return self._program.predecessor is not None

    def on_taking_over(self, step: Callable[[], object]) -> None:
        """See `Program.on_taking_over`."""
        self._program.on_taking_over(step)

    def announce(self) -> None:
        """Tell an older program that this one serves."""
        self._program.announce()

    def is_done(self) -> bool:
        """Return whether a new program has taken the place of this one."""
        return self.state is State.DONE

    def step(self) -> bool:
        """Begin an upgrade that was requested, or follow the one in progress. Return True once this one has to stop."""
        try:
            self._failed = [each for each in self._failed if each.poll() is None]  # else they stay zombies
            if self._is_requested:
                self._is_requested = False
                self._begin()
            if self.state is State.STARTING:
                self._follow()
        except Exception as error:
            _log.error("Cannot upgrade: %r", error)
            self._to_idle()
        return self.state is State.DONE

    def give_up(self) -> None:
        """End an upgrade in progress, and begin no other: this program stops. So does the new one, unless it serves."""
        self._is_over = True
        if self.state is State.STARTING:
            self.deadline = 0.0
            self.step()

    def _begin(self) -> None:
        if self._is_over or self.state is State.DONE:
            _log.warning("Received SIGUSR2, but this program is stopping.")
        elif self.state is not State.IDLE:
            _log.warning("Received SIGUSR2, but the new program [%d] is starting already.", self._process.pid)
        elif os.getpid() == 1 or init.is_separate:
            _log.error("Received SIGUSR2, but process 1 cannot be replaced: the container would end with it.")
        else:
            self._start()
            _log.info("Received SIGUSR2, started the new program [%d].", self._process.pid)

    def _start(self) -> None:
        import json  # only needed here
        import subprocess

        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        held = sockets.held()
        handed = {
            "pid": os.getpid(),
            "socket": theirs.fileno(),
            "sockets": [(use, sock.fileno()) for use, sock in held],
        }
        with theirs:
            try:
                self._process = subprocess.Popen(
                    self._program.command,
                    env={**self._program.environment, _VARIABLE: json.dumps(handed)},
                    cwd=self._program.directory,
                    pass_fds=[theirs.fileno(), *(sock.fileno() for _, sock in held)],
                )
            except BaseException:
                ours.close()
                raise
        self._successor = ours
        self.state = State.STARTING
        self.deadline = deadlines.after(self._timeout)

    def _follow(self) -> None:
        reason = ""
        said = self._hear()
        if said is None:
            if time.monotonic() < self.deadline:
                return
            # After this, what the new program says either has arrived, or fails to be sent.
            self._successor.shutdown(socket.SHUT_RD)
            said = self._hear()
            reason = "did not serve in time" if self.deadline else "was still starting"
        if said == _SERVES:
            self._to_done()
        else:
            self._on_failure(reason)

    def _hear(self) -> bytes | None:
        """The word of the new program; empty if it has ended, None if it has said nothing."""
        try:
            return self._successor.recv(1)
        except BlockingIOError:
            return None

    def _on_failure(self, reason: str) -> None:
        import subprocess

        code = None
        if not reason:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_REAP_TIMEOUT)
            reason = f"ended with exit code {code}"
        _log.error("The new program [%d] %s; this one keeps the sockets.", self._process.pid, reason)
        self._to_idle()

    def _to_idle(self) -> None:
        if self.state is State.STARTING:
            self._successor.close()
            if self._process.poll() is None:
                self._process.terminate()
                self._failed.append(self._process)
        self.state = State.IDLE
        self.deadline = FOREVER

    def _to_done(self) -> None:
        """The one place where the new program becomes the main one."""
        self._successor.close()
        self.state = State.DONE
        self.deadline = FOREVER
        sockets.leave()
        for each in self.on_done:
            try:
                each(self._process.pid)
            except Exception as error:
                _log.error("After the upgrade: %r", error)
        _log.info("The new program [%d] serves, stopping this one.", self._process.pid)


@contextlib.contextmanager
def requested_by_signal(upgrade: Upgrade) -> Iterator[None]:
    """While active, SIGUSR2 requests `upgrade`; only in the main thread. A handler that the application installs later
    replaces this one.
    """
    number = getattr(signal, SIGNAL, None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    @reset_after_fork
    def handle(number: int, frame: FrameType | None) -> None:
        upgrade.request()

    original = signal.signal(number, handle)
    try:
        yield
    finally:
        if signal.getsignal(number) == handle:
            signal.signal(number, original)


def _working_directory() -> str | None:
    """The working directory by the name that the shell gave it: a link to it may lead to another one later.

    None if it does not exist any more.
    """
    named = os.environ.get("PWD", "")
    with contextlib.suppress(OSError):
        if os.path.isabs(named) and os.path.samefile(named, os.curdir):
            return named
    with contextlib.suppress(OSError):
        return os.getcwd()
    return None
