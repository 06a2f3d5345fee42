"""Backpressure: a client or an application that does not read costs bounded memory."""

import socket

import pytest

MIB = 1 << 20


@pytest.fixture
def server(start, variant):
    """A server for this test only."""
    server = start("asgi:app", "--loop", variant[1], "--no-access-log", "--sendfile", form=variant[0])
    if not server.has_memory():
        pytest.skip("needs /proc")
    return server


def ask(connect, server, target):
    client = connect(server)
    client.get(target)
    return client.read().body


def push(client, data, most):
    """Send `data` repeatedly until the peer takes no more, at most `most` bytes. Return the number of bytes sent."""
    client.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < most:
            sent += client.socket.send(data)
    except TimeoutError:
        pass
    client.socket.settimeout(10)
    return sent


@pytest.fixture
def small_buffers(connect):
    """Like `connect`, with a receive buffer of a known size."""

    def small(server):
        client = connect(server)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        return client

    return small


def test_application_that_never_receives_costs_little(server, connect):
    ask(connect, server, "/stream?count=1")
    before = server.memory()
    client = connect(server)
    client.get("/hold?name=never", f"content-length: {64 * MIB}", method="POST")
    sent = push(client, bytes(65536), 64 * MIB)
    assert sent < 32 * MIB
    assert server.memory() - before < 4 * MIB


def test_delayed_body_arrives_whole(server, connect):
    client = connect(server)
    size = 16 * MIB
    client.get("/hold?name=later", f"content-length: {size}", method="POST")
    sent = push(client, bytes(65536), size)
    ask(connect, server, "/set?name=later")
    client.send(bytes(size - sent))
    assert client.read().body.startswith(b"%d " % size)


@pytest.mark.parametrize("target", ["/stream?count=4000", "/file?size=67108864"])
def test_client_that_never_reads_costs_little(server, small_buffers, connect, target):
    ask(connect, server, "/file?size=600000")
    before = server.memory()
    client = small_buffers(server)
    client.get(target)
    assert client.read_head().status == 200
    for _ in range(3):
        ask(connect, server, "/")
    assert server.memory() - before < 6 * MIB


def test_client_that_reads_late_gets_everything(server, small_buffers, connect):
    client = small_buffers(server)
    client.get("/stream?count=200")
    ask(connect, server, "/")
    assert len(client.read().body) == 200 * 65536


def test_pipelined_requests_with_unread_answers_cost_little(server, small_buffers, connect):
    ask(connect, server, "/stream?count=16")
    before = server.memory()
    client = small_buffers(server)
    sent = push(client, b"GET /stream?count=1 HTTP/1.1\r\nhost: test\r\n\r\n" * 100, 48 * MIB)
    assert sent < 32 * MIB
    assert server.memory() - before < 6 * MIB
    assert ask(connect, server, "/") == b"hello"


def test_pipelined_requests_behind_running_request_cost_little(server, connect):
    ask(connect, server, "/")
    before = server.memory()
    client = connect(server)
    client.get("/head-first?name=runs")
    assert client.read_head().status == 200
    sent = push(client, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n" * 1000, 48 * MIB)
    assert sent < 32 * MIB
    assert server.memory() - before < 4 * MIB


def test_endless_head_is_refused(server, connect):
    client = connect(server)
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n")
    line = b"x: " + b"y" * 1000 + b"\r\n"
    try:
        for _ in range(200):
            client.send(line)
    except ConnectionError:
        pass
    assert client.read().status == 431
