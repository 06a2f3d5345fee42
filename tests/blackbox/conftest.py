"""Servers for the black-box tests: one process per application and variant for all of them, or one's own."""

import contextlib

import pytest
from raw import Client
from served import lacks, process

# Each form and each loop, without every pair of them.
VARIANTS = {
    "compiled-uvloop": ("compiled", "uvloop"),
    "compiled-asyncio": ("compiled", "asyncio"),
    "interpreted-uvloop": ("interpreted", "uvloop"),
    "httptools-asyncio": ("httptools", "asyncio"),
}


@pytest.fixture(scope="session", params=list(VARIANTS))
def variant(request):
    """A form and a loop."""
    form, loop = VARIANTS[request.param]
    if reason := lacks(form, loop):
        pytest.skip(reason)
    return form, loop


@pytest.fixture(scope="session", params=["compiled", "interpreted"])
def form(request):
    """One form, where the loop does not matter."""
    if reason := lacks(request.param):
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="session")
def shared_servers():
    """A function of application, form, loop and flags to a server that all tests share, and none may stop."""
    servers = {}
    with contextlib.ExitStack() as stack:

        def get(app, form="compiled", loop="asyncio", *flags):
            key = (app, form, loop, flags)
            if key not in servers:
                servers[key] = stack.enter_context(process(app, "--loop", loop, *flags, form=form))
            return servers[key]

        yield get


@pytest.fixture
def bare(shared_servers, variant):
    """tests/apps/bare.py on every variant."""
    return shared_servers("bare:app", *variant)


@pytest.fixture
def start():
    """A function that starts a server of the test's own, which ends with it."""
    with contextlib.ExitStack() as stack:

        def start(app, *flags, form=None, env=None):
            chosen = form or ("interpreted" if lacks("compiled") else "compiled")
            return stack.enter_context(process(app, *flags, form=chosen, env=env))

        yield start


@pytest.fixture
def connect():
    """A function that opens a connection of raw bytes to a server or address."""
    with contextlib.ExitStack() as stack:

        def connect(server):
            address = server if isinstance(server, (tuple, str)) else ("127.0.0.1", server.port)
            return stack.enter_context(contextlib.closing(Client(address)))

        yield connect
