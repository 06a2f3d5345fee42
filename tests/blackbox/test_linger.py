"""The linger time at a stop: the server waits for requests in transit and for partial heads."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest

from pronghorn import Config, Server
from pronghorn.supervisor.worker_server import WorkerServer
from tests.support.raw_client import Client
from tests.support.server import PATIENCE, lacks, thread


@pytest.fixture(params=["asyncio", "uvloop"])
def serve(request):
    """A function that serves `app` in a thread, on each loop, with `linger` in seconds."""
    if reason := lacks("interpreted", request.param):
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:

        def serve(linger, **parameters):
            server = stack.enter_context(thread(app, loop=request.param, lifespan="off", **parameters))
            server.linger = linger
            return server

        yield serve


@pytest.fixture
def connect_two(connect):
    """A function that opens two idle connections: one has sent nothing, the other was answered."""

    def connect_two(server):
        fresh, kept = connect(server), connect(server)
        kept.get("/")
        assert kept.read().field("connection") is None
        assert len(server.server_state.connections) == 2
        return fresh, kept

    return connect_two


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    if scope["path"] == "/body":
        while (await receive()).get("more_body"):
            pass
    if scope["path"] == "/background":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        await asyncio.sleep(1)
        return
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"k"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def stop(server):
    """Start a stop, and wait until connections know of it."""
    server.should_exit = True
    done = threading.Event()
    while not server.server_state.shared.draining:
        assert not done.wait(0.01)


def test_request_in_transit_is_answered_with_close(serve, connect_two):
    server = serve(PATIENCE)
    clients = connect_two(server)
    stop(server)
    for client in clients:
        client.get("/")
        answer = client.read()
        assert (answer.body, answer.field("connection")) == (b"ok", "close")
        assert client.rest() == b""


def test_idle_connections_are_closed_after_linger(serve, connect_two):
    server = serve(0.1)
    clients = connect_two(server)
    stop(server)
    assert [client.rest() for client in clients] == [b"", b""]


def test_linger_does_not_exceed_graceful_timeout(serve, connect_two):
    server = serve(10 * PATIENCE, timeout_graceful_shutdown=0.1)
    clients = connect_two(server)
    stop(server)
    assert [client.rest() for client in clients] == [b"", b""]


def test_blocked_loop_does_not_shorten_linger(serve, connect_two):
    server = serve(1)
    clients = connect_two(server)
    stop(server)
    loop, is_over = server.server_state.loop, threading.Event()

    def block():
        time.sleep(1.1)
        loop.call_later(0.05, is_over.set)

    loop.call_soon_threadsafe(loop.call_later, 0.3, block)  # the server has stopped accepting by then
    assert is_over.wait(PATIENCE)
    for client in clients:
        client.get("/")
        assert client.read().body == b"ok"


def test_stop_without_connections_does_not_wait(serve):
    server = serve(10 * PATIENCE)
    Client(("127.0.0.1", server.port)).close()


def test_linger_waits_only_for_idle_connections(serve, connect):
    server = serve(10 * PATIENCE)
    busy, stream, websocket = (connect(server) for _ in range(3))
    busy.get("/body", "content-length: 1", method="POST")
    stream.get("/stream")
    stream.read_head()
    stream.skip(1)
    key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
    websocket.get("/", "connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", key)
    assert websocket.read_head().status == 101
    stop(server)
    assert websocket.read_some() == b"\x88\x02\x03\xf4"
    assert stream.read_some() == b"k"
    busy.send(b"b")
    assert busy.read().field("connection") == "close"
    stream.get("/")  # the response started before the stop, so it did not announce the close
    assert stream.read().field("connection") == "close"
    websocket.close()


@pytest.mark.parametrize("target", ["/body", "/background"], ids=["connection", "task"])
def test_stop_ends_with_last_connection_or_task(serve, connect, caplog, monkeypatch, target):
    caplog.set_level("INFO", "pronghorn.error")
    server = serve(10 * PATIENCE, timeout_graceful_shutdown=None)
    client = connect(server)
    fields = ("connection: close", *(["content-length: 1"] if target == "/body" else []))
    client.get(target, *fields, method="POST")
    if target == "/background":
        assert client.read().status == 200
    stop(server)
    done = threading.Event()
    while not [line for line in caplog.messages if line.startswith("Waiting for")]:
        assert not done.wait(0.01)
    monkeypatch.setattr("pronghorn.server.drain.POLL", 10 * PATIENCE)
    done.wait(0.3)  # until the server waits
    if target == "/body":
        client.send(b"b")
        assert client.read().status == 200


def test_failing_connection_does_not_delay_others(serve, connect_two, caplog):
    server = serve(0.1)
    clients = connect_two(server)

    class Broken:
        def is_idle(self):
            return True

        def shutdown(self):
            raise ValueError("broken")

        def abort(self):
            server.server_state.connections.discard(self)
            raise ValueError("more broken")

    server.server_state.connections.add(Broken())
    stop(server)
    assert [client.rest() for client in clients] == [b"", b""]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["broken", "more broken"]


@pytest.mark.parametrize("is_given", [False, True], ids=["its own", "a caller's"])
def test_only_own_sockets_are_withdrawn(monkeypatch, is_given):
    withdrawn = []

    def withdraw(sockets, config):
        withdrawn.extend(sock.getsockname() for sock in sockets)
        assert server.servers[0].is_serving()

    async def main():
        task = asyncio.create_task(server.serve(given))
        while not server.started:
            await asyncio.sleep(0.01)
        places = [server.servers[0].sockets[0].getsockname()]
        server.should_exit = True
        await task
        return places

    monkeypatch.setattr("pronghorn.server.drain.withdraw", withdraw)
    given = [socket.create_server(("127.0.0.1", 0))] if is_given else None
    server = Server(Config(app, port=0, lifespan="off", log_config=None, install_signals=False))
    places = asyncio.run(main())
    assert withdrawn == ([] if is_given else places)


def test_reloaded_worker_lingers_for_a_moment():
    servers = [WorkerServer(Config("main:app", reload=reload, log_config=None), None) for reload in (False, True)]
    assert [server.linger for server in servers] == [Server.linger, 0.1]
