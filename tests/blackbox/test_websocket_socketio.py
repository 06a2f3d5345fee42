"""Socket.IO over polling and WebSocket, with its own client."""

import asyncio

import pytest

from tests.support.raw_websocket import EACH_ONCE
from tests.support.server import lacks

socketio = pytest.importorskip("socketio")
pytest.importorskip("aiohttp")


@pytest.fixture
def server(shared_servers):
    return shared_servers("socketio_ws:app", "interpreted" if lacks("compiled") else "compiled")


def run(server, talk, **more):
    """Run `talk` with a connected client."""

    async def main():
        async with socketio.AsyncSimpleClient() as client:
            await client.connect(server.url, wait_timeout=10, **more)
            await talk(client)

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize(
    ("transports", "used"),
    [(None, "websocket"), (["polling"], "polling"), (["websocket"], "websocket")],
)
@EACH_ONCE
def test_every_transport_works(shared_servers, variant, transports, used):
    async def talk(client):
        assert client.client.transport() == used
        assert await client.call("transport", timeout=10) == used
        for data in ("text", b"bytes" * 10_000, {"of": ["both", b"kinds"]}, 5):
            assert await client.call("echo", data, timeout=10) == data

    run(shared_servers("socketio_ws:app", *variant), talk, transports=transports)


def test_room_gets_messages(server):
    async def main():
        async with (
            socketio.AsyncSimpleClient() as first,
            socketio.AsyncSimpleClient() as second,
            socketio.AsyncSimpleClient() as third,
        ):
            await first.connect(server.url)
            await second.connect(server.url, transports=["polling"])
            await third.connect(server.url, transports=["websocket"])
            await first.emit("say", "hello")
            for client in (first, second, third):
                assert await client.receive(10) == ["said", "hello"]

    asyncio.run(asyncio.wait_for(main(), 20))


def test_connections_outlast_pings_of_socketio(server):
    """The pause is longer than Socket.IO's ping interval and timeout together."""

    async def main():
        async with socketio.AsyncSimpleClient() as polling, socketio.AsyncSimpleClient() as upgraded:
            await polling.connect(server.url, transports=["polling"])
            await upgraded.connect(server.url)
            await asyncio.sleep(1.5)
            assert await polling.call("echo", 1, timeout=10) == 1
            assert await upgraded.call("echo", 2, timeout=10) == 2

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
def test_refused_connection_raises(server, transports):
    async def main():
        async with socketio.AsyncSimpleClient() as client:
            with pytest.raises(socketio.exceptions.ConnectionError):
                await client.connect(server.url, auth={"token": "wrong"}, transports=transports)

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
def test_server_may_disconnect(server, transports):
    async def main():
        client = socketio.AsyncClient(reconnection=False)
        left = asyncio.Event()
        client.on("disconnect", lambda reason: left.set())
        await client.connect(server.url, transports=transports)
        await client.emit("leave")
        await left.wait()
        await client.disconnect()

    asyncio.run(asyncio.wait_for(main(), 20))
