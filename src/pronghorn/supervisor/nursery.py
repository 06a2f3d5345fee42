"""`--preload`: a process of its own, the nursery, imports the application and forks the workers. They share its memory.

The supervisor itself never imports the application: SIGHUP replaces the nursery, and with it the code, and no thread of
the supervisor can hold a lock in a fork. A nursery lives until its last worker has ended: only it learns their exit
codes.

The supervisor and a nursery talk through a pair of sockets that keep messages apart. The supervisor sends `_FORK` with
the descriptor of the new worker's pipe, or `_REOPEN`, and ends the stream when it needs no more workers. The nursery
answers in messages of `_MESSAGE`.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from multiprocessing.connection import Connection, wait
from typing import Any

from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.logging import log, log_files, outlet, streams
from pronghorn.metrics import page
from pronghorn.metrics.page import Page
from pronghorn.shared_memory import Memory
from pronghorn.supervisor.signals import EXIT_SIGNALS, Signals
from pronghorn.supervisor.worker_handle import UNKNOWN_EXITCODE, WorkerHandle, make_pipe, spawn

_FORK = b"F"

# Open log files again that were moved: a worker begins with those of the nursery.
_REOPEN = b"O"

# The kind of the message, a process id, and an exit code or errno. `_FORKED` comes with a descriptor of the process
# and, if the supervisor needs it, that of its page.
_MESSAGE = struct.Struct("=cii")

_READY = b"R"
_FORKED = b"F"
_ENDED = b"E"

# Seconds for a nursery to fork.
_FORK_TIMEOUT = 5.0

# The signals that are meant for the supervisor, but reach the nursery with the process group or by mistake.
_IGNORED = (*EXIT_SIGNALS, "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU")

_log = logging.getLogger("pronghorn.error")

# Untyped: other systems than Linux, where this is refused, lack some of the names.
_os: Any = os
_signal: Any = signal
_socket: Any = socket


def check(config: Config) -> None:
    """Raise StartupError unless workers can be forked as `config` says."""
    if config.reload:
        raise StartupError("--preload cannot be combined with --reload: remove one of them.")
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        raise StartupError("--preload needs Linux: elsewhere a fork is not safe. Remove it.")


class State(Enum):
    """The state of a nursery."""

    LOADING = auto()
    """Imports the application."""
    READY = auto()
    """Forks workers on request."""
    RETIRED = auto()
    """Waits for the end of its workers."""
    ENDED = auto()
    """Has ended, or is about to."""


class ForkedProcess:
    """A worker that a nursery has forked, with the interface of `multiprocessing.Process`."""

    def __init__(self, nursery: Nursery, pid: int, sentinel: int, own_page: Page | None) -> None:
        self.pid = pid
        self.page = own_page
        self.reported: int | None = None
        """The exit code that the nursery has reported."""
        self.sentinel = sentinel
        self._nursery = nursery

    @property
    def exitcode(self) -> int | None:
        self._nursery.update()
        if self.reported is None and self._nursery.state is State.ENDED and wait([self.sentinel], 0):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, _os.WNOHANG)  # process 1 inherits it from the nursery
            self.reported = UNKNOWN_EXITCODE
        return self.reported

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(_signal.SIGKILL)

    def join(self, timeout: float | None = None) -> None:
        wait([self.sentinel], timeout)

    def close(self) -> None:
        self._nursery.forget(self.pid)
        os.close(self.sentinel)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            _signal.pidfd_send_signal(self.sentinel, number)


class Nursery:
    """The supervisor's handle on a nursery."""

    def __init__(self, config: Config, sockets: list[socket.socket], table: Memory | None) -> None:
        self.state = State.LOADING
        self._config = config
        self._workers: dict[int, ForkedProcess] = {}
        self._socket, theirs = socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        with theirs:
            self._process = spawn(_run, config, sockets, theirs, table)

    def fileno(self) -> int:
        """Readable when `update` must be called. Negative in the state ENDED."""
        return self._socket.fileno()

    def update(self) -> None:
        """Read the messages of the nursery."""
        while self.state is not State.ENDED and wait([self._socket], 0):
            self._read()

    def launch(self, replaces: WorkerHandle | None, serve_within: float) -> WorkerHandle:
        """Fork a worker. Raises OSError."""
        pipe, workers_end = make_pipe()
        with workers_end:
            _socket.send_fds(self._socket, [_FORK], [workers_end.fileno()])
        process = None
        while process is None:
            if not wait([self._socket], _FORK_TIMEOUT):
                self.kill()
            if self.state is State.ENDED:
                raise OSError("the process that forks workers has ended, or does not answer")
            process = self._read()
        return WorkerHandle(self._config, process, pipe, replaces, serve_within, process.page)

    def reopen_logs(self) -> None:
        """Let the workers that are forked from now on write to log files that were opened again."""
        if self.state in (State.LOADING, State.READY):
            with contextlib.suppress(OSError):
                self._socket.send(_REOPEN)

    def forget(self, pid: int) -> None:
        """The worker's handle is closed."""
        self._workers.pop(pid, None)

    def retire(self) -> None:
        """Fork no more workers. The nursery ends after its last one."""
        if self.state is State.READY:
            self.state = State.RETIRED
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def is_gone(self) -> bool:
        """Return whether its process has ended."""
        return self.state is State.ENDED and self._process.exitcode is not None

    def kill(self) -> None:
        """End the nursery. Its workers continue; their exit codes are lost."""
        self._process.kill()
        self._to_ended()

    def _read(self) -> ForkedProcess | None:
        """Read one message. Returns the worker if that has been forked; raises OSError if it has not."""
        data, descriptors = b"", []
        with contextlib.suppress(OSError):
            data, descriptors, _, _ = _socket.recv_fds(self._socket, _MESSAGE.size, 2)
        if len(data) != _MESSAGE.size:
            self._to_ended()
            return None
        kind, pid, code = _MESSAGE.unpack(data)
        if kind == _READY and self.state is State.LOADING:
            self.state = State.READY
        elif kind == _ENDED and pid in self._workers:
            self._workers[pid].reported = code
        elif kind == _FORKED:
            if code:
                raise OSError(code, os.strerror(code))
            sentinel, *pages = descriptors
            own_page = None
            for each in pages:
                own_page = page.of_file(each)
                os.close(each)
            self._workers[pid] = ForkedProcess(self, pid, sentinel, own_page)
            return self._workers[pid]
        return None

    def _to_ended(self) -> None:
        self.state = State.ENDED
        self._socket.close()


