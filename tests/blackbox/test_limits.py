"""Limits that are off by default, from both sides of their edges."""

import contextlib
import os
import re
import signal
import time

import pytest

from pronghorn.http2_constants import CANCEL, DATA, GOAWAY
from tests.support import raw_websocket
from tests.support.engines import TLS_ENGINES, choose
from tests.support.http2 import data, get, headers, rst_stream
from tests.support.raw_http2 import raw
from tests.support.server import thread, wait_until

ECHO = (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/echo")
LINE = b"PROXY TCP4 %b 198.51.100.2 1 2\r\n"


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def serve():
    """A function that starts a server in a thread."""
    with contextlib.ExitStack() as stack:
        yield lambda app=hello, **parameters: stack.enter_context(thread(app, lifespan="off", **parameters))


def is_served(client):
    client.get("/")
    return client.read().status == 200


def is_closed(client):
    with contextlib.suppress(ConnectionResetError):
        return client.rest() == b""
    return True


# Connections


@pytest.mark.parametrize("flag", ["--limit-connections", "--limit-connections-per-address"])
def test_connection_over_the_limit_is_closed(start, connect, flag, form):
    server = start("asgi:app", flag, "2", form=form)
    clients = [connect(server), connect(server)]
    assert is_served(clients[0])
    assert is_served(clients[1])
    assert is_closed(connect(server))
    assert is_served(clients[0])
    server.log.wait_for(rf"Connection refused\. 127\.0\.0\.1:\d+: more connections than {flag} 2")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_closed_connection_makes_room(serve, connect, loop):
    pytest.importorskip(loop)
    server = serve(limit_connections=1, limit_connections_per_address=1, loop=loop)
    for _ in range(3):
        client = connect(server)
        assert is_served(client)
        client.close()
        wait_until(lambda: not server.server_state.connections)


@pytest.mark.parametrize("engine", TLS_ENGINES)
def test_failed_handshake_makes_room(serve, connect, certificates, monkeypatch, engine):
    engine, loop = engine.split("-")
    choose(loop, engine, monkeypatch)
    server = serve(limit_connections=1, limit_connections_per_address=1, loop=loop, **certificates.parameters)
    for _ in range(2):
        client = connect(server)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            client.rest()
    wait_until(lambda: not any(each.connecting for each in server.servers))
    client = connect(server)
    with certificates.trust().wrap_socket(client.socket, server_hostname="localhost") as client.socket:
        assert is_served(client)
        assert is_closed(connect(server))


def test_limit_per_address_is_for_the_client_of_the_header(serve, connect):
    server = serve(proxy_protocol=True, limit_connections_per_address=1)
    first, second, third = (connect(server) for _ in range(3))
    first.send(LINE % b"192.0.2.1")
    second.send(LINE % b"192.0.2.2")
    assert is_served(first)
    assert is_served(second)
    third.send(LINE % b"192.0.2.1")
    assert is_closed(third)


def test_connection_whose_header_is_awaited_counts(serve, connect):
    server = serve(proxy_protocol=True, limit_connections=1)
    first = connect(server)
    first.send(LINE[:10])
    wait_until(lambda: any(each.connecting for each in server.servers))
    assert is_closed(connect(server))
    first.send(LINE[10:] % b"192.0.2.1")
    assert is_served(first)


def test_total_limit_is_for_unix_sockets_too(serve, connect, tmp_path):
    path = os.path.relpath(tmp_path / "s")
    serve(uds=path, limit_connections=1, limit_connections_per_address=1)
    first = connect(path)
    assert is_served(first)
    assert is_closed(connect(path))


# Requests


def test_request_that_takes_too_long_is_ended(start, connect, form):
    server = start("asgi:app", "--timeout-request", "1", form=form)
    slow, streaming, quick = (connect(server) for _ in range(3))
    slow.get("/left?name=left")
    streaming.get("/idle?name=idle")
    assert streaming.read_head().status == 200
    assert is_served(quick)
    assert slow.read().status == 503
    assert slow.rest() == b""
    with pytest.raises(ConnectionResetError):
        streaming.rest()
    assert is_served(quick)
    late = r"Request timed out\. 127\.0\.0\.1:\d+: it took more than 1 s, and "
    server.log.wait_for(late + "was answered with 503")
    server.log.wait_for(late + "its response was cut off")


def test_body_below_the_minimum_rate_is_refused(start, connect, form):
    server = start("asgi:app", "--http2", "--limit-body-rate", "100", form=form)
    slow, quick = connect(server), connect(server)
    for client in slow, quick:
        client.get("/echo", "content-length: 100000", method="POST")
    with raw(server) as client:
        client.send(headers(1, (b":method", b"POST"), *ECHO, ends=False), data(1, bytes(10)))
        while slow.is_silent():
            quick.send(bytes(1000))
            time.sleep(0.5)
        assert slow.read().status == 408
        assert client.read_until(DATA, 1).payload == b"Request Timeout"
        client.send(get(3))
        assert client.read_until(DATA, 3).payload == b"hello"
    assert quick.is_silent()
    server.log.wait_for(r"body below the minimum rate \(408\)", 2)


def test_connection_ends_after_its_last_request(start, connect, form):
    server = start("asgi:app", "--http2", "--limit-requests-per-connection", "2", form=form)
    client = connect(server)
    for notice in None, "close":
        client.get("/")
        assert client.read().field("connection") == notice
    assert client.rest() == b""
    with raw(server) as client:
        client.send(get(1), get(3), get(5))
        assert client.read_until(GOAWAY).last == 3
        answered = {each.stream for each in iter(client.read, None) if each.kind == DATA}
    assert answered <= {1, 3}


# The queue

QUEUE = ("--limit-concurrency", "1", "--limit-queue", "1", "--metrics-bind", "127.0.0.1:0")

OCCUPY = "/left?name=left"  # runs until its client has left


@pytest.fixture
def start_with_queue(start):
    """A function that starts a server where one request may wait. Its metrics show whether one does."""
    pytest.importorskip("prometheus_client")
    return lambda app, *flags, **options: start(app, *QUEUE, *flags, **options)


def occupy(server, connect):
    client = connect(server)
    client.get(OCCUPY)
    server.log.wait_for("left runs")
    return client


def wait_until_full(server, connect):
    """Wait until a request, or a handshake, waits in the queue."""
    wait_until(lambda: waiting(server, connect) == 1)


def waiting(server, connect):
    port = int(server.log.wait_for(r"Metrics are shown on http://127.0.0.1:(\d+)")[1])
    client = connect(("127.0.0.1", port))
    client.get("/metrics", "connection: close")
    return int(re.search(rb"^pronghorn_waiting_requests (\d+)", client.read().body, re.MULTILINE)[1])


def runs(server):
    """The number of calls for OCCUPY."""
    return sum("left runs" in line for line in server.log)


def test_request_waits_for_its_turn(start_with_queue, connect, form):
    server = start_with_queue("asgi:app", "--log-slow", "0.1", form=form)
    first, second, third = occupy(server, connect), connect(server), connect(server)
    second.get("/")
    wait_until_full(server, connect)
    third.get("/")
    assert third.read().status == 503
    time.sleep(0.2)
    assert second.is_silent()
    first.close()
    assert second.read().status == 200
    assert is_served(second)
    assert waiting(server, connect) == 0
    server.log.wait_for("^WARNING:  Exceeded concurrency limit.$")
    found = server.log.wait_for(r'"GET / .*took .*: application (\S+) s, client \S+ s, queue (\S+) s$')
    assert float(found[2]) >= 0.2 > float(found[1])


def test_client_that_leaves_makes_room_in_the_queue(start_with_queue, connect, form):
    server = start_with_queue("asgi:app", form=form)
    first, second, third = occupy(server, connect), connect(server), connect(server)
    second.get(OCCUPY)
    wait_until_full(server, connect)
    second.close()
    wait_until(lambda: waiting(server, connect) == 0)
    third.get("/")
    wait_until_full(server, connect)
    first.close()
    assert third.read().status == 200
    assert runs(server) == 1


def test_websocket_waits_for_its_turn(start_with_queue, connect, form):
    server = start_with_queue("websocket_app:app", form=form)
    first, second = connect(server), connect(server)
    first.send(raw_websocket.handshake())
    assert first.read_head().status == 101
    second.send(raw_websocket.handshake())
    wait_until_full(server, connect)
    assert second.is_silent()
    first.close()
    assert second.read_head().status == 101


def test_requests_that_wait_are_served_during_the_shutdown(start_with_queue, connect, form):
    server = start_with_queue("asgi:app", form=form)
    first, second = occupy(server, connect), connect(server)
    second.get("/")
    wait_until_full(server, connect)
    server.signal(signal.SIGTERM)
    server.log.wait_for("Waiting for connections to close")
    first.close()
    answer = second.read()
    assert (answer.status, answer.field("connection")) == (200, "close")
    server.wait()


def test_requests_that_still_wait_at_the_end_of_the_shutdown_are_refused(start_with_queue, connect, form):
    server = start_with_queue("asgi:app", "--timeout-graceful-shutdown", "1", form=form)
    _first, second = occupy(server, connect), connect(server)
    second.get(OCCUPY)
    wait_until_full(server, connect)
    server.signal(signal.SIGTERM)
    assert second.read().status == 503
    assert second.rest() == b""
    server.wait()
    assert runs(server) == 1


def test_streams_wait_for_their_turn(start_with_queue, form):
    server = start_with_queue("asgi:app", "--http2", form=form)
    with raw(server) as client:
        client.send(get(1, OCCUPY.encode()), get(3), get(5))
        assert client.read_until(DATA, 5).payload == b"Service Unavailable"
        client.send(rst_stream(3, CANCEL), get(7), rst_stream(1, CANCEL))
        assert client.read_until(DATA, 7).payload == b"hello"


# WebSockets


def test_websocket_over_the_limit_is_refused(start, connect, form):
    server = start("websocket_app:app", "--limit-websockets", "1", "--limit-concurrency", "1", form=form)
    first, second, third = (connect(server) for _ in range(3))
    first.send(raw_websocket.handshake())
    assert first.read_head().status == 101
    second.send(raw_websocket.handshake())
    assert second.read().status == 503
    third.get("/members?name=a")
    assert third.read().body == b"0"
    server.log.wait_for("^WARNING:  Exceeded WebSocket limit.$")
    first.close()
    wait_until(lambda: is_accepted(connect(server)))


def is_accepted(client):
    client.send(raw_websocket.handshake())
    return client.read_head().status == 101
