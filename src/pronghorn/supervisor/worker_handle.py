"""The parent's handle on a worker process: its state, and one deadline whose meaning depends on the state.

    launch ──> STARTING ──Serving──> SERVING ──deadline──> SILENT
                                        ^                     │
                                        └─────any message─────┘

    STARTING, SERVING, SILENT            ──stop──> STOPPING
    STARTING, SERVING, SILENT, STOPPING  ──kill──> KILLED

When the process ends, its last state determines the final one:

    STARTING          ──> FAILED
    SERVING, SILENT   ──> DIED
    STOPPING, KILLED  ──> STOPPED

A serving worker that misses its deadline is SILENT for one more heartbeat before it counts as overdue: the parent
itself may have been suspended, as by Ctrl+Z, and the worker with it.
"""

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
from enum import Enum, auto
from multiprocessing import connection, reduction, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.errors import StartupError
from pronghorn.metrics.page import Page, allocate_shared, is_wanted, of_shared
from pronghorn.process import pids
from pronghorn.shared_memory import Memory
from pronghorn.supervisor.signals import HANDLED_LATER
from pronghorn.supervisor.tally import Cause
from pronghorn.supervisor.worker_messages import (
    HEARTBEAT,
    MAX_SIZE,
    LimitReached,
    Message,
    Serving,
    Target,
    decode,
)

# Seconds for the system to remove a killed process.
_JOIN_TIMEOUT = 5

# Replaces the exit code that was lost because other code in this process waited for the worker.
UNKNOWN_EXITCODE = 255

# Maximum seconds without a message while starting. An import may block all threads for a while, but not for ever.
_MAX_START_SILENCE = 60.0

_log = logging.getLogger("pronghorn.error")
_context = multiprocessing.get_context("spawn")


class State(Enum):
    """The state of a worker, and the meaning of its deadline there."""

    STARTING = auto()
    """Does not accept connections yet. Deadline: the next message, or the time by which it must serve."""
    SERVING = auto()
    """Accepts connections. Deadline: the next message."""
    SILENT = auto()
    """Accepts connections, but missed the deadline. Deadline: the last chance for a message."""
    STOPPING = auto()
    """Has been stopped by its parent. Deadline: the end of the process."""
    KILLED = auto()
    """Has been killed by its parent. No deadline."""
    FAILED = auto()
    """Final: ended before it served."""
    DIED = auto()
    """Final: ended unexpectedly while it served."""
    STOPPED = auto()
    """Final: ended after its parent stopped or killed it."""


_FINAL_STATES = {
    State.STARTING: State.FAILED,
    State.SERVING: State.DIED,
    State.SILENT: State.DIED,
    State.STOPPING: State.STOPPED,
    State.KILLED: State.STOPPED,
}


class WorkerProcess(Protocol):
    """The part of `multiprocessing.Process` that a handle uses."""

    @property
    def pid(self) -> int | None: ...

    @property
    def exitcode(self) -> int | None: ...

    @property
    def sentinel(self) -> Any: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def join(self, timeout: float | None = None) -> None: ...

    def close(self) -> None: ...


