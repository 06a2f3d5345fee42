"""`--reload`: one worker, replaced when a file changes. The parent keeps the sockets, so clients wait meanwhile."""

from __future__ import annotations

import copy
import logging
import socket
import time
from pathlib import Path

from pronghorn import log
from pronghorn.config import Config
from pronghorn.process import FOREVER, Worker, wait
from pronghorn.signals import EXITS, Signals
from pronghorn.watch import Files, Watcher

# Seconds for what is under way, an open stream perhaps, when a file has changed.
_GRACE = 2.0

# Seconds from one launch to the next where no file has changed.
_PACE = 1.0

# Names of changed files in a line, at most.
_SHOWN = 5

# Seconds for the whole process to end, with the application's own cleaning up.
_PATIENCE = 2 * _GRACE + 1

_log = logging.getLogger("pronghorn.error")


class Reloader:
    """Serves `config.app` on `sockets`, which are bound, anew after each change, until a signal ends it."""

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        self._config = copy.copy(config)
        timeout = config.timeout_graceful_shutdown
        self._config.timeout_graceful_shutdown = _GRACE if timeout is None else min(timeout, _GRACE)
        self._config.timeout_worker_healthcheck = 0  # a debugger may stop it for as long as it likes
        self._sockets = sockets
        self._files = Files(self._config)
        self._worker: Worker | None = None
        self._is_due = True
        self._not_before = 0.0
        self._exiting = False
        directories = [str(each) for each in self._files.directories]
        _log.info("Will watch for changes in these directories: %s", directories)

    def run(self) -> int:
        """Returns the code to exit with."""
        watcher = Watcher(self._files, self._config.reload_delay)
        with Signals(*EXITS, "SIGCHLD") as signals, watcher:
            log.announce("Started reloader process", f" using {watcher.name}")
            try:
                self._serve(signals, watcher)
            finally:
                if self._worker is not None:
                    self._worker.kill()
                    self._worker.close()
        log.announce("Stopping reloader process")
        return 0

    def _serve(self, signals: Signals, watcher: Watcher) -> None:
        while self._worker is not None or not self._exiting:
            self._launch()
            if self._worker is None:
                wait([signals, watcher.changes], [], self._not_before if self._is_due else FOREVER)
            else:
                wait([signals, watcher.changes], [self._worker], self._worker.deadline())
            for name in signals.read():
                if name != "SIGCHLD":
                    self._exit()
            if (paths := watcher.read()) and not self._exiting:
                _log.warning("%s detected changes in %s. Reloading...", watcher.name, _shown(paths))
                self._not_before = 0.0
                self._restart()
            if self._worker is not None:
                self._look_after(self._worker)

    def _launch(self) -> None:
        if self._worker is not None or not self._is_due or time.monotonic() < self._not_before:
            return
        self._is_due = False
        self._not_before = time.monotonic() + _PACE
        try:
            self._worker = Worker(self._config, self._sockets)
        except Exception as error:
            _log.error("Cannot launch a process: %r. Waiting for a change of a file.", error)

    def _look_after(self, worker: Worker) -> None:
        if worker.exitcode is not None:
            worker.close()
            self._worker = None
            if worker.stopping:
                return
            self._is_due = worker.started and worker.was_killed()
            then = "Starting another" if self._is_due else "Waiting for a change of a file"
            _log.error("Child process [%d] died: %s. %s.", worker.pid, worker.fate(), then)
        elif worker.is_overdue():
            worker.kill()
        elif worker.spent and not worker.stopping:
            self._restart()

    def _restart(self) -> None:
        self._is_due = True
        if self._worker is not None:
            self._worker.stop(_PATIENCE)

    def _exit(self) -> None:
        """Stop; the second time without waiting."""
        if self._exiting and self._worker is not None:
            self._worker.kill()
        self._exiting, self._is_due = True, False
        for sock in self._sockets:
            sock.close()
        if self._worker is not None:
            self._worker.stop(_PATIENCE)


def _shown(paths: list[str]) -> str:
    """The first of `paths`, and how many more there are."""
    names = ", ".join(map(_name, paths[:_SHOWN]))
    return names if len(paths) <= _SHOWN else f"{names} and {len(paths) - _SHOWN} more"


def _name(path: str) -> str:
    try:
        return f"'{Path(path).relative_to(Path.cwd())}'"
    except (ValueError, OSError):  # it is elsewhere, or the working directory is gone
        return f"'{path}'"
