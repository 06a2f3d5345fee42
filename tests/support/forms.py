"""The two forms of the hot path, for tests."""

import importlib
import os
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

MODULES = (
    "access_log",
    "call",
    "channel",
    "encoder",
    "endpoint",
    "exchange",
    "forwarded",
    "http1.body",
    "http1.connection",
    "http1.head",
    "http1.response",
    "inbox",
    "kernels",
    "outbox",
    "proxies",
    "request",
    "shared",
    "websocket.deflate",
    "websocket.frames",
    "websocket.handshake",
    "websocket.session",
    "writer",
)
FORMS = {"compiled": "pronghorn._wire_c", "interpreted": "pronghorn._wire"}


def load_form(form):
    """Load the modules of one form, as attributes named by the last part of their names. Skip the test if it was not
    built, or fail if it is required.
    """
    package = FORMS[form]
    if form == "compiled" and find_spec(f"{package}.http1.connection") is None:
        if os.environ.get("PRONGHORN_BUILD") == "required":
            pytest.fail("the compiled form is required and was not built")
        pytest.skip("the compiled form was not built")
    loaded = {name.rpartition(".")[2]: importlib.import_module(f"{package}.{name}") for name in MODULES}
    return SimpleNamespace(form=form, **loaded)
