"""Event loops and their TLS engines."""

import contextlib
import contextvars

import pytest

from pronghorn import backend
from pronghorn.listen import tls_server
from pronghorn.listen.readers import Readers
from pronghorn.server import polls
from tests.support.raw_client import Client

# Pairs of loop and engine: no TLS, the `ssl` module, aiofastnet.
ENGINES = [f"{loop}-{engine}" for loop in ("asyncio", "uvloop") for engine in ("plain", "ssl", "aiofastnet")]

# Those with TLS, the engine first.
TLS_ENGINES = [f"{engine}-{loop}" for engine in ("aiofastnet", "ssl") for loop in ("uvloop", "asyncio")]


def choose(loop, engine, monkeypatch):
    """Make servers use `engine`. Skip the test if the engine or the loop is not installed."""
    for module in {loop, engine} & {"uvloop", "aiofastnet"}:
        pytest.importorskip(module)
    if engine == "ssl":
        monkeypatch.setattr(tls_server, "_aiofastnet", lambda: None)


def connect(stack, server, context=None, suppress_ragged_eofs=True, **options):
    """Connect a client that `stack` closes, over TLS if there is a `context`. `options` go to `Client`."""
    client = stack.enter_context(contextlib.closing(Client(("127.0.0.1", server.port), **options)))
    if context is not None:
        wrapped = context.wrap_socket(
            client.socket, server_hostname="localhost", suppress_ragged_eofs=suppress_ragged_eofs
        )
        client.socket = stack.enter_context(wrapped)
    return client


def make_readers(loop, open_poll=polls.open_poll):
    """The readers of a server in `loop`."""
    wire = backend.load()
    inbox = open_poll and wire.Inbox(open_poll, loop, wire.Outbox(loop.call_soon), contextvars.Context())
    return Readers(loop, inbox, wire.Reader)
