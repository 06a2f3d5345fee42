"""The WebSocket of browsers and of Node, where Chromium and Node are installed."""

import json
import shutil
import subprocess

import pytest

from tests.support.browser import browsing
from tests.support.raw_websocket import Noted
from tests.support.server import PATIENCE

DEFLATE = [(), ("--ws-per-message-deflate", "false")]


def check(told):
    """Check the results of the script; return the extensions in use."""
    extensions = told["echoes"].pop("extensions")
    assert told == {
        "echoes": {
            "text": [True] * 4,
            "binary": [True] * 6,
            "closed": [4001, "enough"],
        },
        "refused": "no handshake",
        "parted": [4321, "büe"],
        "failed": [1011, ""],
        "chosen": ["second", 1000],
    }
    return extensions


@pytest.fixture
def servers(shared_servers, form):
    """A server with compression and one without."""
    return [shared_servers("websocket_app:app", form, "asyncio", *flags) for flags in DEFLATE]


def test_node_passes_checks(servers, connect):
    node = shutil.which("node")
    if node is None or not has_websocket(node):
        pytest.skip("needs Node with a WebSocket")
    for server in servers:
        client = connect(server)
        client.get("/script")
        command = [node, "--experimental-websocket", "-", str(server.port)]
        run = subprocess.run(command, input=client.read().body, capture_output=True, timeout=PATIENCE)
        assert run.returncode == 0, run.stderr
        check(json.loads(run.stdout))


def test_chromium_passes_checks(servers, connect, tmp_path):
    noted = Noted(connect, servers[0])
    url = f"{servers[0].url}/page?name={noted.name}&ports=" + ",".join(str(server.port) for server in servers)
    with browsing(url, tmp_path):
        told = noted.at_end()
    deflated, plain = (told[str(server.port)] for server in servers)
    assert check(deflated).startswith("permessage-deflate")
    assert check(plain) == ""


def has_websocket(node):
    command = [node, "--experimental-websocket", "--eval", "new WebSocket('ws://127.0.0.1:1').onerror = () => {}"]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0
