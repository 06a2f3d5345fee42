"""A server that has run out of file descriptors."""

import contextlib
import os
import time

import pytest

from tests.support.raw_client import Client
from tests.support.server import PATIENCE, Process, lacks

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no such shell")

FEW = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_connections_wait_and_one_line_is_logged(tmp_path, loop, place):
    if reason := lacks(loop=loop):
        pytest.skip(reason)
    path = str(tmp_path / "s")
    server = Process(
        "lifespan:whole", "--loop", loop, "--bind", f"unix:{path}" if place == "unix" else ":0", prefix=FEW
    )
    with contextlib.ExitStack() as stack:
        stack.callback(server.end)
        server.wait_until_running()
        address = path if place == "unix" else ("127.0.0.1", server.port)
        clients = [stack.enter_context(contextlib.closing(Client(address))) for _ in range(100)]
        server.log.wait_for("WARNING:  Cannot accept connections: Too many open files")
        time.sleep(1.5)  # until accept is retried
        for client in clients[:60]:
            client.socket.close()
        for client in clients[60:]:
            client.socket.settimeout(PATIENCE)
            client.get("/")
            assert client.read().status == 200
    assert server.log.text().count("Cannot accept") == 1
    assert "Traceback" not in server.log.text()
    assert len(list(server.log)) < 20
