"""Limits that are off by default, from both sides of their edges."""

import contextlib
import os

import pytest

from tests.support.engines import TLS_ENGINES, choose
from tests.support.server import thread, wait_until

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
    server.log.wait_for(r"Connection cut off\. 127\.0\.0\.1:\d+: its request has taken more than 1 s", 2)
