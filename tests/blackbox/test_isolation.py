"""Isolation of connections: each step fails on one connection, on every engine, and the others are served."""

import asyncio
import contextlib
import functools
import logging
import socket
import ssl

import pytest

from pronghorn.server.protocol import HTTPProtocol
from tests.support.engines import ENGINES, choose, connect
from tests.support.server import thread, wait_until

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
BAD = b"bad\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n"
WEBSOCKET = (
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
UPLOAD = b"POST /late HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n" + bytes(300_000)
STREAM = b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n"

# Each step of a connection, and the bytes that cause it.
STEPS = {
    "data_received": GET,
    "on_upgrade": UPGRADE,
    "on_refused": BAD,
    "finish_writing": BAD + bytes(100),
    "close": LAST,
    "unread": LAST,
    "defer": GET * 100,
    "pause": UPLOAD,
    "resume": UPLOAD,
    "on_accepted": WEBSOCKET,
    "eof_received": GET,
    "_lose": GET,
}
STARTS = {"on_request": GET, "on_websocket": WEBSOCKET}


class Fault(Exception):
    pass


class Faulty(HTTPProtocol):
    """A protocol that raises at the step named by `fault`."""

    fault = ""

    def __init__(self, state):
        super().__init__(state)
        for each in STARTS:
            setattr(self, each, functools.partial(self._start, each, getattr(self, each)))

    def _start(self, step, start, exchange):
        if self.fault == step:
            raise Fault(step)
        start(exchange)


def _failing(step):
    method = getattr(HTTPProtocol, step)

    def fail(self, *arguments):
        if self.fault == step:
            raise Fault(step)
        return method(self, *arguments)

    return fail


for _step in STEPS:
    setattr(Faulty, _step, _failing(_step))


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    if scope["path"] == "/late":
        await asyncio.sleep(0.05)
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    if scope["path"] == "/stream":
        await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(params=ENGINES)
def serve(request, certificates, monkeypatch):
    """A function that starts a server of `Faulty` protocols in a thread, and a function to connect."""
    loop, engine = request.param.split("-")
    choose(loop, engine, monkeypatch)
    monkeypatch.setattr("pronghorn.server.protocol.HTTPProtocol", Faulty)
    secure = {} if engine == "plain" else certificates.parameters
    with contextlib.ExitStack() as stack:

        def connect_to(server):
            return connect(stack, server, certificates.trust() if secure else None)

        def serve(**parameters):
            options = {"loop": loop, "lifespan": "off", "timeout_graceful_shutdown": 10, **secure, **parameters}
            return stack.enter_context(thread(app, **options))

        yield serve, connect_to


def failing_client(server, connect, fault):
    """Connect the first client; its connection fails at the step `fault`."""
    client = connect(server)
    connections = server.server_state.connections
    wait_until(lambda: [each for each in list(connections) if hasattr(each, "connection")])
    (protocol,) = connections
    protocol.fault = fault
    return client, protocol


def ask(other_clients):
    """Check that each client is answered. All requests come together with the bytes sent before."""
    for _ in range(3):
        for each in other_clients:
            each.send(GET)
        for each in other_clients:
            assert each.read().body == b"ok"


def is_over(client):
    """Wait for the end of the connection, by EOF or by an error."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        client.rest()
    return True


@pytest.mark.parametrize("step", [*STEPS, *STARTS])
def test_other_connections_are_served_after_failure(serve, step):
    start, connect = serve
    server = start()
    client, protocol = failing_client(server, connect, step)
    other_clients = [connect(server) for _ in range(3)]
    for each in other_clients:
        each.send(GET)
    with contextlib.suppress(OSError):
        client.send({**STEPS, **STARTS}[step])
        if step in ("eof_received", "_lose"):
            client.socket.close()
    for each in other_clients:
        assert each.read().body == b"ok"
    ask(other_clients)
    protocol.fault = ""
    client.socket.close()
    ask(other_clients)
    wait_until(lambda: protocol not in server.server_state.connections)
    ask(other_clients)


def test_other_connections_are_swept_after_failure_in_sweep(serve):
    start, connect = serve
    server = start(timeout_first_byte=1)
    client, _ = failing_client(server, connect, "close")
    others = [connect(server) for _ in range(3)]
    assert all(is_over(each) for each in [*others, client])
    wait_until(lambda: not server.server_state.connections)


def test_other_connections_are_drained_after_failure_in_drain(serve):
    start, connect = serve
    server = start()
    client, _ = failing_client(server, connect, "close")
    client.send(GET)
    assert client.read().body == b"ok"
    busy, idle = connect(server), connect(server)
    idle.send(GET)
    assert idle.read().body == b"ok"
    busy.send(STREAM)
    wait_until(lambda: server.server_state.tasks)
    server.should_exit = True
    assert busy.read().body == b"ok"
    assert all(is_over(each) for each in (busy, idle, client))


def test_close_by_server_ends_one_connection(serve, caplog):
    start, connect = serve
    server = start(timeout_keep_alive=1)
    other_clients = [connect(server) for _ in range(10)]
    clients = []
    for data in (LAST, BAD, GET, WEBSOCKET + b"\x88\x80aaaa", b"GET / HTTP/1.1\r\n\r\n"):
        clients.append(connect(server))
        clients[-1].send(data)
        ask(other_clients)
    assert all(is_over(each) for each in [*clients, *other_clients])
    wait_until(lambda: not server.server_state.connections)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@contextlib.contextmanager
def raising_filter(name):
    def refuse(record):
        raise Fault(name)

    logger = logging.getLogger(name)
    handler = logging.NullHandler()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addFilter(refuse)
    try:
        yield
    finally:
        logger.removeFilter(refuse)
        logger.removeHandler(handler)
        logger.setLevel(before[0])  # this also clears the cached level
        logger.propagate = before[1]


@pytest.mark.parametrize("name", ["pronghorn.access", "pronghorn.error"])
def test_log_filter_that_raises_costs_no_response(serve, name, capfd):
    start, connect = serve
    server = start()
    with raising_filter(name):
        other_clients = [connect(server) for _ in range(3)]
        for data in (STREAM, BAD, WEBSOCKET):
            client = connect(server)
            client.send(data)
            ask(other_clients)
            expected = {STREAM: b"HTTP/1.1 200", BAD: b"HTTP/1.1 400", WEBSOCKET: b"HTTP/1.1 101"}[data]
            assert client.read_head().head.startswith(expected)
    assert "Fault" in capfd.readouterr().err or name == "pronghorn.access"


def test_reset_does_not_affect_others_in_same_iteration(serve):
    """Only the system knows of the reset, so `write_eof` fails."""
    start, connect = serve
    server = start()
    other_clients = [connect(server) for _ in range(3)]
    for _ in range(5):
        client = connect(server)
        for each in other_clients:
            each.send(GET)
        client.send(BAD)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
        for each in other_clients:
            assert each.read().body == b"ok"
