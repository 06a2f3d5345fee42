"""The two forms of the hot path, for tests."""

import importlib
import os
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

MODULES = (
    "access_log",
    "body",
    "channel",
    "connection",
    "deflate",
    "encoder",
    "endpoint",
    "exchange",
    "frames",
    "handshake",
    "head",
    "kernels",
    "outbox",
    "proxies",
    "request",
    "response",
    "shared",
    "websocket",
    "writer",
)
FORMS = {"compiled": "pronghorn._wire_c", "interpreted": "pronghorn._wire"}


def load_form(form):
    """Load the modules of one form. Skip the test if it was not built, or fail if it is required."""
    package = FORMS[form]
    if form == "compiled" and find_spec(f"{package}.connection") is None:
        if os.environ.get("PRONGHORN_BUILD") == "required":
            pytest.fail("the compiled form is required and was not built")
        pytest.skip("the compiled form was not built")
    return SimpleNamespace(form=form, **{name: importlib.import_module(f"{package}.{name}") for name in MODULES})
