"""`--workers`: keep a number of processes that serve the same sockets. Independent of HTTP.

Signals, messages and deaths of workers only change the wanted state; `_balance` then launches and stops workers.
"""

from __future__ import annotations

import itertools
import logging
import socket
import sys
import time
from collections.abc import Mapping

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.errors import StartupError
from pronghorn.listen import balance
from pronghorn.listen.sockets import withdraw
from pronghorn.logging import log
from pronghorn.metrics.page import Pages
from pronghorn.process.service_manager import ServiceManager
from pronghorn.process.upgrade import Upgrade
from pronghorn.shared_memory import Memory
from pronghorn.supervisor.nursery import Event, Nurseries
from pronghorn.supervisor.signals import EXIT_SIGNALS, Signals
from pronghorn.supervisor.tally import Cause, Tally
from pronghorn.supervisor.worker_handle import State, WorkerHandle, launch, wait
from pronghorn.supervisor.worker_messages import HEARTBEAT, max_stop_time

_OTHER_SIGNALS = ("SIGHUP", "SIGTTIN", "SIGTTOU", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCHLD")

# When a worker dies younger than this, the next launch is delayed: the delay doubles each time, up to the maximum.
_STABLE_AGE = 10.0
_MIN_DELAY = 0.5
_MAX_DELAY = 30.0

_log = logging.getLogger("pronghorn.error")


class Supervisor:
    """Keeps `config.workers` processes that serve the bound `sockets`, until a signal ends them all.

    `tally` counts them. `upgrade`, if given, replaces all of this program after SIGUSR2. `manager` is told about it.
    """

    noun = "parent process"
    worker_noun, workers_noun = "process", "processes"

    def __init__(
        self,
        config: Config,
        sockets: list[socket.socket],
        upgrade: Upgrade | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        self.tally = Tally()
        self._config = config
        self.pages = self._make_pages()
        self._sockets = sockets
        self._upgrade = upgrade
        self._manager = manager or ServiceManager()
        self._wanted = config.workers or 1
        self._memory = _allocate_table(self._wanted)
        self._table = None if self._memory is None else balance.Table(self._memory)
        self._nurseries = Nurseries(config, sockets, self._memory) if config.preload else None
        self._workers: list[WorkerHandle] = []  # the oldest first
        self._was_complete = False  # once all wanted workers served at the same time
        self._early_deaths = 0
        self._not_before = 0.0
        self._exit_code: int | None = None
        self._exit_at = FOREVER

    def run(self) -> int:
        """Run until a signal; return the exit code: 0 after a signal, 3 if workers cannot start."""
        with Signals(*EXIT_SIGNALS, *_OTHER_SIGNALS) as signals:
            log.announce(f"Started {self.noun}")
            try:
                self._supervise(signals)
            finally:
                for worker in self._workers:
                    worker.kill()
                    worker.close()
                if self._nurseries is not None:
                    self._nurseries.end()
            log.announce(f"Stopping {self.noun}")
        assert self._exit_code is not None
        return self._exit_code

    def _supervise(self, signals: Signals) -> None:
        self._balance()
        failure = ""
        while self._workers or self._exit_code is None:
            try:
                self._step(signals)
            except Exception as error:
                # The workers must continue to serve, even if this fails every time.
                if failure != (failure := repr(error)):
                    _log.exception("Cannot supervise the %s: %r", self.workers_noun, error)
                time.sleep(HEARTBEAT)

    def _step(self, signals: Signals) -> None:
        """Wait for the next event, and act on it."""
        others = [each for each in (self._upgrade, self._nurseries) if each is not None]
        waitables = [signals, *(each for other in others for each in other.waitables())]
        wait(waitables, self._workers, min(self._next_deadline(), self._manager.beat()))
        if not self._was_complete and sum(each.is_serving() for each in self._settled()) >= self._wanted:
            self._was_complete = True
            if self._upgrade is not None:
                self._upgrade.announce()
        for name in signals.read():
            self._on_signal(name)
        if self._nurseries is not None:
            self._follow(self._nurseries)
        if self._upgrade is not None and self._exit_code is None and self._upgrade.step():
            self._exit(0)
        if time.monotonic() >= self._exit_at and self._exit_code is None:
            self._exit(0)
        self._remove_ended()
        self._kill_overdue()
        self._balance()
        self._report()

    def phase(self) -> str:
        """For the metrics listener: `starting`, `ready` or `draining`."""
        if self._exit_code is not None or self._exit_at != FOREVER:
            return "draining"
        return "ready" if self._was_complete else "starting"

    def workers(self) -> list[tuple[int, str, float]]:
        """For the metrics listener: the process ID, state and age in seconds of each worker."""
        now = time.monotonic()
        return [(each.pid, each.state.name.lower(), now - each.launched_at) for each in list(self._workers)]

    def worker_events(self) -> tuple[int, Mapping[Cause, int]]:
        """For the metrics listener: the numbers of workers started, and ended by cause."""
        return self.tally.starts, self.tally.ends

    def _on_signal(self, name: str) -> None:
        if self._exit_code is not None:
            if name == "SIGINT":
                for worker in self._workers:
                    worker.kill()
            return
        match name:
            case "SIGINT" | "SIGTERM" | "SIGBREAK":
                _log.info("Received %s, exiting.", name)
                if name == "SIGTERM" and self._config.drain_delay and self._exit_at == FOREVER and self._serves():
                    self._drain()
                else:
                    self._exit(0)
            case "SIGHUP":
                _log.info("Received SIGHUP, restarting %s.", self.workers_noun)
                self._manager.reloading()
                self._reload_logging()
                if self._nurseries is not None:
                    self._nurseries.start()
                else:
                    self._restart()
            case "SIGUSR1":
                _log.info("Received SIGUSR1, reopening the log files.")
                self._reopen_logs()
                for worker in self._workers:
                    worker.reopen_logs()
            case "SIGTTIN":
                _log.info("Received SIGTTIN, increasing the number of %s.", self.workers_noun)
                self._wanted += 1
            case "SIGTTOU" if self._wanted > 1:
                _log.info("Received SIGTTOU, decreasing number of %s.", self.workers_noun)
                self._wanted -= 1
            case "SIGTTOU":
                _log.info("Received SIGTTOU, decreasing number of %s.", self.workers_noun)
                _log.info(
                    "Already reached one %s, cannot decrease the number of %s anymore.",
                    self.worker_noun,
                    self.workers_noun,
                )
            case "SIGUSR2" if self._upgrade is not None:
                self._upgrade.request()
            case "SIGCHLD":  # wakes us if a process that the worker forked keeps the worker's sentinel open
                pass
            case _:
                _log.debug("Received signal %s, but no handler is defined for it.", name)

    def _restart(self) -> None:
        for worker in self._workers:
            worker.request_restart()

    def _follow(self, nurseries: Nurseries) -> None:
        """Act on the changes of the processes that fork the workers."""
        for event in nurseries.update():
            if self._exit_code is not None:
                return
            match event:
                case Event.RENEWED:
                    self._restart()
                case Event.CANNOT_LOAD:
                    _log.error("Cannot import the application, stopping the %s.", self.noun)
                    self._exit(StartupError.code)
                case Event.LOST:
                    _log.error("The process that forks workers has ended, starting another.")
                    self._back_off(time.monotonic())

    def _balance(self) -> None:
        """Launch missing workers, stop surplus ones, and replace workers one by one."""
        if self._exit_code is not None or self._exit_at != FOREVER:
            return
        for worker in self._workers:
            if worker.is_serving() and worker.replaces is not None:
                self._stop(worker.replaces, worker.replaces.replacement)
                worker.replaces = None
        settled = self._settled()
        for worker in settled[self._wanted :]:
            self._stop(worker, Cause.SURPLUS)
        if time.monotonic() < self._not_before:
            return
        self._not_before = 0.0
        if self._nurseries is not None and not self._nurseries.is_ready():
            if not self._nurseries.is_loading():
                self._nurseries.start()
            return
        for _ in range(self._wanted - len(settled)):
            self._launch()
        if all(each.is_active() and each.replaces is None for each in self._workers):
            for worker in settled:
                if worker.is_serving() and worker.replacement is not None:
                    self._launch(replaces=worker)
                    if worker.replacement is Cause.RSS:
                        self._back_off(worker.launched_at)  # the limit may be less than every worker needs
                    break

    def _reload_logging(self) -> None:
        """Prepare for the restart of all workers. A new process configures its own logging."""
        self._reopen_logs()

    def _reopen_logs(self) -> None:
        from pronghorn.logging import log_files  # rarely needed

        log_files.reopen()
        if self._nurseries is not None:
            self._nurseries.reopen_logs()

    def _report(self) -> None:
        """Tell the service manager how many workers serve, and when a start or a restart is over."""
        active = [each for each in self._workers if each.is_active()]
        serving = sum(each.is_serving() for each in active)
        status = f"{serving} workers" if serving == self._wanted else f"{serving} of {self._wanted} workers"
        is_restarting = any(each.replaces or each.replacement is Cause.RESTART for each in active)
        is_restarting |= self._nurseries is not None and self._nurseries.is_loading()
        if self._was_complete and not is_restarting:
            self._manager.ready(status)
        self._manager.report(status)

    def _settled(self) -> list[WorkerHandle]:
        """The workers that count as wanted ones: active, and not waiting to replace another worker."""
        return [each for each in self._workers if each.is_active() and each.replaces is None]

    def _launch(self, replaces: WorkerHandle | None = None) -> None:
        serve_within = FOREVER
        if replaces is not None and replaces.replacement is Cause.RESTART:
            serve_within = self._config.timeout_worker_healthcheck or FOREVER
        try:
            worker = self._start(replaces, serve_within)
        except Exception as error:
            _log.error("Cannot launch a %s: %r", self.worker_noun, error)
            self._back_off(time.monotonic())
            return
        worker.slot = self._free_slot() if replaces is None else replaces.slot
        self._workers.append(worker)
        self.tally.count_start()
        if self._table is not None:
            self._table.add(worker.pid)
        if worker.page is not None:
            self.pages.add(worker.pid, worker.page, worker.slot)

    def _free_slot(self) -> int:
        """The lowest slot that no wanted worker has."""
        taken = {each.slot for each in self._settled()}
        return next(slot for slot in itertools.count(1) if slot not in taken)

    def _make_pages(self) -> Pages:
        return Pages()

    def _start(self, replaces: WorkerHandle | None, serve_within: float) -> WorkerHandle:
        """A new worker. Raises anything if it cannot be launched."""
        if self._nurseries is not None:
            return self._nurseries.launch(replaces, serve_within)
        return launch(self._config, self._sockets, replaces, serve_within, table=self._memory)

    def _stop(self, worker: WorkerHandle, cause: Cause | None = None) -> None:
        if worker.is_active():
            self.pages.stop(worker.pid)
            worker.stop(max_stop_time(self._config), cause)
            _log.info("Terminated %s", worker)
            _log.info("Waiting for %s", worker)

    def _serves(self) -> bool:
        return any(each.is_serving() for each in self._workers)

    def _drain(self) -> None:
        """Serve on for `drain_delay` seconds, while the health paths send clients elsewhere."""
        _log.info("Draining: the shutdown begins in %g seconds.", self._config.drain_delay)
        self._exit_at = time.monotonic() + self._config.drain_delay
        self._manager.stopping()
        if self._upgrade is not None:
            self._upgrade.give_up()
        self.pages.drain()

    def _exit(self, code: int) -> None:
        self._exit_code = code
        self._manager.stopping()
        self._not_before = 0.0
        if self._upgrade is not None:
            self._upgrade.give_up()
        if self._upgrade is None or not self._upgrade.is_done():
            self.pages.drain()
        withdraw(self._sockets, self._config)
        for sock in self._sockets:  # once the workers have closed them too, new connections are refused, not queued
            sock.close()
        for worker in self._workers:
            self._stop(worker)

    def _remove_ended(self) -> None:
        for worker in [each for each in self._workers if each.exitcode is not None]:
            self._workers.remove(worker)
            for each in self._workers:
                if each.replaces is worker:
                    each.forget_replaced()
            if (cause := worker.cause_of_end()) is not None and self._exit_code is None:
                self.tally.count_end(cause)
            self.pages.retire(worker.pid)
            if self._table is not None:
                self._table.remove(worker.pid)
            worker.close()
            if worker.state is not State.STOPPED and self._exit_code is None:
                self._on_death(worker)

    def _on_death(self, worker: WorkerHandle) -> None:
        self._back_off(worker.launched_at)
        if worker.replaces is not None:
            self._cancel_restart(worker.replaces, worker, f"failed to start ({worker.exit_reason()})")
        elif worker.state is State.DIED or worker.was_killed():
            _log.info("%s died: %s", worker.title, worker.exit_reason())
        elif self._was_complete and self._serves():
            _log.error("%s failed to start: %s", worker.title, worker.exit_reason())
        else:
            _log.error("%s failed to start, stopping the %s.", worker.title, self.noun)
            self._exit(StartupError.code)

    def _kill_overdue(self) -> None:
        for worker in [each for each in self._workers if each.is_overdue()]:
            cause = Cause.NO_ANSWER
            if worker.state is State.STOPPING:
                _log.error("%s did not end in time, %s.", worker.title, worker.last_resort)
            elif worker.replaces is not None:
                self._cancel_restart(worker.replaces, worker, "was not ready in time")
                cause = Cause.START
            else:
                _log.info("%s died: no answer", worker.title)
                self._back_off(worker.launched_at)
            worker.kill(cause)

    def _cancel_restart(self, old: WorkerHandle, new: WorkerHandle, reason: str) -> None:
        """Keep the old workers. Those that reached a limit are still replaced later."""
        _log.error("New %s %s; keeping worker [%d] and aborting the restart.", new, reason, old.pid)
        for worker in self._workers:
            worker.cancel_restart()

    def _back_off(self, launched_at: float) -> None:
        """Delay the next launch: a worker that was launched at `launched_at` has died."""
        now = time.monotonic()
        if now < self._not_before:  # several workers died of the same cause: count it once
            return
        self._early_deaths = 0 if now - launched_at > _STABLE_AGE else self._early_deaths + 1
        if self._early_deaths:
            self._not_before = now + min(_MAX_DELAY, _MIN_DELAY * 2 ** (self._early_deaths - 1))

    def _next_deadline(self) -> float:
        exit_at = self._exit_at if self._exit_code is None else FOREVER
        upgraded = FOREVER if self._upgrade is None else self._upgrade.deadline
        return min([*(worker.deadline for worker in self._workers), self._not_before or FOREVER, upgraded, exit_at])


def _allocate_table(workers: int) -> Memory | None:
    """The memory in which workers see each other's connections, with room for more of them and their successors."""
    if sys.platform != "win32":  # where the event loop accepts by itself
        try:
            return balance.allocate(2 * workers + 16)
        except OSError as error:
            _log.warning("Workers cannot share connections evenly: %s", error)
    return None
