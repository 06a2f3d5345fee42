"""The scenarios of websocket_soak.py at a small size."""

import asyncio

import pytest

from tests.blackbox import websocket_soak as soak
from tests.support.raw_websocket import EACH_ONCE

pytestmark = EACH_ONCE


@pytest.fixture
def server(start, variant):
    form, loop = variant
    server = start("websocket_app:app", *soak.flags(loop), form=form)
    if not server.has_memory():
        pytest.skip("needs /proc")
    yield server
    assert "Traceback" not in server.log.text()


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, soak.PATIENCE))


def test_idle_sockets_cost_little_memory(server):
    run(soak.idle(server, 200))
    told = run(soak.idle(server, 200))
    assert told["KiB/socket"] < 100
    assert told["MiB left"] < 4


def test_broadcasts_leak_nothing(server):
    run(soak.broadcast(server, 100, 20))
    assert run(soak.broadcast(server, 100, 20))["MiB left"] < 4


def test_storms_leak_nothing(server):
    run(soak.storm(server, 50, rounds=1))
    run(soak.storm_in_a_room(server, 50))
    assert run(soak.storm(server, 50))["MiB left"] < 4


def test_slow_readers_cost_little_memory(server):
    told = run(soak.slow(server, 10))
    assert told["KiB/slow reader"] < 1024
    assert told["MiB left"] < 12