class WorkerHandle:
    """A launched worker process. Errors are logged, not raised: the other workers must continue.

    `replaces` is the worker that must serve until this one does. `exitcode` is set in the final states.

    `replacement` is the reason to replace this worker by another: a restart, which is cancelled if the new worker does
    not serve, or a limit, at which it is replaced even if the first attempt fails. `cause` is the cause of its end, if
    its parent decided it. `page` is its page, if its parent needs that. `slot` is its number among the workers, which
    the next one in its place gets.
    """

    noun = "child process"
    last_resort = "killing it"
    max_start_silence = _MAX_START_SILENCE

    def __init__(
        self,
        config: Config,
        process: WorkerProcess,
        pipe: Any,
        replaces: WorkerHandle | None = None,
        serve_within: float = FOREVER,
        page: Page | None = None,
    ) -> None:
        assert process.pid is not None
        self.page = page
        self.slot = 0
        self._memory: Memory | None = None
        self.pid = process.pid
        self.state: State
        self.deadline: float
        self.replacement: Cause | None = None
        self.cause: Cause | None = None
        self.replaces = replaces
        self.exitcode: int | None = None
        self.launched_at = time.monotonic()
        self._serve_by = self.launched_at + serve_within
        self._max_silence = self.max_silence(config)
        self._process = process
        self._pipe = pipe
        self._has_sentinel = True
        self._has_failed = False
        self._to_starting()

    def __str__(self) -> str:
        return f"{self.noun} [{self.pid}]"

    @property
    def title(self) -> str:
        """Its name at the start of a sentence."""
        return str(self).capitalize()

    def max_silence(self, config: Config) -> float:
        """The maximum seconds between two messages while it serves."""
        return config.timeout_worker_healthcheck or FOREVER

    def keep_page(self, memory: Memory) -> None:
        """Set its page, and keep the memory of the page as long as this handle."""
        self._memory = memory
        self.page = of_shared(memory)

    def is_serving(self) -> bool:
        return self.state in (State.SERVING, State.SILENT)

    def is_active(self) -> bool:
        """Return whether it has not been stopped or killed, and has not ended."""
        return self.state is State.STARTING or self.is_serving()

    def is_overdue(self) -> bool:
        """Return whether its parent should kill it. A worker in SERVING becomes SILENT first."""
        return self.state is not State.SERVING and time.monotonic() >= self.deadline

    def was_killed(self) -> bool:
        """Return whether a signal ended it."""
        return self.exitcode is not None and self.exitcode < 0

    def exit_reason(self) -> str:
        """The exit code, or the name of the signal that ended it."""
        assert self.exitcode is not None
        if self.exitcode >= 0:
            return f"exit code {self.exitcode}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-self.exitcode).name
        return f"signal {-self.exitcode}"

    def waitables(self) -> list[Any]:
        """The objects that become ready when `update` must be called."""
        waitables: list[Any] = [self._process.sentinel] if self._has_sentinel else []
        return waitables if self._pipe.closed else [*waitables, self._pipe]

    def next_poll(self) -> float:
        """The time to call `update` even if nothing is ready. Without a sentinel only SIGCHLD reports the end of the
        process, and that signal may have come already.
        """
        return FOREVER if self._has_sentinel else time.monotonic() + HEARTBEAT

    def update(self) -> None:
        """Read messages, then process the end of the worker or a missed deadline."""
        if self.exitcode is not None:
            return
        exitcode = None
        with self._contain_errors():
            exitcode = self._poll_exitcode()  # first: the pipe of an ended process holds all of its messages
        with self._contain_errors():
            try:
                while not self._pipe.closed and self._pipe.poll():
                    self._on_message(decode(self._pipe.recv_bytes(MAX_SIZE)))
            except EOFError:
                self._pipe.close()
        if exitcode is not None:
            self._to_final(exitcode)
        elif self.state is State.SERVING and time.monotonic() >= self.deadline:
            self._to_silent()

    def stop(self, timeout: float, cause: Cause | None = None) -> None:
        """Let an active worker finish its requests and end within `timeout` seconds."""
        if self.is_active():
            self.cause = cause
            self._to_stopping(timeout)

    def reopen_logs(self) -> None:
        """Let the worker open its log files again, once it can."""
        if sys.platform != "win32" and self.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGUSR1)

    def kill(self, cause: Cause | None = None) -> None:
        """End it at once. The cause of a stop before that remains."""
        if self.exitcode is None:
            self.cause = self.cause or cause
            self._to_killed()

    def request_restart(self) -> None:
        if self.replacement is None:
            self.replacement = Cause.RESTART

    def cancel_restart(self) -> None:
        if self.replacement is Cause.RESTART:
            self.replacement = None

    def forget_replaced(self) -> None:
        """Forget the replaced worker, which has ended. Without a worker to keep, the start may take any time."""
        self.replaces = None
        self._serve_by = FOREVER
        if self.state is State.STARTING:
            self._to_starting()

    def cause_of_end(self) -> Cause | None:
        """The cause of its end; None if that is not to be counted."""
        match self.state:
            case State.FAILED:
                return Cause.START
            case State.DIED:
                return Cause.SIGNAL if self.was_killed() else Cause.EXIT
            case _:
                return self.cause

    def close(self) -> None:
        """Release the resources of a process that has ended."""
        self._pipe.close()
        with self._contain_errors():
            self._process.join(_JOIN_TIMEOUT)
            if self._process.exitcode is not None:
                self._process.close()

    def _on_message(self, message: Message) -> None:
        if isinstance(message, LimitReached):
            self.replacement = Cause(message.limit)
        match self.state, message:
            case State.STARTING, Serving():
                self._to_serving()
                _log.debug("%s serves.", self.title)
            case State.STARTING, _:
                self._to_starting()
            case ((State.SERVING | State.SILENT), _):
                self._to_serving()

    def _to_starting(self) -> None:
        self.state = State.STARTING
        self.deadline = min(self._serve_by, time.monotonic() + self.max_start_silence)

    def _to_serving(self) -> None:
        self.state = State.SERVING
        self.deadline = time.monotonic() + self._max_silence

    def _to_silent(self) -> None:
        self.state = State.SILENT
        self.deadline = time.monotonic() + HEARTBEAT

    def _to_stopping(self, timeout: float) -> None:
        self.state = State.STOPPING
        self.deadline = time.monotonic() + timeout
        with self._contain_errors():
            self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        if sys.platform == "win32":  # `terminate` would kill: the end of the stream stops the worker instead
            self._pipe.close()
        else:
            self._process.terminate()

    def _to_killed(self) -> None:
        self.state = State.KILLED
        self.deadline = FOREVER
        with self._contain_errors():
            self._process.kill()

    def _to_final(self, exitcode: int) -> None:
        self.state = _FINAL_STATES[self.state]
        self.deadline = FOREVER
        self.exitcode = exitcode

    def _poll_exitcode(self) -> int | None:
        if self._process.exitcode is None and self._has_sentinel and connection.wait([self._process.sentinel], 0):
            self._has_sentinel = False  # the process has just ended, or its application has closed all descriptors
        is_gone = self._process.exitcode is None and not self._has_sentinel and not pids.exists(self.pid)
        exitcode = self._process.exitcode  # after that: once the process is gone, its exit code can be known
        return UNKNOWN_EXITCODE if exitcode is None and is_gone else exitcode

    @contextlib.contextmanager
    def _contain_errors(self) -> Iterator[None]:
        """Close the pipe after an error, which ends the process. Log the first error."""
        try:
            yield
        except Exception as error:
            self._pipe.close()
            if not self._has_failed:
                self._has_failed = True
                _log.error("Lost contact with %s: %r", self, error)


