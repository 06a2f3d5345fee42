"""`--worker-class thread`: workers that are threads of this process, each with an event loop and a server of its own.

The supervisor is that of worker processes: here a thread stands in for each process. It shares the imported modules
with the others, and nothing of the server. The application's lifespan runs once in each: what belongs to an event loop,
such as a pool of connections, belongs to one thread.

No thread can be killed. One that does not end is left behind, and ends with the process.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import multiprocessing
import signal
import socket
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.errors import StartupError
from pronghorn.listen import balance
from pronghorn.logging import log
from pronghorn.metrics import page
from pronghorn.metrics.page import Pages
from pronghorn.process import cleanup, gil, operator_signals
from pronghorn.shared_memory import Memory
from pronghorn.supervisor.supervisor import Supervisor
from pronghorn.supervisor.worker_handle import WorkerHandle, make_pipe
from pronghorn.supervisor.worker_server import WorkerServer

# Seconds for a thread to end after it was told to stop without waiting.
_GRACE = 5.0

# The exit codes of a thread that has raised, and of one that was left behind, as of a process that was killed.
_RAISED = 1
_LEFT = -9

_log = logging.getLogger("pronghorn.error")


class ThreadSupervisor(Supervisor):
    """Keeps `config.workers` threads that serve the bound `sockets`. The application is imported already."""

    noun = "server process"
    worker_noun, workers_noun = "thread", "threads"

    def run(self) -> int:
        if gil.is_enabled() and not gil.is_reported:
            _log.warning(
                "Worker threads do not run in parallel, as this Python has the GIL enabled:"
                " use --worker-class process, or a free-threaded Python."
            )
        for sock in self._sockets:  # a copy of a blocking socket makes all of its copies blocking, also those in use
            sock.setblocking(False)
        return super().run()

    def _make_pages(self) -> Pages:
        if self._config.metrics_bind is None:
            return super()._make_pages()
        from pronghorn.metrics.threads import ThreadPages  # only needed here

        return ThreadPages()

    def _start(self, replaces: WorkerHandle | None, serve_within: float) -> WorkerHandle:
        pipe, threads_end = make_pipe()
        thread = WorkerThread(self._config, self._sockets, threads_end, self._memory)
        return ThreadHandle(self._config, thread, pipe, replaces, serve_within, thread.page)

    def _reload_logging(self) -> None:
        try:
            self._config.reload_logging()
        except StartupError as error:
            log.report(error)
        super()._reload_logging()


class ThreadHandle(WorkerHandle):
    """A thread sends no heartbeats, as it would be silent only if the whole process were."""

    noun = "worker thread"
    last_resort = "leaving it behind"
    max_start_silence = FOREVER

    def max_silence(self, config: Config) -> float:
        return FOREVER

    def reopen_logs(self) -> None:
        pass  # the log files are those of the supervisor

    def _ask_to_stop(self) -> None:
        self._process.terminate()


class WorkerThread:
    """A running thread that serves, with the interface of `multiprocessing.Process`. `pid` is the system's number of
    the thread, `page` its page. Sends its messages through `pipe`.
    """

    def __init__(self, config: Config, sockets: list[socket.socket], pipe: Connection, table: Memory | None) -> None:
        self.page = page.allocate()
        self.exitcode: int | None = None
        self.sentinel, self._sentinels_other_end = multiprocessing.Pipe(duplex=False)
        self._pipe = pipe
        self._lock = threading.Lock()  # of the exit code
        self._table = table
        self._sockets = [sock.dup() for sock in sockets]
        self._server = ThreadServer(copy.copy(config), pipe)
        self._server.server_state.page = self.page
        self._thread = threading.Thread(target=self._run, name="pronghorn worker", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # too many threads
            self._release()
            self._end(_RAISED)
            self.close()
            raise
        self.pid = self._thread.native_id

    def terminate(self) -> None:
        """Let it finish its requests."""
        self._server.handle_exit(signal.SIGTERM, None)

    def kill(self) -> None:
        """Let it end without waiting for anything, or leave it behind."""
        self._server.should_exit = self._server.force_exit = True
        timer = threading.Timer(_GRACE, self._leave_behind)
        timer.daemon = True
        timer.start()

    def join(self, timeout: float | None = None) -> None:
        if self.exitcode is None:
            self._thread.join(timeout)

    def close(self) -> None:
        self.sentinel.close()

    def _run(self) -> None:
        code = _RAISED
        try:
            code = self._serve()
        except SystemExit as error:  # raised by the application, or by a server that cannot start
            code = error.code if isinstance(error.code, int) else _RAISED
        except BaseException as error:
            log.say(logging.ERROR, "Exception in a worker thread\n", error=error)
        finally:
            self._release()
            self._end(code)

    def _serve(self) -> int:
        server, state = self._server, self._server.server_state
        if self._table is not None:
            table = balance.Table(self._table)
            state.share = balance.Share(table, state.connections, threading.get_native_id())
        if not server.should_exit:
            server.run(self._sockets)
        return 0 if server.started or server.should_exit else StartupError.code

    def _release(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._pipe.close()

    def _leave_behind(self) -> None:
        """Count it as ended. What it uses stays open: its event loop may still go on."""
        if self.exitcode is None:
            cleanup.limit_at_exit()
            self._end(_LEFT)

    def _end(self, code: int) -> None:
        with self._lock:
            if self.exitcode is None:
                self.exitcode = code
                self._sentinels_other_end.close()


class ThreadServer(WorkerServer):
    """Leaves the signals to the supervisor, and all that belongs to the process."""

    ends = "thread"

    def __init__(self, config: Config, parent: Connection) -> None:
        config.loaded = False  # each thread has its own TLS context and, from a factory, its own application
        super().__init__(config, parent)
        self.server_state.owns_process = False
        self._heeded = operator_signals.received

    def announce(self, what: str) -> None:
        log.announce(f"{what} worker thread", number=threading.get_native_id())

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def _close_sockets(self) -> None:
        for sock in self._sockets:  # the file of a Unix socket stays for the other threads
            sock.close()
