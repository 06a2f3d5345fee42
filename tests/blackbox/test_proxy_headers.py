"""A server behind a proxy, over TCP and a Unix socket."""

import json
import os
import tempfile

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_websocket
from websockets.sync.client import unix_connect

FIELDS = ("X-Forwarded-For: 9.9.9.9, 1.2.3.4:5", "X-Forwarded-Proto: https")
AS_FIELDS = dict(field.split(": ") for field in FIELDS)


def ask(client, *fields):
    client.get("/a", *fields)
    return json.loads(client.read().body)


@pytest.fixture
def path():
    """A path short enough for a Unix socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, "s")


def test_headers_of_trusted_peer_apply(start, connect, form):
    server = start("behind_proxy:app", form=form)
    client = connect(server)
    host, port = client.socket.getsockname()
    assert ask(client, *FIELDS) == [["1.2.3.4", 5], "https", "test", "", "/a"]
    assert ask(client) == [[host, port], "http", "test", "", "/a"]
    server.access.wait_for(f"{host}:{port} - ")
    assert list(server.access) == [
        'INFO:     1.2.3.4:5 - "GET /a HTTP/1.1" 200 OK',
        f'INFO:     {host}:{port} - "GET /a HTTP/1.1" 200 OK',
    ]


def test_headers_apply_to_websocket(start, form):
    server = start("behind_proxy:app", form=form)
    with connect_websocket(f"ws://127.0.0.1:{server.port}/a", additional_headers=AS_FIELDS) as websocket:
        assert json.loads(websocket.recv())[:2] == [["1.2.3.4", 5], "wss"]
    server.log.wait_for(r'1\.2\.3\.4:5 - "WebSocket /a" \[accepted\]')
    with pytest.raises(InvalidStatus):
        connect_websocket(f"ws://127.0.0.1:{server.port}/deny", additional_headers=AS_FIELDS)
    server.log.wait_for(r'1\.2\.3\.4:5 - "WebSocket /deny" 403')


@pytest.mark.parametrize(
    ("flags", "env"),
    [
        (["--no-proxy-headers"], {}),
        (["--forwarded-allow-ips", "10.0.0.0/8"], {}),
        (["--forwarded-allow-ips", ""], {}),
        ([], {"FORWARDED_ALLOW_IPS": "unix"}),
        (["--forwarded-headers", "forwarded"], {}),
    ],
    ids=str,
)
def test_headers_of_untrusted_peer_are_ignored(start, connect, flags, env):
    client = connect(start("behind_proxy:app", *flags, env=env))
    assert ask(client, *FIELDS)[:2] == [list(client.socket.getsockname()), "http"]


def test_headers_of_trusted_unix_socket_apply(start, connect, form, path):
    server = start("behind_proxy:app", "--uds", path, "--forwarded-allow-ips", "unix", form=form)
    assert ask(connect(path), *FIELDS)[:2] == [["1.2.3.4", 5], "https"]
    assert ask(connect(path))[:2] == [None, "http"]
    server.access.wait_for('1.2.3.4:5 - "GET /a HTTP/1.1" 200 OK$')
    with unix_connect(path, "ws://test/a", additional_headers=AS_FIELDS) as websocket:
        assert json.loads(websocket.recv())[:2] == [["1.2.3.4", 5], "wss"]


def test_headers_of_untrusted_unix_socket_are_ignored(start, connect, path):
    start("behind_proxy:app", "--uds", path)
    assert ask(connect(path), *FIELDS)[:2] == [None, "http"]


def test_every_kind_of_header_is_supported(start, connect, form):
    fields = (*FIELDS, "X-Forwarded-Host: a.org", "X-Forwarded-Prefix: /api", "Forwarded: for=2.3.4.5;host=f.org")
    client = connect(start("behind_proxy:app", "--forwarded-headers", "x-forwarded-all", form=form))
    assert ask(client, *fields) == [["1.2.3.4", 5], "https", "a.org", "/api", "/api/a"]
    client = connect(start("behind_proxy:app", "--forwarded-headers", "forwarded", form=form))
    assert ask(client, *fields) == [["2.3.4.5", 0], "http", "f.org", "", "/a"]


def test_refused_request_is_logged_with_peer(start, connect):
    server = start("behind_proxy:app")
    client = connect(server)
    ask(client, *FIELDS)
    client.send(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
    assert client.read().status == 400
    server.log.wait_for("Invalid HTTP request received. {}:{}".format(*client.socket.getsockname()))
