"""Real WebSocket clients: websockets, aiohttp, picows and websocket-client, with permessage-deflate and without."""

import asyncio
import random

import pytest

websockets = pytest.importorskip("websockets")
from websockets.asyncio.client import connect as connect_async  # noqa: E402
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate  # noqa: E402
from websockets.sync.client import connect as connect_sync  # noqa: E402

# Compressible text, incompressible bytes, and sizes at the limits of the length encodings.
MESSAGES = [
    "",
    "short",
    "ünï\N{BUTTERFLY}" * 50,
    b"",
    b"x" * 125,
    "y" * 126,
    b"z" * 65535,
    "a long text that folds well. " * 20_000,
    random.Random(0).randbytes(200_000),
    bytes(1 << 20),
]

EXTENSIONS = {
    "plain": None,
    "default": [Deflate(client_max_window_bits=True)],
    "no takeover": [Deflate(server_no_context_takeover=True, client_no_context_takeover=True)],
    "small windows": [Deflate(server_max_window_bits=9, client_max_window_bits=9)],
    "large windows": [Deflate(server_max_window_bits=15, client_max_window_bits=15)],
}


@pytest.fixture
def server(shared_servers, variant):
    return shared_servers("websocket_app:app", *variant)


@pytest.fixture(params=["deflate", "plain"])
def either(shared_servers, form, request):
    """A server with or without compression, and whether it compresses."""
    flags = () if request.param == "deflate" else ("--ws-per-message-deflate", "false")
    return shared_servers("websocket_app:app", form, "asyncio", *flags), request.param == "deflate"


def url(server, path="/echo"):
    return f"ws://127.0.0.1:{server.port}{path}"


@pytest.mark.parametrize("extensions", list(EXTENSIONS))
def test_websockets_echoes(server, extensions):
    async def main():
        async with connect_async(
            url(server), compression=None, extensions=EXTENSIONS[extensions], max_size=None, proxy=None
        ) as client:
            assert [each.name for each in client.protocol.extensions] == (
                [] if extensions == "plain" else ["permessage-deflate"]
            )
            for _ in range(2):
                for message in MESSAGES:
                    await client.send(message)
                    assert await client.recv() == message
        assert client.close_code == 1000

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("compression", ["deflate", None])
def test_websockets_sends_fragments_and_everything_at_once(server, compression):
    async def main():
        async with connect_async(url(server), compression=compression, max_size=None, proxy=None) as client:
            sending = asyncio.create_task(send_all(client))
            for message in MESSAGES:
                assert await client.recv() == message
            await sending

    async def send_all(client):
        for message in MESSAGES:
            part = len(message) // 3 + 1
            await client.send(message[at : at + part] for at in range(0, len(message) or 1, part))

    asyncio.run(asyncio.wait_for(main(), 20))


def test_websockets_echoes_in_threads(either):
    server, deflates = either
    with connect_sync(url(server), max_size=None, proxy=None) as client:
        assert bool(client.protocol.extensions) == deflates
        for message in MESSAGES:
            client.send(message)
            assert client.recv(10) == message
        assert client.ping().wait(10)


def test_websockets_iterates_until_server_closes(server):
    async def main():
        async with connect_async(url(server, "/choir?voices=3&each=4&size=1000"), proxy=None) as client:
            return [message async for message in client]

    assert len(asyncio.run(asyncio.wait_for(main(), 20))) == 12


@pytest.mark.parametrize(
    ("path", "code"), [("/refuse?name=client", 403), ("/deny?name=client", 401), ("/fail?when=before&how=error", 500)]
)
def test_websockets_gets_refusal(server, path, code):
    with pytest.raises(websockets.InvalidStatus) as caught, connect_sync(url(server, path), proxy=None):
        pass
    assert caught.value.response.status_code == code
    if code == 401:
        assert caught.value.response.body == b"who are you?"


def test_websockets_gets_code_and_reason(server):
    with (
        connect_sync(url(server, "/part?name=client&code=4321&reason=enough"), proxy=None) as client,
        pytest.raises(websockets.ConnectionClosedError) as caught,
    ):
        client.recv(10)
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "enough")


def test_messages_of_several_tasks_are_compressed_in_order(server):
    """Context takeover would fail if the messages of two tasks mixed."""

    async def main():
        async with connect_async(
            url(server, "/choir?voices=10&each=20&size=20000"), max_size=None, proxy=None
        ) as client:
            assert client.protocol.extensions
            return [message async for message in client]

    heard = {}
    for message in asyncio.run(asyncio.wait_for(main(), 20)):
        assert message[6:] == message[6] * 20000
        heard.setdefault(message[6], []).append(int(message[:6]))
    assert heard == {letter: list(range(20)) for letter in "ABCDEFGHIJ"}


@pytest.mark.parametrize("compress", [0, 9, 15])
def test_aiohttp_echoes(either, compress):
    aiohttp = pytest.importorskip("aiohttp")
    server, deflates = either

    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url(server), compress=compress, max_msg_size=0) as client:
                assert bool(client.compress) == bool(compress and deflates)
                for message in MESSAGES:
                    if isinstance(message, str):
                        await client.send_str(message)
                        assert await client.receive_str() == message
                    else:
                        await client.send_bytes(message)
                        assert await client.receive_bytes() == message
                await client.close(code=4000)
            assert client.close_code == 4000
            async with session.ws_connect(url(server, "/greet?subprotocol=b"), protocols=["a", "b"]) as client:
                assert client.protocol == "b"
            async with session.ws_connect(url(server, "/part?name=client&code=4321&reason=enough")) as client:
                message = await client.receive()
                assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4321, "enough")
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(url(server, "/refuse?name=client"))
            assert caught.value.status == 403

    asyncio.run(asyncio.wait_for(main(), 20))


def test_picows_echoes(either):
    picows = pytest.importorskip("picows")
    server, _ = either

    class Listener(picows.WSListener):
        def __init__(self):
            self.got = asyncio.Queue()

        def on_ws_frame(self, transport, frame):
            if frame.msg_type == picows.WSMsgType.CLOSE:
                self.got.put_nowait((frame.get_close_code(), frame.get_close_message()))
                transport.disconnect()
            else:
                text = frame.msg_type == picows.WSMsgType.TEXT
                self.got.put_nowait(frame.get_payload_as_utf8_text() if text else frame.get_payload_as_bytes())

    async def main():
        transport, listener = await picows.ws_connect(Listener, url(server))
        for message in MESSAGES:
            if isinstance(message, str):
                transport.send(picows.WSMsgType.TEXT, message.encode())
            else:
                transport.send(picows.WSMsgType.BINARY, message)
            assert await listener.got.get() == message
        transport.send_close(picows.WSCloseCode.OK, b"enough")
        assert (await listener.got.get())[0] == 1000
        await transport.wait_disconnected()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_websocket_client_echoes(either):
    client = pytest.importorskip("websocket").create_connection(url(either[0]), timeout=10)
    for message in MESSAGES:
        if isinstance(message, str):
            client.send(message)
        else:
            client.send_binary(message)
        assert client.recv() == message
    client.close()
