"""Connections that end early, as clients see them: refused uploads, truncated responses, slow readers."""

import asyncio
import contextlib
import ssl
import time

import pytest

from tests.support.engines import ENGINES, choose, connect
from tests.support.server import thread, wait_until

MIB = 1024 * 1024
START = {"type": "http.response.start", "status": 200, "headers": []}
HEAD_1_0 = b"GET / HTTP/1.0\r\nhost: a\r\n\r\n"
HEAD_1_1 = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.fixture(params=ENGINES)
def serve(request, certificates, monkeypatch):
    """A function that serves an application in a thread; it returns the server and a function to connect."""
    loop, engine = request.param.split("-")
    choose(loop, engine, monkeypatch)
    secure = {} if engine == "plain" else certificates.parameters
    with contextlib.ExitStack() as stack:

        def serve(app, **parameters):
            server = stack.enter_context(thread(app, **{"loop": loop, "lifespan": "off", **secure, **parameters}))

            def connect_to(**options):
                context = certificates.trust() if secure else None
                return connect(stack, server, context, suppress_ragged_eofs=False, **options)

            return server, connect_to

        yield serve


async def refuse(scope, receive, send):
    await send({**START, "status": 401, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"no way"})


async def fail(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": b"some of it", "more_body": True})
    if scope["path"] == "/hang":
        await receive()
        await asyncio.Future()
    raise ValueError("on purpose")


@pytest.mark.parametrize("size", [MIB, 20 * MIB])
def test_early_response_reaches_client_that_still_sends(serve, size):
    """Most clients send everything before they read the response."""
    _, connect = serve(refuse)
    client = connect()
    client.post("/", bytes(size))
    answer = client.read()
    assert (answer.status, answer.body) == (401, b"no way")


def test_early_refusal_reaches_client_that_still_sends(serve):
    _, connect = serve(refuse, limit_body_size=MIB)
    client = connect()
    client.post("/", bytes(20 * MIB))
    assert client.read().status == 413


def test_client_that_sends_endlessly_is_disconnected(serve):
    _, connect = serve(refuse)
    client = connect()
    client.get("/", f"content-length: {1000 * MIB}", method="POST")
    with pytest.raises(OSError):  # a reset, or a broken pipe
        client.send(bytes(1000 * MIB))


@pytest.mark.parametrize("head", [HEAD_1_0, HEAD_1_1], ids=["1.0", "1.1"])
def test_failed_response_does_not_look_complete(serve, head):
    _, connect = serve(fail)
    client = connect()
    client.send(head)
    assert not looks_complete(client, head)


@pytest.mark.parametrize("head", [HEAD_1_0, HEAD_1_1], ids=["1.0", "1.1"])
def test_response_truncated_by_shutdown_does_not_look_complete(serve, head):
    server, connect = serve(fail, timeout_graceful_shutdown=1)
    client = connect()
    client.send(head.replace(b"/", b"/hang", 1))
    client.rest_until(b"some of it")
    server.should_exit = True
    assert not looks_complete(client, head)


def test_unread_response_does_not_look_complete(serve):
    async def app(scope, receive, send):
        await send(START)
        with contextlib.suppress(OSError):
            while True:
                await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})

    server, connect = serve(app, timeout_write=1)
    client = connect()
    client.send(HEAD_1_0)
    wait_until(lambda: server.server_state.connections)
    wait_until(lambda: not server.server_state.connections)
    assert not looks_complete(client, HEAD_1_0)


@pytest.mark.parametrize("file", [False, True], ids=["body", "file"])
def test_slow_reader_gets_everything(serve, file, tmp_path):
    size = 10 * MIB
    path = tmp_path / "file"
    path.write_bytes(bytes(size))

    async def app(scope, receive, send):
        await send({**START, "headers": [(b"content-length", b"%d" % size)]})
        if file:
            await send({"type": "http.response.pathsend", "path": str(path)})
        else:
            await send({"type": "http.response.body", "body": bytes(size)})

    _, connect = serve(app, timeout_write=1, sendfile=True)
    client = connect(receive_buffer=65536)
    client.get("/", "connection: close")
    client.rest_until(b"\r\n\r\n")
    slowly = 0
    for step in range(1, 21):  # four seconds with a full socket buffer
        while slowly < step * 65536:
            slowly += len(client.read_some())
        time.sleep(0.2)
    assert slowly + len(client.rest()) == size


def looks_complete(client, head):
    """Return whether the client takes the bytes for a complete response to `head`."""
    try:
        data = client.rest()
    except (ConnectionError, ssl.SSLEOFError):
        return False
    return head is HEAD_1_0 or data.endswith(b"0\r\n\r\n")
