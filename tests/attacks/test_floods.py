"""Each flood for a moment: an honest client is served meanwhile, and memory stays bounded."""

import shutil
import socket
import sys

import pytest

from tests.attacks.floods import FLOODS, MIB, SERVERS, SLOW, main, possible, serving, under
from tests.support.server import lacks

CONNECTIONS = 50
# A connection that reads slowly holds 64 KiB of output, and a message of 64 KiB.
MOST = 5 * MIB + CONNECTIONS * 2 * 65536

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs an address 127.0.0.2")


@pytest.mark.parametrize("server", SERVERS[:2], ids=lambda server: server.name)
@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.name)
def test_honest_client_is_served_in_a_flood(flood, server):
    if reason := lacks():
        pytest.skip(reason)
    if flood in SLOW and shutil.which("slowhttptest") is None:
        pytest.skip("slowhttptest is not installed")
    with serving(server, sys.executable) as place:
        outcome = under(place, flood, CONNECTIONS, 1, rate=50)
    assert outcome.requests > 0
    assert outcome.failures == 0
    assert outcome.grown < MOST + flood.memory


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.name)
def test_refused_connections_are_not_opened(flood):
    if flood in SLOW and shutil.which("slowhttptest") is None:
        pytest.skip("slowhttptest is not installed")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert flood.attack(bound.getsockname()[1], 5, 0.1) == 0


def test_attacks_without_their_tool_are_named(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert possible() == FLOODS[3:]
    assert capsys.readouterr().err == "without slowhttptest, left out: slow heads, slow bodies, slow reading\n"


@pytest.mark.parametrize("names", [["nobody"], ["pronghorn", "nobody"]])
def test_unknown_server_is_an_error(names, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["floods", "--servers", *names])
    with pytest.raises(SystemExit):
        main()
    assert "invalid choice: 'nobody'" in capsys.readouterr().err


def test_missing_server_is_an_error(monkeypatch, capsys):
    if reason := lacks():
        pytest.skip(reason)
    monkeypatch.setattr("sys.argv", ["floods", "--servers", "pronghorn", "uvicorn"])
    monkeypatch.setattr("tests.attacks.floods.has", lambda server, python: server.name == "pronghorn")
    with pytest.raises(SystemExit):
        main()
    assert "not installed: uvicorn" in capsys.readouterr().err
