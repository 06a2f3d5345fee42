"""Rates and percentiles from two samples."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("prometheus_client")

from pronghorn.top.figures import Change, Quantile, has_restarted, quantile
from tests.support.samples import sample

REQUESTS = "pronghorn_requests_total"


def test_rate_is_the_growth_of_all_labels_per_second() -> None:
    before = sample(10, {(REQUESTS, "GET", "2xx"): 100, (REQUESTS, "PUT", "5xx"): 1})
    after = sample(12, {(REQUESTS, "GET", "2xx"): 160, (REQUESTS, "PUT", "5xx"): 2, ("other",): 9})
    assert Change(before, after).rate(REQUESTS) == 30.5


def test_rates_are_told_apart_by_the_last_label() -> None:
    before = sample(0, {(REQUESTS, "GET", "2xx"): 10, (REQUESTS, "PUT", "2xx"): 10, (REQUESTS, "GET", "4xx"): 3})
    after = sample(2, {(REQUESTS, "GET", "2xx"): 14, (REQUESTS, "PUT", "2xx"): 16, (REQUESTS, "GET", "4xx"): 3})
    assert Change(before, after).rates(REQUESTS) == {"2xx": 5, "4xx": 0}


def test_first_sample_has_no_rates() -> None:
    change = Change(None, sample(5, {(REQUESTS, "GET", "2xx"): 10, ("time_bucket", "+Inf"): 10}))
    assert change.rate(REQUESTS) is change.rates(REQUESTS) is change.quantile(0.5, "time") is None


def test_counters_of_a_new_server_have_grown_from_zero() -> None:
    before = sample(0, {("a",): 100, ("b",): 1})
    after = sample(2, {("a",): 10, ("b",): 4})
    change = Change(before, after)
    assert (change.rate("a"), change.rate("b")) == (5, 2)


def test_counter_that_has_gone_back_is_of_a_new_server() -> None:
    before = sample(0, {("a",): 1, ("b",): 1})
    assert not has_restarted(before, sample(1, {("a",): 1, ("b",): 2, ("c",): 0}))
    assert has_restarted(before, sample(1, {("a",): 0, ("b",): 2}))
    assert has_restarted(before, sample(1, {("b",): 2}))


def test_gauge_may_go_back() -> None:
    assert not has_restarted(sample(0, gauges={("a",): 1}), sample(1, gauges={("a",): 0}))


BUCKETS = [(0.1, 10.0), (0.2, 30.0), (0.4, 40.0), (math.inf, 40.0)]


@pytest.mark.parametrize(
    ("share", "seconds"),
    [(0.125, 0.05), (0.25, 0.1), (0.5, 0.15), (0.75, 0.2), (0.875, 0.3), (1, 0.4)],
)
def test_quantile_is_interpolated_within_its_bucket(share: float, seconds: float) -> None:
    found = quantile(share, BUCKETS)
    assert found is not None
    assert not found.is_exceeded
    assert found.seconds == pytest.approx(seconds)


def test_empty_buckets_are_passed_over() -> None:
    assert quantile(0.5, [(1, 0.0), (2, 0.0), (4, 6.0), (math.inf, 6.0)]) == Quantile(3)


def test_quantile_in_the_last_bucket_exceeds_the_last_bound() -> None:
    buckets = [(5, 1.0), (10, 2.0), (math.inf, 4.0)]
    assert quantile(0.9, buckets) == Quantile(10, is_exceeded=True)
    assert quantile(0.5, buckets) == Quantile(10)


@pytest.mark.parametrize("buckets", [[], [(1, 0.0), (math.inf, 0.0)]])
def test_nothing_has_no_quantile(buckets: list[tuple[float, float]]) -> None:
    assert quantile(0.5, buckets) is None


def test_quantile_is_of_the_interval_alone() -> None:
    """Before the first sample, all requests were slow."""
    before = sample(0, {("t_bucket", "1.0"): 0, ("t_bucket", "10.0"): 50, ("t_bucket", "+Inf"): 90})
    after = sample(1, {("t_bucket", "1.0"): 8, ("t_bucket", "10.0"): 58, ("t_bucket", "+Inf"): 98})
    assert Change(before, after).quantile(0.5, "t") == Quantile(0.5)
