"""Reading a large body in pieces, on each loop."""

import asyncio
import socket
import sys

import pytest

from pronghorn import Config, backend, loops
from pronghorn.server.large_reads import LARGE, Pieces
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.state import ServerState
from tests.support.server import PATIENCE, lacks

BODY = bytes(range(256)) * 4096
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pair of sockets does not hold as much")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_large_body_and_next_request_are_read_in_pieces(loop):
    if lacks("interpreted", loop):
        pytest.skip(lacks("interpreted", loop))
    parts = []

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            parts.append(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def main():
        state = make_state(app)
        ours, client = socket.socketpair()
        client.setblocking(False)
        request = POST % len(BODY) + BODY
        sent = client.send(request)
        assert sent > LARGE
        running = asyncio.get_running_loop()
        transport, _ = await running.connect_accepted_socket(lambda: HTTPProtocol(state), ours)
        await running.sock_sendall(client, request[sent:])
        assert (await running.sock_recv(client, 4096)).startswith(b"HTTP/1.1 204 ")
        assert isinstance(transport.get_protocol(), Pieces)
        assert b"".join(parts) == BODY

        parts.clear()
        await running.sock_sendall(client, POST % 3 + b"end")
        assert (await running.sock_recv(client, 4096)).startswith(b"HTTP/1.1 204 ")
        assert parts == [b"end"]

        client.shutdown(socket.SHUT_WR)
        assert await running.sock_recv(client, 4096) == b""
        client.close()
        while state.connections:
            await asyncio.sleep(0)

    async def bounded():
        await asyncio.wait_for(main(), PATIENCE)

    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        runner.run(bounded())


def make_state(app):
    config = Config(app, access_log=False, log_config=None)
    config.load()
    state = ServerState()
    state.prepare(config, backend.load("auto"), asyncio.get_running_loop(), {})
    return state
