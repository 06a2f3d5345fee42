"""A trial with an invented attack and an invented honest client."""

import multiprocessing
import sys
import threading

import pytest

from tests.attacks.trial import Honest, measure

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an attack is a forked process")


class Served(Honest):
    def ask(self):
        pass


class Refused(Honest):
    def ask(self):
        raise ConnectionRefusedError


class Broken(Honest):
    def ask(self):
        raise AssertionError("unforeseen")


def trial(honest, attack=None):
    return measure(attack, honest, 0.05, lambda: 0)


def fails():
    raise ConnectionRefusedError


def test_honest_client_is_measured():
    outcome = trial(Served(rate=100))
    assert outcome.requests > 0
    assert outcome.failures == outcome.connections == 0


def test_memory_counts_at_its_highest():
    sizes = iter([7, 9, 8])
    assert measure(None, Served(rate=100), 0.05, lambda: next(sizes, 8)).grown == 2


def test_attack_counts_connections():
    assert trial(Served(rate=100), lambda: 7).connections == 7


@pytest.mark.parametrize("attack", [fails, lambda: sys.exit(3), lambda: 0])
def test_attack_that_did_not_happen_is_an_error(attack):
    with pytest.raises(RuntimeError, match="did not happen"):
        trial(Served(rate=100), attack)


def test_refused_client_goes_on():
    outcome = trial(Refused(rate=100))
    assert outcome.requests == outcome.failures > 0


def test_late_answer_is_a_failure(monkeypatch):
    honest = Served(rate=100)
    honest.ask = lambda: monkeypatch.setattr("tests.attacks.trial.LATEST", 0)
    outcome = trial(honest)
    assert outcome.requests == outcome.failures > 0


def test_overdue_request_is_not_sent(monkeypatch):
    """Otherwise a client of a silent server would wait LATEST seconds for each."""
    monkeypatch.setattr("tests.attacks.trial.LATEST", 0)
    outcome = trial(Broken(rate=100))
    assert outcome.requests == outcome.failures > 0


def test_fault_of_the_honest_client_is_an_error():
    with pytest.raises(AssertionError, match="unforeseen"):
        trial(Broken(rate=100))


def test_attack_ends_with_the_trial():
    with pytest.raises(AssertionError, match="unforeseen"):
        trial(Broken(rate=100), threading.Event().wait)
    assert not multiprocessing.active_children()
