"""WSGI: a disconnect frees the thread and ends the response, and threads do not delay a stop."""

import json
import signal
import socket
import time

import pytest

from tests.support.raw_client import Client
from tests.support.server import PATIENCE

pytest.importorskip("a2wsgi")

THREADS = 10  # of the bridge
MANY = 2 * THREADS


@pytest.fixture
def served(start, variant):
    form, loop = variant
    return start("wsgi_app:app", "--interface", "wsgi", "--loop", loop, form=form)


def leave(server, target):
    """Read the head of a response, then reset the connection."""
    client = Client(("127.0.0.1", server.port))
    client.get(target)
    assert client.read_head().status == 200
    reset(client)


def reset(client):
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


def ask(server, target="/"):
    client = Client(("127.0.0.1", server.port))
    client.get(target)
    answer = client.read()
    client.close()
    assert answer.status == 200
    return answer.body


def wait_for_count(server, kind, name, count):
    end = time.monotonic() + PATIENCE
    while (seen := json.loads(ask(server))[kind].get(name, 0)) < count:
        assert time.monotonic() < end, f"{seen} of {count}"
    assert seen == count


@pytest.mark.parametrize("target", ["download", "endless", "write"])
def test_response_ends_at_disconnect(served, target):
    for _ in range(MANY):
        leave(served, f"/{target}")
    wait_for_count(served, "closed", target, MANY)


def test_response_longer_than_declared_ends(served):
    for _ in range(MANY):
        client = Client(("127.0.0.1", served.port))
        client.get("/too-long")
        client.rest()
        client.close()
    wait_for_count(served, "closed", "too-long", MANY)
    served.log.wait_for("body longer than its content-length", count=MANY)


def test_truncated_upload_raises(served):
    client = Client(("127.0.0.1", served.port))
    client.send(b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf")
    reset(client)
    wait_for_count(served, "failed", "upload", 1)


@pytest.mark.parametrize(("flags", "seen"), [((), ["proxy"]), (("--underscored-headers", "keep"), ["proxy,client"])])
def test_underscored_fields_are_dropped_by_default(start, connect, form, flags, seen):
    client = connect(start("wsgi_app:app", *flags, form=form))
    client.get("/fields", "x-remote-user: proxy", "x_remote_user: client")
    fields = json.loads(client.read().body)
    assert [fields["HTTP_X_REMOTE_USER"]] == seen


def test_disconnected_flask_downloads_free_their_threads(start, variant):
    pytest.importorskip("flask")
    form, loop = variant
    server = start("wsgi_app:flask", "--factory", "--loop", loop, form=form)
    for _ in range(MANY):
        leave(server, "/file")
    assert ask(server) == b"here"
    assert "Exception" not in server.log.text()


@pytest.mark.parametrize("target", ["download", "slow"])
def test_disconnected_responses_of_mounted_bridge_free_their_threads(start, connect, target):
    pytest.importorskip("fastapi")
    server = start("wsgi_app:mounted", "--factory")
    for _ in range(THREADS):
        leave(server, f"/wsgi/{target}")
    client = connect(server)
    client.socket.settimeout(5)
    client.get("/wsgi/")
    assert client.read().status == 200


WORKERS = ("--workers", "2", "--log-level", "debug")
STOPS = [
    (signal.SIGTERM, (), -signal.SIGTERM),
    (signal.SIGINT, (), 0),
    (signal.SIGTERM, WORKERS, 0),
    (signal.SIGINT, WORKERS, 0),
]


@pytest.mark.parametrize(("number", "flags", "code"), STOPS)
def test_stop_does_not_wait_for_busy_thread(start, connect, number, flags, code):
    server = start("wsgi_app:app", "--timeout-graceful-shutdown", "1", *flags)
    if flags == WORKERS:
        server.log.wait_for(r"\] serves")
    connect(server).get("/sleep")
    server.log.wait_for("^busy$")
    server.signal(number)
    assert server.wait() == code
    assert "SIGKILL" not in server.log.text()


def test_stop_does_not_wait_for_threads_after_disconnect(start):
    server = start("wsgi_app:app", "--timeout-graceful-shutdown", "600")
    for _ in range(MANY):
        leave(server, "/endless")
    server.signal()
    assert server.wait() == -signal.SIGTERM
