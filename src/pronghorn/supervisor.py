"""`--workers`: keep so many processes serving the same sockets. Knows processes and nothing of HTTP.

Signals, deaths and what workers say only change what is wanted; `_balance` then makes it so.
"""

from __future__ import annotations

import logging
import socket
import time

from pronghorn import log
from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.process import FOREVER, PULSE, Worker, longest_stop, wait
from pronghorn.signals import EXITS, Signals
from pronghorn.sockets import withdraw

_OTHERS = ("SIGHUP", "SIGTTIN", "SIGTTOU", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCHLD")

# A worker that dies younger than this makes those to come wait: twice as long each time, up to the most.
_STABLE = 10.0
_LEAST_DELAY = 0.5
_MOST_DELAY = 30.0

_log = logging.getLogger("pronghorn.error")


class Supervisor:
    """Keeps `config.workers` processes serving `sockets`, which are bound, until a signal ends them all."""

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        self._config = config
        self._sockets = sockets
        self._wanted = config.workers or 1
        self._workers: list[Worker] = []  # the oldest first
        self._was_complete = False
        self._deaths = 0
        self._not_before = 0.0
        self._exit_code: int | None = None

    def run(self) -> int:
        """Returns the code to exit with: 0 after a signal, 3 when workers cannot start."""
        with Signals(*EXITS, *_OTHERS) as signals:
            log.announce("Started parent process")
            try:
                self._serve(signals)
            finally:
                for worker in self._workers:
                    worker.kill()
                    worker.close()
            log.announce("Stopping parent process")
        assert self._exit_code is not None
        return self._exit_code

    def _serve(self, signals: Signals) -> None:
        self._balance()
        failure = ""
        while self._workers or self._exit_code is None:
            try:
                self._look_after_all(signals)
            except Exception as error:
                # The workers are to serve on, even where this fails each time.
                if failure != (failure := repr(error)):
                    _log.exception("Cannot look after the child processes: %r", error)
                time.sleep(PULSE)

    def _look_after_all(self, signals: Signals) -> None:
        wait([signals], self._workers, self._next_deadline())
        self._was_complete |= sum(each.started for each in self._kept()) >= self._wanted
        for name in signals.read():
            self._on_signal(name)
        self._bury_the_dead()
        self._end_the_overdue()
        self._balance()

    def _on_signal(self, name: str) -> None:
        if self._exit_code is not None:
            if name == "SIGINT":
                for worker in self._workers:
                    worker.kill()
            return
        match name:
            case "SIGINT" | "SIGTERM" | "SIGBREAK":
                _log.info("Received %s, exiting.", name)
                self._exit(0)
            case "SIGHUP":
                _log.info("Received SIGHUP, restarting processes.")
                for worker in self._workers:
                    worker.outdated = True
            case "SIGTTIN":
                _log.info("Received SIGTTIN, increasing the number of processes.")
                self._wanted += 1
            case "SIGTTOU" if self._wanted > 1:
                _log.info("Received SIGTTOU, decreasing number of processes.")
                self._wanted -= 1
            case "SIGTTOU":
                _log.info("Received SIGTTOU, decreasing number of processes.")
                _log.info("Already reached one process, cannot decrease the number of processes anymore.")
            case "SIGCHLD":  # a sentinel stays silent while a process that the worker has forked holds its other end
                pass
            case _:
                _log.debug("Received signal %s, but no handler is defined for it.", name)

    def _balance(self) -> None:
        """Launch what is missing, stop what is too much, replace what is outdated one by one."""
        if self._exit_code is not None:
            return
        for worker in self._workers:
            if worker.started and worker.replaces is not None:
                self._retire(worker.replaces)
                worker.replaces = None
        kept = self._kept()
        for worker in kept[self._wanted :]:
            self._retire(worker)
        if time.monotonic() < self._not_before:
            return
        self._not_before = 0.0
        for _ in range(self._wanted - len(kept)):
            self._launch()
        if not any(each.stopping or each.replaces is not None for each in self._workers):
            outdated = next((each for each in kept if each.outdated and each.started), None)
            if outdated is not None:
                self._launch(replaces=outdated)

    def _kept(self) -> list[Worker]:
        return [each for each in self._workers if not each.stopping and each.replaces is None]

    def _launch(self, replaces: Worker | None = None) -> None:
        try:
            worker = Worker(self._config, self._sockets, replaces)
        except Exception as error:
            _log.error("Cannot launch a process: %r", error)
            self._back_off(time.monotonic())
            return
        if replaces is not None and not replaces.spent:
            worker.start_by = worker.born + (self._config.timeout_worker_healthcheck or FOREVER)
        self._workers.append(worker)

    def _retire(self, worker: Worker) -> None:
        if not worker.stopping:
            worker.stop(longest_stop(self._config))
            _log.info("Terminated child process [%d]", worker.pid)
            _log.info("Waiting for child process [%d]", worker.pid)

    def _exit(self, code: int) -> None:
        self._exit_code = code
        self._not_before = 0.0
        withdraw(self._sockets, self._config)
        for sock in self._sockets:  # with the workers' the last: who connects from then on is refused rather than kept
            sock.close()
        for worker in self._workers:
            self._retire(worker)

    def _bury_the_dead(self) -> None:
        for worker in [each for each in self._workers if each.exitcode is not None]:
            self._workers.remove(worker)
            for each in self._workers:
                if each.replaces is worker:
                    each.replaces, each.start_by = None, FOREVER
            worker.listen()  # to what it said with its last breath
            worker.close()
            if not worker.stopping:
                self._on_death(worker)

    def _on_death(self, worker: Worker) -> None:
        self._back_off(worker.born)
        serving = any(each.started and not each.stopping for each in self._workers)
        if worker.replaces is not None:
            self._keep(worker.replaces, worker, f"failed to start ({worker.fate()})")
        elif worker.started or worker.was_killed():
            _log.info("Child process [%d] died: %s", worker.pid, worker.fate())
        elif serving and self._was_complete:
            _log.error("Child process [%d] failed to start: %s", worker.pid, worker.fate())
        else:
            _log.error("Child process [%d] failed to start, stopping the parent process.", worker.pid)
            self._exit(StartupError.code)

    def _end_the_overdue(self) -> None:
        for worker in [each for each in self._workers if each.is_overdue()]:
            if worker.stopping:
                _log.error("Child process [%d] did not end in time, killing it.", worker.pid)
            elif worker.replaces is not None and not worker.started:
                self._keep(worker.replaces, worker, "was not ready in time")
            else:
                _log.info("Child process [%d] died: no answer", worker.pid)
                self._back_off(worker.born)
            worker.kill()

    def _keep(self, old: Worker, new: Worker, why: str) -> None:
        """Give up a restart; a worker that is spent has to be replaced all the same, later."""
        _log.error("New child process [%d] %s; keeping worker [%d] and aborting the restart.", new.pid, why, old.pid)
        for worker in self._workers:
            worker.outdated = worker.spent

    def _back_off(self, born: float) -> None:
        """A worker that was launched at `born` has died."""
        now = time.monotonic()
        if now < self._not_before:  # one of several that die of the same
            return
        self._deaths = 0 if now - born > _STABLE else self._deaths + 1
        if self._deaths:
            self._not_before = now + min(_MOST_DELAY, _LEAST_DELAY * 2 ** (self._deaths - 1))

    def _next_deadline(self) -> float:
        deadlines = [worker.deadline() for worker in self._workers]
        return min([*deadlines, self._not_before or FOREVER])
