"""An attack on a server, the service that an honest client gets meanwhile, and the server's memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from tests.attacks.outcome import Outcome, measured
from tests.support.server import PATIENCE

# Seconds after which a request of the honest client has failed.
LATEST = 5


class Honest:
    """A client with one connection at a time, which sends `rate` requests a second and measures each."""

    def __init__(self, rate: int) -> None:
        self._pause = 1 / rate
        self._connection: Any = None
        self.times: list[float] = []
        self.failures = 0

    def run(self, seconds: float) -> None:
        """Send requests for so many seconds."""
        due = time.monotonic()
        until = due + seconds
        with contextlib.closing(self):
            while due < until:
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    _age(due)
                    self.ask()
                    self.times.append(_age(due))
                except OSError:
                    self.failures += 1
                    self.close()
                due += self._pause

    def ask(self) -> None:
        """Send a request, over a new connection if there is none, and read the answer. A failure is an OSError."""
        raise NotImplementedError

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _age(due: float) -> float:
    """Return the seconds since a request was due; raise TimeoutError if they are more than LATEST."""
    # Not since it was sent: a slow answer delays the next requests.
    age = time.monotonic() - due
    if age > LATEST:
        raise TimeoutError
    return age


def measure(attack: Callable[[], int] | None, honest: Honest, seconds: float, memory: Callable[[], int]) -> Outcome:
    """Run the honest client for so many seconds, and `attack` in a process of its own meanwhile, unless it is None.

    `attack` returns the number of connections that it has opened, `memory` that of the server in bytes. An attack that
    fails or opens no connection is an error.
    """
    opened = multiprocessing.get_context("fork").Value("i", 0)
    before = most = memory()
    with _attacking(attack, opened) if attack else contextlib.nullcontext(), ThreadPoolExecutor(1) as pool:
        served = pool.submit(honest.run, seconds)
        is_done = False
        while not is_done:
            most = max(most, memory())
            is_done = bool(wait([served], 0.1).done)
        served.result()
    return measured(honest.times, honest.failures, most - before, opened.value)


@contextlib.contextmanager
def _attacking(attack: Callable[[], int], opened: Any) -> Iterator[None]:
    attacker = multiprocessing.get_context("fork").Process(target=_attack, args=(attack, opened))
    attacker.start()
    try:
        yield
        attacker.join(PATIENCE)
    finally:
        attacker.kill()
        attacker.join()
    if attacker.exitcode or not opened.value:
        raise RuntimeError("the attack did not happen")


def _attack(attack: Callable[[], int], opened: Any) -> None:
    opened.value = attack()