class Event(Enum):
    """A change that the supervisor must react to."""

    RENEWED = auto()
    """The code is new: the workers have to be replaced."""
    CANNOT_LOAD = auto()
    """The first nursery has failed."""
    LOST = auto()
    """The nursery has ended unexpectedly. Another one is needed."""


class Nurseries:
    """The current nursery, the next one while it loads, and the others, whose processes have not ended yet."""

    def __init__(self, config: Config, sockets: list[socket.socket], table: Memory | None = None) -> None:
        self._config = config
        self._sockets = sockets
        self._table = table
        self._current: Nursery | None = None
        self._next: Nursery | None = None
        self._others: list[Nursery] = []
        self._has_loaded = False

    def start(self) -> None:
        """Import the application in a new nursery, which replaces the current one once it is ready."""
        if self._next is not None:
            self._next.kill()
            self._others.append(self._next)
        self._next = Nursery(self._config, self._sockets, self._table)

    def is_ready(self) -> bool:
        """Return whether `launch` can be called."""
        return self._current is not None

    def is_loading(self) -> bool:
        return self._next is not None

    def launch(self, replaces: WorkerHandle | None, serve_within: float) -> WorkerHandle:
        """Fork a worker. Raises OSError."""
        assert self._current is not None
        return self._current.launch(replaces, serve_within)

    def reopen_logs(self) -> None:
        """Let all of them open log files again."""
        for each in self._all():
            each.reopen_logs()

    def waitables(self) -> list[Any]:
        return [each for each in self._all() if each.state is not State.ENDED]

    def update(self) -> Iterator[Event]:
        """Read all messages; the changes since the last call."""
        for each in self._all():
            each.update()
        self._others = [each for each in self._others if not each.is_gone()]
        if self._next is not None and self._next.state is State.READY:
            if self._current is not None:
                self._current.retire()
                self._others.append(self._current)
            self._current, self._next = self._next, None
            if self._has_loaded:
                yield Event.RENEWED
            self._has_loaded = True
        elif self._next is not None and self._next.state is State.ENDED:
            self._others.append(self._next)
            self._next = None
            if not self._has_loaded:
                yield Event.CANNOT_LOAD
            elif self._current is not None:
                _log.error("Cannot import the application again; keeping the workers and aborting the restart.")
            else:
                yield Event.LOST
        if self._current is not None and self._current.state is State.ENDED:
            self._others.append(self._current)
            self._current = None
            if self._next is None:
                yield Event.LOST

    def end(self) -> None:
        """Kill all of them; no workers are left."""
        for each in self._all():
            if each.state is not State.ENDED:
                each.kill()

    def _all(self) -> list[Nursery]:
        return [*self._others, *(each for each in (self._current, self._next) if each is not None)]