def launch(
    config: Config,
    sockets: list[socket.socket],
    replaces: WorkerHandle | None = None,
    serve_within: float = FOREVER,
    target: Target | None = None,
    table: Memory | None = None,
) -> WorkerHandle:
    """Start a process that serves `config.app` on `sockets`, or that calls `target` with them.

    It is overdue if it does not serve within `serve_within` seconds. It shares the connections with the other workers
    of `table`.
    """
    pipe, workers_end = make_pipe()
    memory = allocate_shared() if is_wanted(config) else None
    with workers_end:
        process = spawn(_run_worker, config, sockets, workers_end, target, memory, table)
    handle = WorkerHandle(config, process, pipe, replaces, serve_within)
    if memory is not None:
        handle.keep_page(memory)
    return handle


def make_pipe() -> tuple[Any, Any]:
    """The parent's end and the worker's end of their pipe."""
    pipe, workers_end = multiprocessing.Pipe()
    if sys.platform != "win32":  # an incomplete message must not block the parent
        os.set_blocking(pipe.fileno(), False)
    return pipe, workers_end


def spawn(function: Callable[..., None], *arguments: Any) -> SpawnProcess:
    """Start a process that calls `function` with `arguments` and the descriptor of standard input. It begins with
    HANDLED_LATER blocked.
    """
    process = _context.Process(target=function, args=(*arguments, _stdin_fd()))
    with _signals_blocked():
        process.start()
    return process


def wait(others: Sequence[Any], workers: Sequence[WorkerHandle], until: float) -> None:
    """Wait for one of `others`, for a worker's message or end, or until the time `until`. Update all workers."""
    waitables = [*others, *(each for worker in workers for each in worker.waitables())]
    until = min([until, *(worker.next_poll() for worker in workers)])
    connection.wait(waitables, None if until == FOREVER else max(0.0, until - time.monotonic()))
    for worker in workers:
        worker.update()


def ensure_picklable(config: Config) -> None:
    """Raise StartupError unless `config` can be sent to a worker."""
    try:
        reduction.ForkingPickler(io.BytesIO()).dump(config)
    except Exception as error:
        raise StartupError(f"The configuration cannot be sent to worker processes: {error}") from None


def _run_worker(
    config: Config,
    sockets: list[socket.socket],
    pipe: Any,
    target: Target | None,
    memory: Memory | None,
    table: Memory | None,
    stdin: int | None,
) -> None:
    from pronghorn.supervisor.worker_main import main  # here: it imports the server, which the parent does not need

    main(config, sockets, pipe, stdin, target, None if memory is None else of_shared(memory), table)


def _stdin_fd() -> int | None:
    """The descriptor of standard input. multiprocessing closes it in the child, where a debugger may need it."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block HANDLED_LATER in a process that is started here, until it can handle them: before, SIGINT would print a
    traceback, and SIGUSR1 would end it.
    """
    if sys.platform == "win32":
        yield
    else:
        resource_tracker.ensure_running()  # starting it later would unblock SIGINT
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_LATER)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
