"""One attack on a server in its own process, and what an honest client and the memory show meanwhile."""

from __future__ import annotations

import multiprocessing
import threading
import time

from tests.attacks.clients import Attack, Honest, attack
from tests.attacks.outcome import Outcome, measured
from tests.support.server import Process


def quiet(server: Process, seconds: float, rate: int) -> Outcome:
    """The same without an attack."""
    return _measure(server, None, seconds, rate, 0)


def under(server: Process, chosen: Attack, seconds: float, rate: int, connections: int) -> Outcome:
    """Attack over several connections at once."""
    return _measure(server, chosen, seconds, rate, connections)


def _measure(server: Process, chosen: Attack | None, seconds: float, rate: int, connections: int) -> Outcome:
    before = server.memory()
    until = time.monotonic() + seconds
    opened = multiprocessing.get_context("fork").Value("i", 0)
    attacker = None
    if chosen is not None:
        arguments = (chosen, server.port, until, connections, opened)
        attacker = multiprocessing.get_context("fork").Process(target=_attack, args=arguments)
        attacker.start()
    honest = Honest(server.port, rate)
    runner = threading.Thread(target=honest.run, args=(until,))
    runner.start()
    most = before
    while runner.is_alive():
        most = max(most, server.memory())
        runner.join(0.1)
    if attacker is not None:
        attacker.join()
    return measured(honest.times, honest.failures, most - before, opened.value)


def _attack(chosen: Attack, port: int, until: float, connections: int, opened: object) -> None:
    opened.value = attack(chosen, port, until, connections)  # type: ignore[attr-defined]