def _run(
    config: Config,
    sockets: list[socket.socket],
    parent: socket.socket,
    table: Memory | None,
    stdin: int | None,
) -> None:
    """The program of a nursery, and then of each worker, which continues here as its copy."""
    streams.remember_files()
    try:
        _preload(config)
    except StartupError as error:
        log.report(error)
        sys.exit(error.code)
    from pronghorn.supervisor import worker_main

    forked = _fork_on_request(parent, page.is_wanted(config))
    if forked is not None:
        pipe, own_page = forked
        worker_main.main(config, sockets, Connection(pipe), stdin, own_page=own_page, table=table)


def _preload(config: Config) -> None:
    """Import everything that a worker needs. Raises StartupError if the result cannot be forked."""
    from pronghorn import backend
    from pronghorn.supervisor import worker_main  # noqa: F401 - imports the server

    config.configure_logging()
    config.get_loop_factory()
    backend.load(config.http)
    before = set(threading.enumerate())
    config.load_app()
    if started := sorted(thread.name for thread in set(threading.enumerate()) - before - outlet.threads()):
        raise StartupError(
            f"--preload: the application starts threads when it is imported ({', '.join(started)}), which forks lack."
            " Start them in the lifespan's startup, or remove --preload."
        )
    gc.collect()
    gc.freeze()  # a collection in a worker would write to the objects, and so copy their memory


def _fork_on_request(parent: socket.socket, has_pages: bool) -> tuple[int, Page | None] | None:
    """Fork a worker for each request of `parent`, and report the ends of workers. Returns once `parent` needs no more
    and the last worker has ended; in a worker at once, with the descriptor of its pipe, and its page if it `has_pages`.
    """
    children: set[int] = set()
    is_open = True
    with Signals(*_IGNORED, "SIGCHLD") as signals, parent:
        parent.set_inheritable(False)
        _say(parent, _READY)
        while is_open or children:
            wait([signals.fileno(), parent] if is_open else [signals.fileno()])
            signals.read()
            for pid in list(children):
                ended = _os.waitid(_os.P_PID, pid, _os.WEXITED | _os.WNOHANG | _os.WNOWAIT)
                if ended is not None:
                    is_exit = ended.si_code == _os.CLD_EXITED
                    _say(parent, _ENDED, pid, ended.si_status if is_exit else -ended.si_status)
                    os.waitpid(pid, 0)  # after the report: a process that does not exist has been reported
                    children.remove(pid)
            if not is_open or not wait([parent], 0):
                continue
            data, descriptors, _, _ = _socket.recv_fds(parent, 1, 1)
            if not data:
                is_open = False
                continue
            if data == _REOPEN:
                log_files.reopen()
                continue
            pages: list[int] = []
            try:
                if has_pages:
                    pages.append(page.create_file())
                pid = _os.fork()
            except OSError as error:
                for each in (descriptors[0], *pages):
                    os.close(each)
                _say(parent, _FORKED, code=error.errno or 1)
                continue
            if not pid:
                own_page = page.of_file(pages[0]) if pages else None
                for each in pages:
                    os.close(each)
                return int(descriptors[0]), own_page
            os.close(descriptors[0])
            children.add(pid)
            told = [_os.pidfd_open(pid), *pages]
            _say(parent, _FORKED, pid, descriptors=told)
            for each in told:
                os.close(each)
    return None


def _say(parent: socket.socket, kind: bytes, pid: int = 0, code: int = 0, descriptors: Sequence[int] = ()) -> None:
    with contextlib.suppress(OSError):  # the supervisor has ended
        _socket.send_fds(parent, [_MESSAGE.pack(kind, pid, code)], descriptors)
