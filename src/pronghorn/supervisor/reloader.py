"""`--reload`: one worker, replaced when a file changes. The parent keeps the sockets: clients wait meanwhile."""

from __future__ import annotations

import copy
import logging
import socket
import time
from pathlib import Path

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.logging import log
from pronghorn.process.service_manager import ServiceManager
from pronghorn.supervisor.file_watcher import Files, Watcher
from pronghorn.supervisor.signals import EXIT_SIGNALS, Signals
from pronghorn.supervisor.worker_handle import State, WorkerHandle, launch, wait
from pronghorn.supervisor.worker_messages import Target

# Seconds for running requests, which may include an open stream, after a file has changed.
_GRACE = 2.0

# Seconds for the process to end, including the application's own shutdown.
_STOP_TIMEOUT = 2 * _GRACE + 1

# Minimum seconds between two launches if no file has changed.
_MIN_LAUNCH_INTERVAL = 1.0

# Maximum number of changed files that a log line names.
_MAX_NAMES = 5

_log = logging.getLogger("pronghorn.error")


class Reloader:
    """Serves `config.app` on the bound `sockets`, in a new process after each change, until a signal ends it.

    If `target` is given, the process calls it with the sockets instead. Reports to `manager`.
    """

    def __init__(
        self,
        config: Config,
        sockets: list[socket.socket],
        target: Target | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        self._config = copy.copy(config)
        timeout = config.timeout_graceful_shutdown
        self._config.timeout_graceful_shutdown = _GRACE if timeout is None else min(timeout, _GRACE)
        self._config.drain_delay = 0
        self._config.timeout_worker_healthcheck = 0  # a debugger may stop the worker for any length of time
        self._sockets = sockets
        self._target = target
        self._manager = manager or ServiceManager()
        self._files = Files(config.reload_dirs, config.reload_includes, config.reload_excludes)
        self._worker: WorkerHandle | None = None
        self._launch_is_due = True
        self._not_before = 0.0
        self._is_exiting = False

    def run(self) -> int:
        """Run until a signal; return the exit code."""
        watcher = Watcher(self._files, self._config.reload_delay)
        with Signals(*EXIT_SIGNALS, "SIGCHLD") as signals, watcher:
            log.announce("Started reloader process", f" using {watcher.name}")
            try:
                self._supervise(signals, watcher)
            finally:
                if self._worker is not None:
                    self._worker.kill()
                    self._worker.close()
        log.announce("Stopping reloader process")
        return 0

    def _supervise(self, signals: Signals, watcher: Watcher) -> None:
        while self._worker is not None or not self._is_exiting:
            self._launch_if_due()
            beat = self._manager.beat()
            if self._worker is None:
                wait([signals, watcher.changes], [], min(beat, self._not_before if self._launch_is_due else FOREVER))
            else:
                wait([signals, watcher.changes], [self._worker], min(beat, self._worker.deadline))
            for name in signals.read():
                if name != "SIGCHLD":
                    self._exit()
            if (paths := watcher.read()) and not self._is_exiting:
                _log.warning("%s detected changes in %s. Reloading...", watcher.name, _format_paths(paths))
                self._not_before = 0.0
                self._restart()
            if self._worker is not None:
                self._check(self._worker)

    def _launch_if_due(self) -> None:
        if self._worker is not None or not self._launch_is_due or time.monotonic() < self._not_before:
            return
        self._launch_is_due = False
        self._not_before = time.monotonic() + _MIN_LAUNCH_INTERVAL
        try:
            self._worker = launch(self._config, self._sockets, target=self._target)
        except Exception as error:
            _log.error("Cannot launch a process: %r. Waiting for a file to change.", error)

    def _check(self, worker: WorkerHandle) -> None:
        if worker.is_serving():
            self._manager.ready("1 worker, restarted when a file changes")
        if worker.exitcode is not None:
            worker.close()
            self._worker = None
            # Otherwise its end is expected: a signal or a change came at the same moment.
            if worker.state is not State.STOPPED and not self._is_exiting and not self._launch_is_due:
                self._on_death(worker)
        elif worker.is_overdue():
            worker.kill()
        elif worker.is_active() and worker.replacement is not None:
            self._restart()

    def _on_death(self, worker: WorkerHandle) -> None:
        self._launch_is_due = worker.state is State.DIED and worker.was_killed()
        then = "Starting another" if self._launch_is_due else "Waiting for a file to change"
        _log.error("Child process [%d] died: %s. %s.", worker.pid, worker.exit_reason(), then)

    def _restart(self) -> None:
        self._launch_is_due = True
        if self._worker is not None:
            self._worker.stop(_STOP_TIMEOUT)

    def _exit(self) -> None:
        """Stop the worker; the second time, kill it."""
        if self._is_exiting and self._worker is not None:
            self._worker.kill()
        self._is_exiting, self._launch_is_due = True, False
        self._manager.stopping()
        for sock in self._sockets:
            sock.close()
        if self._worker is not None:
            self._worker.stop(_STOP_TIMEOUT)


class ChangeReload(Reloader):
    """A reloader with uvicorn's parameters."""

    def __init__(self, config: Config, target: Target, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets, target)


def _format_paths(paths: list[str]) -> str:
    """The first of `paths`, and the number of the others."""
    names = ", ".join(map(_format_path, paths[:_MAX_NAMES]))
    return names if len(paths) <= _MAX_NAMES else f"{names} and {len(paths) - _MAX_NAMES} more"


def _format_path(path: str) -> str:
    try:
        return f"'{Path(path).relative_to(Path.cwd())}'"
    except (ValueError, OSError):  # the file is outside the working directory, or that is gone
        return f"'{path}'"
