"""Both forms of the wire for every test that asks for `wire`."""

import importlib
import os
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

MODULES = ("access", "body", "connection", "head", "request", "response", "rules", "scan", "shared")
FORMS = {"compiled": "pronghorn._wire_c", "interpreted": "pronghorn._wire"}


def load_form(form):
    """The modules of one form; skips when it was not built, unless it is required."""
    package = FORMS[form]
    if form == "compiled" and find_spec(f"{package}.connection") is None:
        if os.environ.get("PRONGHORN_BUILD") == "required":
            pytest.fail("the compiled form is required and was not built")
        pytest.skip("the compiled form was not built")
    return SimpleNamespace(form=form, **{name: importlib.import_module(f"{package}.{name}") for name in MODULES})


@pytest.fixture(params=list(FORMS))
def wire(request):
    """One form of the hot path, its modules as attributes."""
    return load_form(request.param)
