"""Servers for the black-box tests: a shared process per application and variant, or one of the test's own."""

import contextlib
import os

import pytest

from tests.support.forms import FEW
from tests.support.raw_client import Client
from tests.support.server import lacks, process

# Every form and every loop, but not every pair of them.
VARIANTS = {
    "compiled-uvloop": ("compiled", "uvloop"),
    "compiled-asyncio": ("compiled", "asyncio"),
    "interpreted-uvloop": ("interpreted", "uvloop"),
    "httptools-asyncio": ("httptools", "asyncio"),
}


@pytest.fixture(scope="session", params=FEW if os.environ.get("VARIANTS") == "few" else list(VARIANTS))
def variant(request):
    """A pair of form and loop; with VARIANTS=few, one of two."""
    form, loop = VARIANTS[request.param]
    if reason := lacks(form, loop):
        pytest.skip(reason)
    return form, loop


@pytest.fixture(scope="session", params=["compiled", "interpreted"])
def form(request):
    """A form, for tests that do not depend on the loop."""
    if reason := lacks(request.param):
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="session")
def shared_servers():
    """A function that returns a server shared by all tests. No test may stop it."""
    servers = {}
    with contextlib.ExitStack() as stack:

        def get(app, form="compiled", loop="asyncio", *flags):
            key = (app, form, loop, flags)
            if key not in servers:
                servers[key] = stack.enter_context(process(app, "--loop", loop, *flags, form=form))
            return servers[key]

        yield get


@pytest.fixture
def asgi(shared_servers, variant):
    """tests/apps/asgi.py on every variant."""
    return shared_servers("asgi:app", *variant)


@pytest.fixture
def start():
    """A function that starts a server for this test only."""
    with contextlib.ExitStack() as stack:

        def start(app, *flags, form=None, env=None):
            chosen = form or ("interpreted" if lacks("compiled") else "compiled")
            return stack.enter_context(process(app, *flags, form=chosen, env=env))

        yield start


@pytest.fixture
def connect():
    """A function that opens a raw connection to a server or address."""
    with contextlib.ExitStack() as stack:

        def connect(server):
            address = server if isinstance(server, (tuple, str)) else ("127.0.0.1", server.port)
            return stack.enter_context(contextlib.closing(Client(address)))

        yield connect
