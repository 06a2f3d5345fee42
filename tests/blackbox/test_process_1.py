"""The server as process 1, as in a container: the kernel ignores signals to it that have no handler."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import server as servers

UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


def can_unshare():
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not can_unshare(), reason="no process namespaces")


@pytest.fixture
def launch():
    """A function that starts a server as process 1 of a namespace."""
    with contextlib.ExitStack() as stack:

        def launch(app, *flags):
            server = servers.Process(app, "--port", "0", *flags, prefix=UNSHARE)
            stack.callback(server.end)
            return server

        yield launch


def signal_it(server, number):
    """Send a signal to process 1 from outside its namespace."""
    (child,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    os.kill(int(child), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("app", "flags", "line"),
    [
        ("lifespan:whole", (), "running on"),
        ("lifespan:hangs_at_startup", (), "hanging"),
        ("lifespan:hangs_at_startup", ("--workers", "2"), "hanging"),
        ("lifespan:hangs_at_startup", ("--reload",), "hanging"),
    ],
)
def test_signal_ends_server_with_0(launch, app, flags, line, number):
    server = launch(app, *flags)
    server.log.wait_for(line)
    signal_it(server, number)
    assert server.wait() == 0, server.log.text()


def test_sigterm_during_import_ends_server_with_0(launch):
    server = launch("slow:app")
    server.log.wait_for("importing")
    signal_it(server, signal.SIGTERM)
    assert server.wait() == 0
