"""The documented nginx configuration: it forwards requests and WebSockets correctly."""

import contextlib
import json
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from websockets.sync.client import unix_connect

from tests.support.server import PATIENCE
from tools.web_servers import nginx_configuration, program

PAGE = Path(__file__).parents[2] / "docs" / "production.md"
NGINX = program("nginx")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture
def folder():
    """A folder with a path short enough for Unix sockets."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextlib.contextmanager
def serving(folder, upstream):
    """Run nginx with the documented configuration between two Unix sockets; yield the path of its own."""
    recipe = re.search(r'```nginx title="shop\.conf"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    front = folder / "front"
    recipe = recipe.replace("/run/shop.sock", str(upstream)).replace("listen 80;", f"listen unix:{front};")
    assert str(upstream) in recipe
    assert str(front) in recipe
    file = folder / "nginx.conf"
    file.write_text(nginx_configuration(recipe))
    command = [NGINX, "-p", str(folder), "-c", str(file), "-e", "stderr"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as nginx:
        try:
            wait_until_listening(front, nginx)
            yield str(front)
        finally:
            nginx.kill()


def wait_until_listening(path, process):
    end = time.monotonic() + PATIENCE
    with socket.socket(socket.AF_UNIX) as sock:
        while sock.connect_ex(str(path)):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.fixture
def front(start, folder):
    upstream = folder / "shop"
    start("behind_proxy:app", "--uds", str(upstream), "--forwarded-allow-ips", "unix")
    with serving(folder, upstream) as path:
        yield path


def ask(client, request):
    client.send(request)
    head, body = client.rest_until(b'"/a"]').split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return json.loads(body)[1:]


def test_http_10_request_needs_no_host(front, connect):
    assert ask(connect(front), b"GET /a HTTP/1.0\r\n\r\n") == ["http", "shop.example", "", "/a"]


def test_forwarded_scheme_of_client_is_not_trusted(front, connect):
    request = b"GET /a HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: https\r\n\r\n"
    assert ask(connect(front), request) == ["http", "shop.example", "", "/a"]


def test_websocket_passes_through_proxy(front):
    with unix_connect(front, "ws://shop.example/a") as websocket:
        assert json.loads(websocket.recv())[1:] == ["ws", "shop.example", "", "/a"]
