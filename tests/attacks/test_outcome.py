"""The figures of an outcome."""

import math

from tests.attacks.outcome import Outcome, measured


def test_failures_are_requests_without_a_time():
    times = [number / 1000 for number in range(100, 0, -1)]
    assert measured(times, 3, 5, 7) == Outcome(103, 3, p50=51, p99=100, grown=5, connections=7)


def test_no_answer_has_no_time():
    outcome = measured([], 2, 0)
    assert outcome.requests == outcome.failures == 2
    assert math.isnan(outcome.p50)
    assert math.isnan(outcome.p99)
