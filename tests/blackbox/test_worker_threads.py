"""`--worker-class thread`: threads that share sockets, and the supervisor that starts and replaces them."""

import contextlib
import json
import os
import re
import signal
import threading

import pytest

from pronghorn.process import gil
from tests.support.raw_client import Client, visit
from tests.support.server import Process, wait_until


@pytest.fixture
def start_threads(start):
    """A function that starts `count` worker threads."""

    def start_threads(*flags, app="worker_threads:app", count=2, **environment):
        flags = ("--workers", str(count), "--worker-class", "thread", "--log-level", "debug", *flags)
        server = start(app, *flags, env=environment)
        server.log.wait_for(r"\] serves", count)
        return server

    return start_threads


def started(server):
    """The numbers of the threads in the order of their start."""
    return [int(found[1]) for line in server.log if (found := re.search(r"Started worker thread \[(\d+)\]", line))]


def visit_each(server, target="/"):
    """Send requests on many connections that are open at the same time. Returns the different bodies."""
    with contextlib.ExitStack() as stack:
        bodies = set()
        for _ in range(40):
            client = stack.enter_context(contextlib.closing(Client(("127.0.0.1", server.port))))
            client.get(target)
            bodies.add(client.read().body.decode())
    return bodies


def test_single_worker_says_that_the_class_has_no_effect():
    process = Process("asgi:app", "--port", "0", "--worker-class", "thread")
    process.log.wait_for("WARNING:  --worker-class thread has no effect without --workers")
    process.end()


def test_every_thread_answers_correctly_under_load(start_threads):
    server = start_threads(count=4)
    failures, threads = [], set()

    def load(number):
        try:
            with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
                client.get("/")
                threads.add(int(client.read().body))
                for each in range(200):
                    body = f"{number}-{each},".encode() * (each % 50 + 1)
                    client.post("/echo", body)
                    answer = client.read()
                    assert (answer.status, answer.body) == (200, body)
        except BaseException as error:
            failures.append(error)

    clients = [threading.Thread(target=load, args=(number,)) for number in range(24)]
    for each in clients:
        each.start()
    for each in clients:
        each.join(60)
    assert not failures
    assert threads == set(started(server))


def test_application_is_imported_once_and_has_a_lifespan_in_each_thread(start_threads):
    server = start_threads()
    assert visit_each(server, "/lifespan") == {str(each) for each in started(server)}
    lines = list(server.log)
    assert lines.count("imported") == 1
    assert lines.count("INFO:     Application startup complete.") == 2


