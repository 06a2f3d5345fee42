"""`--health-path` and `--drain-delay`: what a load balancer sees."""

import contextlib
import os
import signal
import time

import pytest

from tests.support.http2 import PREFACE, get, settings
from tests.support.raw_client import Client
from tests.support.server import Process, wait_until


@pytest.fixture(params=["1", "2"], ids=["one process", "two workers"])
def healthy(request, start):
    """A function that starts a server with a health path."""

    def healthy(*flags):
        server = start("processes:app", "--workers", request.param, "--health-path", "/health", *flags)
        wait_until(lambda: is_ready(server))
        return server

    return healthy


def ask(server, target="/health", method="GET"):
    """The status of an answer on a new connection."""
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get(target, "connection: close", method=method)
        return client.read(without_body=method == "HEAD").status


def ends(server, number=signal.SIGTERM):
    """Return whether the server ends without an error: a single process by the signal."""
    return server.wait() in (0, -number)


def is_ready(server):
    """Return whether a worker answers."""
    try:
        return ask(server) == 200
    except OSError:
        return False


def test_health_is_answered_without_the_application(shared_servers, variant, connect):
    client = connect(shared_servers("asgi:app", *variant, "--health-path", "/health"))
    for _ in range(2):
        client.get("/health?probe=1")
        answer = client.read()
        assert (answer.status, answer.body) == (200, b"ready\n")
        assert answer.field("cache-control") == "no-store"


def test_head_has_no_body(shared_servers, variant, connect):
    client = connect(shared_servers("asgi:app", *variant, "--health-path", "/health"))
    client.get("/health", method="HEAD")
    answer = client.read(without_body=True)
    assert (answer.status, answer.field("content-length")) == (200, "6")
    client.get("/health")
    assert client.read().status == 200


def test_other_methods_and_paths_reach_the_application(shared_servers, variant, connect):
    client = connect(shared_servers("asgi:app", *variant, "--health-path", "/health"))
    for method, target in (("POST", "/health"), ("GET", "/health/"), ("GET", "/Health")):
        client.get(target, "content-length: 0", method=method)
        assert client.read().body not in (b"ready\n", b"draining\n")


def test_health_does_not_count_as_concurrent(start):
    server = start("asgi:app", "--limit-concurrency", "1", "--health-path", "/health")
    assert ask(server, "/") == 503
    assert ask(server) == 200


FORMATS = {"default": (), "at the end": ("--access-log-format", '%(h)s "%(r)s" %(B)s')}


@pytest.mark.parametrize("name", FORMATS)
def test_probe_is_not_in_the_access_log(start, name):
    server = start("asgi:app", "--health-path", "/health", *FORMATS[name])
    for target in ("/health", "/after"):
        ask(server, target)
    server.access.wait_for("/after")
    assert "/health" not in server.access.text()


def test_probe_over_http2_is_not_in_the_access_log(start, connect):
    server = start("asgi:app", "--http2", "--health-path", "/health")
    connect(server).send(PREFACE + settings() + get(1, b"/health") + get(3, b"/after"))
    server.access.wait_for("/after")
    assert "/health" not in server.access.text()


def test_drain_delay_serves_on(healthy):
    server = healthy("--drain-delay", "3")
    server.signal()
    server.log.wait_for("Draining: the shutdown begins in 3 seconds")
    wait_until(lambda: ask(server) == 503)
    assert ask(server, "/") == 200
    assert ends(server)
    assert "Traceback" not in server.log.text()


@pytest.fixture
def spent(start):
    """A single process that has reached a limit at its first request."""
    server = start("processes:app", "--limit-max-requests", "1", "--health-path", "/health", "--drain-delay", "5")
    ask(server, "/")
    server.log.wait_for("Maximum request limit")
    return server


def test_single_process_serves_on_after_a_limit(spent):
    spent.log.wait_for("Draining: the shutdown begins in 5 seconds")
    assert (ask(spent), ask(spent, "/")) == (503, 200)
    assert spent.wait() == 0


def test_stop_of_a_process_that_leaves_already_changes_nothing(spent):
    began = time.monotonic()
    spent.log.wait_for("Draining")
    spent.signal()
    assert (ask(spent), ask(spent, "/")) == (503, 200)
    assert spent.wait() == -signal.SIGTERM
    assert time.monotonic() - began > 3


def test_process_that_leaves_can_be_interrupted(start):
    limits = ("--limit-max-requests", "1", "--drain-delay", "600")
    server = start("processes:app", *limits)
    ask(server, "/")
    server.log.wait_for("Draining")
    server.signal(signal.SIGINT)
    assert server.wait() == 0


def test_server_that_never_served_does_not_wait(start, tmp_path):
    wanted = tmp_path / "start"
    wanted.write_text("hang")
    server = Process("processes:app", "--port", "0", "--drain-delay", "600", env={"START": str(wanted)})
    try:
        server.log.wait_for("hanging")
        server.signal()
        assert ends(server)
        assert "Traceback" not in server.log.text()
    finally:
        server.end()


def test_second_signal_ends_the_delay(healthy):
    server = healthy("--drain-delay", "600")
    server.signal()
    server.log.wait_for("Draining")
    wait_until(lambda: ask(server) == 503)
    server.signal(signal.SIGINT)
    assert ends(server, signal.SIGINT) or ends(server)


def test_interrupt_does_not_wait(healthy):
    server = healthy("--drain-delay", "600")
    server.signal(signal.SIGINT)
    assert ends(server, signal.SIGINT) or ends(server)
    assert "Draining" not in server.log.text()


def test_signal_to_all_processes_delays_them_all(start):
    # As systemd does, which signals every process of a service.
    server = start(
        "processes:app", "--workers", "2", "--health-path", "/health", "--drain-delay", "2", "--log-level", "debug"
    )
    server.log.wait_for(r"\] serves", 2)
    workers = {int(found) for found in children(server.pid)}
    began = time.monotonic()
    for pid in [server.pid, *workers]:
        os.kill(pid, signal.SIGTERM)
    server.log.wait_for("Draining", 3)
    assert ask(server, "/") == 200
    assert server.wait() == 0
    assert time.monotonic() - began >= 2
    assert len([line for line in server.log if "Started server process" in line]) == 2


def test_replaced_worker_does_not_wait(start):
    server = start("processes:app", "--workers", "2", "--health-path", "/health", "--drain-delay", "600")
    server.log.wait_for(r"Started server process", 2)
    wait_until(lambda: is_ready(server))
    server.signal(signal.SIGHUP)
    server.log.wait_for(r"Finished server process", 2)
    assert ask(server) == 200


def children(pid):
    """The process IDs of the workers of `pid`, from its log's view of the system."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        found = file.read().split()
    return [child for child in found if b"resource_tracker" not in command(child)]


def command(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
