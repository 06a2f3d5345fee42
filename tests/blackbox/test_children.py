"""Child processes of the application: signals end them, and they do not delay a stop."""

import contextlib
import os
import signal

import pytest

from tests.support.raw_client import Client

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

KINDS = {
    "asyncio": ("--loop", "asyncio"),
    "uvloop": ("--loop", "uvloop"),
    "workers": ("--workers", "2", "--log-level", "debug"),
    "reload": ("--reload", "--log-level", "debug"),
}


@pytest.fixture
def serve(start):
    """A function that starts a server of one of KINDS."""

    def serve(kind):
        if kind == "uvloop":
            pytest.importorskip("uvloop")
        server = start("children:app", *KINDS[kind])
        if "--loop" not in KINDS[kind]:
            server.log.wait_for(r"\] serves")
        return server

    return serve


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 1)])
def test_signal_ends_forked_child(serve, kind, number, code):
    server = serve(kind)
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get(f"/killed?{number}")
        assert int(client.read().body) == code


@pytest.fixture
def launch():
    """A function that makes the application start a child process, and returns its id."""
    children = []

    def launch(server, target):
        with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
            client.get(target, "connection: close")
            children.append(int(client.read().body))
        return children[-1]

    yield launch
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("kind", "number"),
    # Without a parent, the server ends by SIGTERM itself, and daemon processes survive.
    [
        ("asyncio", signal.SIGINT),
        ("uvloop", signal.SIGINT),
        ("workers", signal.SIGINT),
        ("workers", signal.SIGTERM),
        ("reload", signal.SIGTERM),
    ],
)
def test_daemon_process_ends_with_worker(serve, launch, kind, number):
    server = serve(kind)
    child = launch(server, "/daemon")
    server.signal(number)
    assert server.wait() == 0
    assert not is_there(child)


def test_other_child_process_delays_worker_only_briefly(serve, launch):
    server = serve("workers")
    child = launch(server, "/other")
    server.signal()
    server.log.wait_for("Stopping parent process")
    server.log.wait_for("WARNING:  Exiting although threads or child processes of the application are still running.")
    assert is_there(child)
