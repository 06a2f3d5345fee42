"""Processes started without standard streams."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.support.raw_client import Client
from tests.support.server import APPS, PATIENCE, SOURCES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no such shell")

PROGRAM = """
import sys
import pronghorn

if __name__ == "__main__":
    pronghorn.run("streams:app", fd=int(sys.argv[1]), app_dir=sys.argv[2])
"""


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "<&- 2>&-"])
@pytest.mark.parametrize("kind", ["alone", "workers", "reload", "program"])
def test_closed_streams_are_null_device(tmp_path, kind, closed):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        number = str(sock.fileno())
        if kind == "program":
            (tmp_path / "program.py").write_text(PROGRAM)
            command = [sys.executable, tmp_path / "program.py", number, APPS]
        else:
            flags = {"alone": [], "workers": ["--workers", "2"], "reload": ["--reload", "--reload-dir", tmp_path]}[kind]
            command = [sys.executable, "-m", "pronghorn", "streams:app", "--app-dir", APPS, "--fd", number, *flags]
        server = subprocess.Popen(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[sock.fileno()],
        )
        try:
            with contextlib.closing(Client(sock.getsockname())) as client:
                client.get("/", "connection: close")
                assert client.read().body.decode() == "null 0, null 1, null 2"
            server.terminate()
            assert server.wait(PATIENCE) == (-signal.SIGTERM if kind in ("alone", "program") else 0)
        finally:
            server.kill()
            server.wait()
