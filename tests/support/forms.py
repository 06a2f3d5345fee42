"""The two forms of the hot path, for tests."""

import importlib
import os
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

import pronghorn._wire

SOURCES = Path(pronghorn._wire.__file__).parent
MODULES = sorted(".".join(path.relative_to(SOURCES).with_suffix("").parts) for path in SOURCES.rglob("[!_]*.py"))
# Variants of the black-box tests, with each loop once.
FEW = ["compiled-uvloop", "httptools-asyncio"]
FORMS = {"compiled": "pronghorn._wire_c", "interpreted": "pronghorn._wire"}


def load_form(form):
    """Load the modules of one form, as attributes named by the last part of their names: those of HTTP/1.1 and
    WebSocket directly, `http1_head` for one of two, those of HTTP/2 as attributes of `http2`.

    Skip the test if the form was not built, or fail if it is required.
    """
    package = FORMS[form]
    if form == "compiled" and find_spec(f"{package}.http1.connection") is None:
        if os.environ.get("PRONGHORN_BUILD") == "required":
            pytest.fail("the compiled form is required and was not built")
        pytest.skip("the compiled form was not built")
    loaded = {}
    http2 = SimpleNamespace()
    for name in MODULES:
        module = importlib.import_module(f"{package}.{name}")
        package_name, _, last = name.rpartition(".")
        if package_name == "http2":
            setattr(http2, last, module)
        else:
            loaded["http1_head" if name == "http1.head" else last] = module
    return SimpleNamespace(form=form, http2=http2, **loaded)
