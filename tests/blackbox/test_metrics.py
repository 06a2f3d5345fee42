"""`--metrics-bind`: what Prometheus and people read, of one process and of several."""

import contextlib
import json
import os
import signal
import socket

import pytest

from tests.support import raw_websocket
from tests.support.raw_client import Client
from tests.support.server import Process, wait_until

parser = pytest.importorskip("prometheus_client.parser")
openmetrics = pytest.importorskip("prometheus_client.openmetrics.parser")

OPENMETRICS = "accept: application/openmetrics-text; version=1.0.0"


class Watched:
    """A server, and its metrics listener."""

    def __init__(self, server):
        self._server = server
        self.pid = server.pid
        self.port = server.port
        self.log = server.log
        self.signal = server.signal
        self.wait = server.wait
        found = server.log.wait_for(r"Metrics are shown on (?:http://127.0.0.1:(\d+)|unix socket (\S+))")
        self.place = found[2] or ("127.0.0.1", int(found[1]))

    def ask(self, path, *fields):
        with contextlib.closing(Client(self.place)) as client:
            client.get(path, *fields, "connection: close")
            return client.read()

    def samples(self):
        """The value of each sample, by its name and the values of its labels."""
        families = parser.text_string_to_metric_families(self.ask("/metrics").body.decode())
        return {
            (sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples
        }

    def value(self, *name):
        return self.samples().get(name, 0)

    def health(self):
        answer = self.ask("/health")
        return answer.status, json.loads(answer.body)

    def wait_for(self, value, *name):
        wait_until(lambda: self.value(*name) == value)


@pytest.fixture
def watch(start):
    """A function that starts a server with a metrics listener."""

    def watch(app="asgi:app", *flags, place="127.0.0.1:0", **options):
        return Watched(start(app, "--metrics-bind", place, *flags, **options))

    return watch


@pytest.fixture
def watched(watch):
    return watch()


def test_requests_are_counted_by_method_and_status(watched, connect):
    client = connect(watched)
    for method, target in (("GET", "/"), ("GET", "/nothing"), ("DELETE", "/")):
        client.get(target, method=method)
        client.read()
    samples = watched.samples()
    counted = sum(value for name, value in samples.items() if name[0] == "pronghorn_requests_total")
    assert counted == samples["http_server_request_duration_seconds_count",] == 3
    assert samples["http_server_request_duration_seconds_bucket", "+Inf"] == 3
    assert samples["http_server_active_requests",] == 0


def test_request_in_progress_is_shown(watched, connect):
    client = connect(watched)
    client.get("/listen?name=progress")
    watched.wait_for(1, "http_server_active_requests")
    client.socket.close()
    watched.wait_for(0, "http_server_active_requests")
    assert watched.value("pronghorn_cancelled_responses_total") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probe_is_counted_apart(watch, connect, method):
    watched = watch("asgi:app", "--health-path", "/health")
    client = connect(watched)
    client.get("/health", method=method)
    client.read(without_body=method == "HEAD")
    samples = watched.samples()
    assert samples["pronghorn_health_probes_total",] == 1
    assert samples["http_server_active_requests",] == samples["http_server_request_duration_seconds_count",] == 0
    assert not any(value for name, value in samples.items() if name[0] == "pronghorn_requests_total")


def test_both_text_formats_parse(watched):
    text, other = watched.ask("/metrics"), watched.ask("/metrics", OPENMETRICS)
    assert text.field("content-type").startswith("text/plain")
    assert other.field("content-type").startswith("application/openmetrics-text")
    names = {family.name for family in parser.text_string_to_metric_families(text.body.decode())}
    others = {family.name for family in openmetrics.text_string_to_metric_families(other.body.decode())}
    assert names - {"pronghorn_info"} == others - {"pronghorn"}
    assert {"http_server_request_duration_seconds", "pronghorn_connections", "process_resident_memory_bytes"} <= names


def test_refused_requests_are_counted_by_reason(watched, connect):
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/3.0\r\nhost: a\r\n\r\n", b"bad\r\n\r\n"):
        client = connect(watched)
        client.send(sent)
        client.read()
    assert watched.value("pronghorn_refused_requests_total", "malformed") == 2
    assert watched.value("pronghorn_refused_requests_total", "version") == 1
    assert watched.value("pronghorn_requests_total", "GET", "4xx") == 0


def test_requests_above_the_concurrency_limit_are_counted(watch, connect):
    watched = watch("asgi:app", "--limit-concurrency", "1")
    client = connect(watched)
    client.get("/")
    assert client.read().status == 503
    assert watched.value("pronghorn_refused_requests_total", "concurrency") == 1
    assert watched.value("pronghorn_requests_total", "GET", "5xx") == 1


def test_slow_client_is_counted(watch, connect):
    watched = watch("asgi:app", "--timeout-head", "1")
    client = connect(watched)
    client.send(b"GET / HT")
    assert client.read().status == 408
    assert watched.value("pronghorn_timeouts_total", "head") == 1


def test_websockets_are_counted(watch, connect):
    watched = watch("websocket_app:app")
    client = connect(watched)
    client.send(raw_websocket.handshake("/echo"))
    assert client.read_head().status == 101
    assert watched.value("pronghorn_websockets_total") == watched.value("pronghorn_open_websockets") == 1
    client.socket.close()
    watched.wait_for(0, "pronghorn_open_websockets")
    assert watched.value("pronghorn_requests_total", "GET", "1xx") == 1


def test_connections_are_shown_by_state(watched, connect):
    idle, active = connect(watched), connect(watched)
    idle.get("/")
    idle.read()
    active.get("/listen?name=active")
    watched.wait_for(1, "pronghorn_connections", "http1", "active")
    watched.wait_for(1, "pronghorn_connections", "http1", "idle")
    assert watched.value("pronghorn_accepted_connections_total") == 2


def test_process_is_shown(watched):
    wait_until(lambda: watched.value("process_cpu_seconds_total") > 0)
    pid = str(watched.pid)
    assert watched.value("process_resident_memory_bytes", pid) > 1_000_000
    assert watched.value("process_open_fds", pid) > 3
    wait_until(lambda: watched.value("pronghorn_event_loop_lag_seconds_count") > 0)


def test_application_does_not_see_the_listener(watched, connect):
    client = connect(watched)
    client.get("/health")
    assert b"workers" not in client.read().body


def test_listener_may_be_a_unix_socket(watch, tmp_path):
    path = tmp_path / "metrics"
    watched = watch(place=f"unix:{path}")
    wait_until(lambda: watched.health()[0] == 200)
    watched.signal()
    watched.wait()
    assert not path.exists()


def test_port_in_use_is_a_clear_error(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AssertionError) as error:
            start("asgi:app", "--metrics-bind", place)
    assert "Another process listens there" not in str(error.value)
    assert "address already in use" in str(error.value)


def test_listener_answers_while_the_event_loop_is_blocked(watch, connect):
    watched = watch("processes:app")
    client = connect(watched)
    client.get("/busy?seconds=3")
    watched.log.wait_for("busy")
    assert watched.health()[0] == 200
    assert client.read().status == 200


def test_health_describes_the_server(watched):
    wait_until(lambda: watched.health()[0] == 200)
    told = watched.health()[1]
    assert told["status"] == "ready"
    assert [worker["pid"] for worker in told["workers"]] == [watched.pid]
    assert set(told) == {"status", "version", "workers"}


def test_health_is_503_while_starting(start, tmp_path):
    wanted = tmp_path / "start"
    wanted.write_text("hang")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        host, port = sock.getsockname()
    flags = ["--port", "0", "--metrics-bind", f"{host}:{port}"]
    server = Process("processes:app", *flags, env={"START": str(wanted)})
    try:
        server.log.wait_for("hanging")
        with contextlib.closing(Client((host, port))) as client:
            client.get("/health", "connection: close")
            answer = client.read()
        assert (answer.status, json.loads(answer.body)["status"]) == (503, "starting")
    finally:
        server.end()


# Several processes


@pytest.fixture
def workers(watch):
    watched = watch("processes:app", "--workers", "2")
    wait_until(lambda: watched.health()[0] == 200)
    return watched


def visit(watched, count):
    for _ in range(count):
        with contextlib.closing(Client(("127.0.0.1", watched.port))) as client:
            client.get("/", "connection: close")
            assert client.read().status == 200


def test_workers_are_summed_up(workers):
    visit(workers, 20)
    assert workers.value("pronghorn_requests_total", "GET", "2xx") == 20
    assert workers.value("pronghorn_workers") == workers.value("pronghorn_worker_starts_total") == 2


def test_replaced_worker_keeps_its_number(workers):
    is_number = lambda name: name[0] == "pronghorn_worker_cpu_seconds_total"  # noqa: E731
    workers.signal(signal.SIGHUP)
    workers.log.wait_for("Finished server process", 2)
    workers.wait_for(4, "pronghorn_worker_starts_total")
    workers.wait_for(2, "pronghorn_workers")
    assert sorted(filter(is_number, workers.samples())) == [
        ("pronghorn_worker_cpu_seconds_total", "1"),
        ("pronghorn_worker_cpu_seconds_total", "2"),
    ]


def test_counters_never_go_back(workers):
    visit(workers, 20)
    first, second = (worker["pid"] for worker in workers.health()[1]["workers"])
    for pid in (first, second):
        os.kill(pid, signal.SIGKILL)
    workers.log.wait_for(r"died: SIGKILL", 2)
    workers.wait_for(2, "pronghorn_worker_ends_total", "signal")
    assert workers.value("pronghorn_requests_total", "GET", "2xx") == 20
    workers.wait_for(2, "pronghorn_workers")
    visit(workers, 5)
    assert workers.value("pronghorn_requests_total", "GET", "2xx") == 25


def test_health_shows_each_worker(workers):
    states = {worker["pid"]: worker["state"] for worker in workers.health()[1]["workers"]}
    assert list(states.values()) == ["serving", "serving"]
    assert workers.pid not in states


def test_reloader_has_no_metrics(start):
    server = start("asgi:app", "--reload", "--metrics-bind", "127.0.0.1:0")
    server.log.wait_for("--metrics-bind has no effect with --reload")
