"""Connections are spread evenly over workers, and over servers with `--reuse-port`."""

import contextlib
import os
import re
import signal
import statistics
import sys
from collections import Counter

import pytest

from tests.support.raw_client import Client
from tests.support.server import Process, lacks

CONNECTIONS = 64
# The most that one of two workers may have, in percent; more in a burst, where the system decides which wakes first.
EVEN, EVEN_IN_A_BURST = 60, 67

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its event loop accepts by itself")


def burst(place, count=CONNECTIONS, tls=None):
    """Open connections at once. Returns the number of connections by worker."""
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(contextlib.closing(Client(place))) for _ in range(count)]
        for client in clients:
            client.get("/")
        return Counter(int(client.read().body) for client in clients)


def one_by_one(place, count=CONNECTIONS, tls=None):
    """Open each connection once the one before is answered, and keep all of them open."""
    with contextlib.ExitStack() as opened:
        return Counter(int(connect(opened, place, tls)[1]) for _ in range(count))


def connect(opened, place, tls=None):
    client = opened.enter_context(contextlib.closing(Client(place)))
    if tls is not None:
        client.socket = opened.enter_context(tls.wrap_socket(client.socket, server_hostname="localhost"))
    client.get("/")
    return client, client.read().body


def usual(way, place, workers, tls=None):
    """The usual shares of the workers with the most and the fewest connections, in percent.

    The median of trials: in a single one, another process may keep a worker from its processor.
    """
    trials = [way(place, tls=tls) for _ in range(7)]
    counts = [[*trial.values(), *[0] * (workers - len(trial))] for trial in trials]
    most, least = (statistics.median(kind(each) for each in counts) for kind in (max, min))
    return 100 * most / CONNECTIONS, 100 * least / CONNECTIONS


def serve(start, workers, *flags):
    server = start("processes:app", "--workers", str(workers), "--log-level", "debug", *flags)
    server.log.wait_for(r"\] serves", workers)
    return server


def workers_of(server):
    return [int(pid) for pid in re.findall(r"\[(\d+)\] serves", server.log.text())]


@pytest.mark.parametrize("way", [burst, one_by_one])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_two_workers_have_equal_shares(start, loop, way):
    if reason := lacks(loop=loop):
        pytest.skip(reason)
    server = serve(start, 2, "--loop", loop)
    most, _ = usual(way, ("127.0.0.1", server.port), 2)
    assert most <= (EVEN_IN_A_BURST if way is burst else EVEN)


@pytest.mark.parametrize("way", [burst, one_by_one])
def test_four_workers_have_equal_shares(start, way):
    server = serve(start, 4)
    most, least = usual(way, ("127.0.0.1", server.port), 4)
    assert most <= 35
    assert least >= 15


def test_workers_have_equal_shares_of_a_unix_socket(start, tmp_path):
    path = str(tmp_path / "socket")
    serve(start, 2, "--uds", path)
    assert usual(burst, path, 2)[0] <= EVEN_IN_A_BURST


def test_workers_have_equal_shares_over_tls(start, certificates):
    files = certificates.parameters
    server = serve(start, 2, "--ssl-certfile", str(files["ssl_certfile"]), "--ssl-keyfile", str(files["ssl_keyfile"]))
    assert usual(one_by_one, ("127.0.0.1", server.port), 2, certificates.trust())[0] <= EVEN


@pytest.mark.skipif(sys.platform != "linux", reason="--preload needs Linux")
def test_forked_workers_have_equal_shares(start):
    server = serve(start, 2, "--preload")
    assert usual(burst, ("127.0.0.1", server.port), 2)[0] <= EVEN_IN_A_BURST


def test_no_worker_idles_with_short_connections(start):
    server = serve(start, 2)
    answered = Counter()
    for _ in range(20):
        answered += burst(("127.0.0.1", server.port), 16)
    assert min(answered.values()) >= 0.2 * answered.total()
    assert len(answered) == 2


def test_worker_that_replaces_a_dead_one_catches_up(start):
    server = serve(start, 2)
    place = ("127.0.0.1", server.port)
    with contextlib.ExitStack() as opened:
        victim = max(int(connect(opened, place)[1]) for _ in range(32))
        os.kill(victim, signal.SIGKILL)
        server.log.wait_for(r"\] serves", 3)
        new = int(server.log.wait_for(r"\[(\d+)\] serves", 3)[1])
        answered = Counter(int(connect(opened, place)[1]) for _ in range(32))
    assert answered[new] > answered.total() / 2


def test_blocked_worker_does_not_keep_clients_waiting(start):
    server = serve(start, 2)
    place = ("127.0.0.1", server.port)
    with contextlib.ExitStack() as opened:
        stopped = int(connect(opened, place)[1])
        os.kill(stopped, signal.SIGSTOP)
        try:
            answered = Counter(int(connect(opened, place)[1]) for _ in range(32))
        finally:
            os.kill(stopped, signal.SIGCONT)
    assert stopped not in answered
    assert answered.total() == 32


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may give all connections to one of the servers")
def test_servers_share_a_port(start):
    first = start("processes:app", "--reuse-port")
    place = ("127.0.0.1", first.port)
    second = start("processes:app", "--reuse-port", "--port", str(first.port))
    assert set(burst(place)) == {first.pid, second.pid}
    first.signal()
    first.wait()
    assert set(burst(place)) == {second.pid}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may give all connections to one of the servers")
def test_workers_share_the_socket_of_a_shared_port(start):
    first = serve(start, 2, "--reuse-port")
    place = ("127.0.0.1", first.port)
    assert usual(burst, place, 2)[0] <= EVEN_IN_A_BURST
    second = serve(start, 2, "--reuse-port", "--port", str(first.port))
    assert set(burst(place)) == {*workers_of(first), *workers_of(second)}
    first.signal()
    assert first.wait() == 0
    assert set(burst(place)) == set(workers_of(second))


def test_port_is_not_shared_with_a_server_that_does_not_want_to():
    with contextlib.ExitStack() as stack:
        first = Process("processes:app", "--port", "0", "--reuse-port")
        stack.callback(first.end)
        first.wait_until_running()
        second = Process("processes:app", "--port", str(first.port))
        stack.callback(second.end)
        assert second.wait() == 3
        assert "address already in use" in second.log.text()
