"""The metrics listener, and the metrics that it shows of a server that is not one."""

import contextlib
import json
import logging
import re
import socket
import sys

import pytest

from pronghorn.errors import StartupError
from pronghorn.metrics import layout, page
from pronghorn.metrics.page import Pages
from tests.support.raw_client import Client

parser = pytest.importorskip("prometheus_client.parser")
listener = pytest.importorskip("pronghorn.metrics.listener")


class Observed:
    """A server with two workers, one of which has ended."""

    def __init__(self):
        self.state = "ready"
        self.pages = Pages()
        for pid in (1, 2):
            self.pages.add(pid, page.allocate())
        self.pages.retire(1)

    def phase(self):
        return self.state

    def workers(self):
        return [(2, "serving", 12.34)]

    def worker_events(self):
        return 2, {"no_answer": 1}

    def set(self, cell, value):
        made = page.allocate()
        made[cell] = value
        self.pages.add(2, made)


@pytest.fixture
def observed():
    return Observed()


@pytest.fixture
def ask(observed, caplog):
    """A function that sends a request to the listener."""
    with caplog.at_level(logging.INFO, "pronghorn.error"), listener.listening("127.0.0.1:0", observed):
        port = int(re.search(r"Metrics are shown on http://127.0.0.1:(\d+)", caplog.text)[1])

        def ask(path, method="GET"):
            with contextlib.closing(Client(("127.0.0.1", port))) as client:
                client.get(path, "connection: close", method=method)
                return client.read()

        yield ask
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 5)


def samples(ask):
    families = parser.text_string_to_metric_families(ask("/metrics").body.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_counter_has_a_sample_for_each_combination_of_labels(ask, observed):
    observed.set(layout.REQUESTS + len(layout.STATUSES) + 2, 5)
    shown = {name: value for name, value in samples(ask).items() if name[0] == "pronghorn_requests_total"}
    assert len(shown) == len(layout.METHODS) * len(layout.STATUSES)
    assert {name: value for name, value in shown.items() if value} == {("pronghorn_requests_total", "POST", "2xx"): 5}


def test_buckets_include_each_other(ask, observed):
    observed.set(layout.DURATION + 1, 3)
    shown = samples(ask)
    buckets = {
        name[1]: value
        for name, value in shown.items()
        if name[0].startswith("http_server_request_duration_seconds_bucket")
    }
    assert (buckets["0.001"], buckets["0.0025"], buckets["10.0"], buckets["+Inf"]) == (0, 3, 3, 3)
    assert shown["http_server_request_duration_seconds_count",] == 3


def test_time_is_in_seconds(ask, observed):
    observed.set(layout.CPU, 1_500_000_000)
    assert samples(ask)["process_cpu_seconds_total",] == 1.5
    assert samples(ask)["pronghorn_worker_cpu_seconds_total", "1"] == 1.5


def test_worker_has_its_own_sample(ask, observed):
    observed.set(layout.MEMORY, 1000)
    shown = {name: value for name, value in samples(ask).items() if name[0] == "process_resident_memory_bytes"}
    assert shown == {("process_resident_memory_bytes", "2"): 1000}


def test_workers_are_counted(ask):
    shown = samples(ask)
    assert shown["pronghorn_worker_starts_total",] == 2
    assert shown["pronghorn_worker_ends_total", "no_answer"] == 1
    assert shown["pronghorn_workers",] == 1


@pytest.mark.parametrize(("phase", "status"), [("starting", 503), ("ready", 200), ("draining", 503)])
def test_health_follows_the_phase(ask, observed, phase, status):
    observed.state = phase
    answer = ask("/health")
    told = json.loads(answer.body)
    assert (answer.status, told["status"]) == (status, phase)
    assert told["workers"] == [{"pid": 2, "state": "serving", "age": 12.3}]


def test_error_of_the_observed_server_ends_nothing(ask, observed, caplog):
    observed.workers = None
    assert ask("/health").status == 500
    observed.workers = list
    assert ask("/health").status == 200


def test_place_in_use_is_refused(observed):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartupError, match="address already in use"), listener.listening(place, observed):
            pass


def test_missing_library_is_named(observed, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        pytest.raises(StartupError, match=r"pip install 'pronghorn\[metrics\]'"),
        listener.listening("127.0.0.1:0", observed),
    ):
        pass
