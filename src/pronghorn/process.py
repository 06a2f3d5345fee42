"""A worker as its parent sees it: a process, whether it serves, and until when there is patience with it."""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, reduction, resource_tracker
from typing import Any, TypeAlias

from pronghorn.config import Config
from pronghorn.errors import StartupError

# What a worker says.
BEAT = b"."
STARTED = b"started"
SPENT = b"spent"

# Seconds between two beats of a worker.
PULSE = 1.0

# Bytes of what it says, at most.
_LONGEST = 16

# Seconds for the system to end a process that was killed.
_GRACE = 5

# The code of one whose own was lost: somebody else in this process has waited for it.
_UNKNOWN = 255

# Seconds without a beat of one that starts: an import may well keep every thread waiting, but not for ever.
_START_SILENCE = 60.0

FOREVER = float("inf")

# What serves in a worker, in the place of a server of ours: called as `target(sockets=sockets)`.
Target: TypeAlias = Callable[..., Any]

_log = logging.getLogger("pronghorn.error")
_context = multiprocessing.get_context("spawn")


class Worker:
    """A process that serves `config.app` on `sockets`, or calls a `target` to do that, launched.

    `started` once it accepts connections, `spent` when it has reached its limit of requests and is to be replaced,
    `stopping` once its parent has told it to end. `replaces` is the one that has to serve until this one does.
    Once it is launched, nothing that goes wrong with it is raised: others are to serve on.
    """

    def __init__(
        self,
        config: Config,
        sockets: list[socket.socket],
        replaces: Worker | None = None,
        target: Target | None = None,
    ) -> None:
        self.replaces = replaces
        self.started = False
        self.spent = False
        self.outdated = False
        self.stopping = False
        self.exitcode: int | None = None
        self.born = self.heard = time.monotonic()
        self.start_by = FOREVER
        self._stop_by = FOREVER
        self._is_doubted = False
        self._has_sentinel = True
        self._has_failed = False
        self._config = config
        self._pipe, theirs = multiprocessing.Pipe()
        if sys.platform != "win32":  # else the beginning of a message would keep the parent waiting for its end
            os.set_blocking(self._pipe.fileno(), False)
        self._process = _context.Process(target=_work, args=(config, sockets, theirs, _stdin(), target))
        with theirs, _interrupts_held():
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def waitables(self) -> list[Any]:
        """What becomes ready when there is news of it."""
        waitables: list[Any] = [self._process.sentinel] if self._has_sentinel else []
        return waitables if self._pipe.closed else [*waitables, self._pipe]

    def look_at(self) -> float:
        """When to look at it without news: only SIGCHLD, which may have come already, tells of one without sentinel."""
        return FOREVER if self._has_sentinel else time.monotonic() + PULSE

    def deadline(self) -> float:
        """When it has to have ended, answered or started."""
        if self.stopping:
            return self._stop_by
        if not self.started:
            return min(self.start_by, self.heard + _START_SILENCE)
        return self.heard + (self._config.timeout_worker_healthcheck or FOREVER)

    def is_overdue(self) -> bool:
        now = time.monotonic()
        if now < self.deadline():
            return False
        if self.started and not self.stopping and not self._is_doubted:
            # This process may have been stopped itself, as by Ctrl+Z, and the worker with it.
            self._is_doubted = True
            self.heard = now + PULSE - self._config.timeout_worker_healthcheck
            return False
        return True

    def listen(self) -> None:
        """Take in what it has said, and whether it has ended."""
        with self._contained():
            self.exitcode = self._find_exitcode()
        with self._contained():
            try:
                while not self._pipe.closed and self._pipe.poll():
                    self._hear(self._pipe.recv_bytes(_LONGEST))
            except EOFError:
                self._pipe.close()

    def stop(self, patience: float) -> None:
        """Let it finish what is under way, and end within so many seconds."""
        if self.stopping:
            return
        self.stopping = True
        self._stop_by = time.monotonic() + patience
        if sys.platform == "win32":  # where to terminate is to kill
            self._pipe.close()
        else:
            with self._contained():
                self._process.terminate()

    def kill(self) -> None:
        self.stopping = True
        self._stop_by = FOREVER
        with self._contained():
            self._process.kill()

    def was_killed(self) -> bool:
        return self.exitcode is not None and self.exitcode < 0

    def fate(self) -> str:
        """How it ended, for people."""
        assert self.exitcode is not None
        if self.exitcode >= 0:
            return f"exit code {self.exitcode}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-self.exitcode).name
        return f"signal {-self.exitcode}"

    def close(self) -> None:
        """Give back what the system keeps for a process that has ended."""
        self._pipe.close()
        with self._contained():
            self._process.join(_GRACE)
            if self._process.exitcode is not None:
                self._process.close()

    def _hear(self, said: bytes) -> None:
        if said == STARTED:
            self.started = True
            _log.debug("Child process [%d] serves.", self.pid)
        self.spent |= said == SPENT
        self.outdated |= said == SPENT
        self.heard, self._is_doubted = time.monotonic(), False

    def _find_exitcode(self) -> int | None:
        if self._process.exitcode is None and self._has_sentinel and connection.wait([self._process.sentinel], 0):
            self._has_sentinel = False  # ended just now, or its application has closed all descriptors
        if self._process.exitcode is None and not self._has_sentinel and not _exists(self.pid):
            return _UNKNOWN
        return self._process.exitcode

    @contextlib.contextmanager
    def _contained(self) -> Iterator[None]:
        """Log what is raised, the first time. The end of the pipe then tells the process to end."""
        try:
            yield
        except Exception as error:
            self._pipe.close()
            if not self._has_failed:
                self._has_failed = True
                _log.error("Child process [%d] is given up: %r", self.pid, error)


def wait(others: Sequence[Any], workers: Sequence[Worker], until: float) -> None:
    """Wait for one of `others`, for news of a worker, or `until` that time."""
    waitables = [*others, *(each for worker in workers for each in worker.waitables())]
    until = min([until, *(worker.look_at() for worker in workers)])
    connection.wait(waitables, None if until == FOREVER else max(0.0, until - time.monotonic()))
    for worker in workers:
        worker.listen()


def longest_stop(config: Config) -> float:
    """Seconds after which a server that was told to stop has not, though it should have."""
    timeout = config.timeout_graceful_shutdown
    return FOREVER if timeout is None else 2 * timeout + 5  # for requests, then for the lifespan


def check(config: Config) -> None:
    """Raise StartupError unless `config` can go to another process."""
    try:
        reduction.ForkingPickler(io.BytesIO()).dump(config)
    except Exception as error:
        raise StartupError(f"The configuration cannot be handed to other processes: {error}") from None


def _exists(pid: int) -> bool:
    """Whether there is such a process, which may have ended as long as nobody has waited for it."""
    if sys.platform != "win32":  # where to ask is to kill
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
    return True


def _work(config: Config, sockets: list[socket.socket], parent: Any, stdin: int | None, target: Target | None) -> None:
    from pronghorn.worker import main  # and with it the server, which the parent does not need

    main(config, sockets, parent, stdin, target)


def _stdin() -> int | None:
    """The descriptor of standard input, which multiprocessing closes and a debugger in the application needs."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Launch a process in which SIGINT waits until it is ready, rather than print a traceback."""
    if sys.platform == "win32":
        yield
    else:
        resource_tracker.ensure_running()  # which would let them through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