def test_factory_makes_an_application_for_each_thread(start_threads):
    server = start_threads("--factory", app="worker_threads:make")
    assert visit_each(server) == {"1", "2"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_threads_serve_until_signal(start_threads, number):
    server = start_threads()
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/wait")
        server.log.wait_for("waiting")
        server.signal(number)
        assert client.read().status == 200
    assert server.wait() == 0
    lines = list(server.log)
    for line in (
        f"INFO:     Started server process [{server.pid}]",
        f"INFO:     Received {number.name}, exiting.",
        *(f"INFO:     Terminated worker thread [{each}]" for each in started(server)),
        *(f"INFO:     Finished worker thread [{each}]" for each in started(server)),
    ):
        assert lines.count(line) == 1, server.log.text()
    assert lines.count("INFO:     Application shutdown complete.") == 2
    assert lines[-1] == f"INFO:     Stopping server process [{server.pid}]"


def test_sighup_replaces_the_threads_one_by_one(start_threads):
    server = start_threads()
    before = visit_each(server)
    server.signal(signal.SIGHUP)
    server.log.wait_for("Finished worker thread", 2)
    after = visit_each(server)
    assert len(after) == 2
    assert not before & after
    assert list(server.log).count("imported") == 1
    stages = re.findall(r"(serves\.|Terminated)", server.log.text())
    assert stages == ["serves.", "serves.", "serves.", "Terminated", "serves.", "Terminated"]


def test_failing_restart_keeps_the_threads(start_threads, tmp_path):
    path = tmp_path / "start"
    path.write_text("")
    server = start_threads(START=str(path))
    before = visit_each(server)
    path.write_text("fail")
    server.signal(signal.SIGHUP)
    server.log.wait_for(r"New worker thread \[\d+\] failed to start .* aborting the restart")
    assert visit_each(server) == before


def test_number_of_threads_changes_by_signals(start_threads):
    server = start_threads()
    server.signal(signal.SIGTTIN)
    server.log.wait_for("serves", 3)
    assert len(visit_each(server)) == 3
    server.signal(signal.SIGTTOU)
    server.log.wait_for("Finished worker thread")
    assert len(visit_each(server)) == 2


def test_thread_at_its_limit_is_replaced_and_the_unix_socket_stays(start_threads, tmp_path):
    path = str(tmp_path / "socket")
    server = start_threads("--limit-max-requests", "3", "--uds", path)
    wait_until(lambda: visit(server, place=path) and len(started(server)) == 4)
    server.log.wait_for("Finished worker thread")
    assert int(visit(server, place=path)) in started(server)
    server.signal()
    assert server.wait() == 0
    assert not os.path.exists(path)


def test_thread_that_raises_is_replaced(start_threads):
    server = start_threads()
    thread = visit(server, "/raise")
    server.log.wait_for(rf"Worker thread \[{thread}\] died: exit code 9")
    server.log.wait_for("serves", 3)
    bodies = visit_each(server)
    assert len(bodies) == 2
    assert thread not in bodies


def end_at_once(server):
    """Send SIGTERM, and SIGINT to wait no longer."""
    server.signal(signal.SIGTERM)
    server.log.wait_for("Received SIGTERM")  # the order of two pending signals is the kernel's choice
    server.signal(signal.SIGINT)


def test_thread_that_is_blocked_does_not_prevent_the_end(start_threads):
    server = start_threads()
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/block")
        server.log.wait_for("blocking")
        end_at_once(server)
        assert server.wait() == 0
    assert "Traceback" not in server.log.text()


def test_pool_of_a_thread_that_is_left_behind_does_not_prevent_the_end(start_threads):
    server = start_threads()
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/block-pool")
        server.log.wait_for("blocking")
        end_at_once(server)
        server.log.wait_for("Exiting although threads or child processes of the application are still running")
        assert server.wait() == 1


def test_threads_that_cannot_start_end_the_process(tmp_path):
    path = tmp_path / "start"
    path.write_text("fail")
    flags = ("--workers", "2", "--worker-class", "thread", "--port", "0")
    server = Process("worker_threads:app", *flags, env={"START": str(path)})
    assert server.wait() == 3
    assert re.search(r"Worker thread \[\d+\] failed to start, stopping the server process", server.log.text())


def test_watchdog_shows_the_stack_of_the_blocked_thread(start_threads):
    server = start_threads("--watchdog", "0.5")
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/block")
        server.log.wait_for("The event loop has been blocked")
        server.log.wait_for(r"time\.sleep\(600\)")


def test_metrics_show_the_threads_as_workers(start_threads):
    parser = pytest.importorskip("prometheus_client.parser")
    server = start_threads("--metrics-bind", "127.0.0.1:0")
    place = "127.0.0.1", int(server.log.wait_for(r"Metrics are shown on http://127.0.0.1:(\d+)")[1])
    visit_each(server)
    threads = {str(each) for each in started(server)}

    def samples():
        families = parser.text_string_to_metric_families(visit(server, "/metrics", place))
        return [each for family in families for each in family.samples]

    wait_until(lambda: {each.labels["pid"] for each in samples() if "latest_lag" in each.name} == threads)
    health = json.loads(visit(server, "/health", place))
    assert {str(each["pid"]) for each in health["workers"]} == threads
    found = samples()
    (memory,) = [each for each in found if each.name == "process_resident_memory_bytes"]
    assert memory.labels["pid"] == str(server.pid)
    assert memory.value > 0
    assert sum(each.value for each in found if each.name == "pronghorn_requests_total") == 40


def test_gil_is_reported_at_the_start(start_threads):
    server = start_threads()
    assert ("Worker threads do not run in parallel" in server.log.text()) == gil.is_enabled()
