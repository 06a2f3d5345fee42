"""The server as process 1, as in a container: the kernel ignores signals to it that have no handler."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import server as servers
from tests.support.raw_client import Client

UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


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


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def signal_it(server, number):
    """Send a signal to process 1 from outside its namespace."""
    (init,) = children(server.pid)
    os.kill(init, number)


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


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--reload",)], ids=str)
def test_orphans_are_reaped_and_exit_codes_kept(launch, flags):
    server = launch("orphans:app", "--log-level", "debug", *flags)
    server.wait_until_running()
    if flags:
        server.log.wait_for(r"\] serves")
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/")
        found = json.loads(client.read().body)
    assert found == {"subprocess": 7, "asyncio": 9, "multiprocessing": 5, "fork": 3, "orphan": "gone"}


def test_exit_code_of_server_is_kept(launch):
    assert launch("missing:app").wait() == 3


def test_death_of_server_by_other_signal_is_reported(launch):
    server = launch("lifespan:whole")
    server.wait_until_running()
    (init,) = children(server.pid)
    (child,) = children(init)
    os.kill(child, signal.SIGKILL)
    assert server.wait() == 128 + signal.SIGKILL


def test_inherited_socket_is_left_to_the_server():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = servers.Process("lifespan:whole", "--fd", str(sock.fileno()), prefix=UNSHARE, pass_fds=[sock.fileno()])
        try:
            server.log.wait_for("running on")
            (init,) = children(server.pid)
            assert sorted(os.listdir(f"/proc/{init}/fd")) == ["0", "1", "2"]
        finally:
            server.end()


def test_ctrl_c_reaches_the_server_once(launch):
    """The terminal signals the whole group: process 1 must not pass it on, or it would be the second one."""
    leader, follower = os.openpty()
    try:
        with open(follower, "rb+", buffering=0) as terminal:
            program = (
                "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
                "os.execvp(sys.argv[1], sys.argv[1:])"
            )
            command = [sys.executable, "-c", program, *UNSHARE, sys.executable, "-m", "pronghorn"]
            command += ["lifespan:whole", "--port", "0", "--app-dir", str(servers.APPS)]
            environment = {**os.environ, "PYTHONPATH": str(servers.SOURCES)}
            process = subprocess.Popen(
                command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
        log = servers.Lines(process.stderr)
        port = int(log.wait_for(r"running on http://127\.0\.0\.1:(\d+)")[1])
        with contextlib.closing(Client(("127.0.0.1", port))) as client:
            client.send(b"POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n")
            log.wait_for("slow begins")
            os.write(leader, b"\x03")
            log.wait_for("Shutting down")
            client.send(b"ok")
            assert client.read().status == 200
        assert process.wait(servers.PATIENCE) == 0
        process.stdout.close()
    finally:
        os.close(leader)
