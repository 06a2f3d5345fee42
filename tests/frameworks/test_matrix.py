"""Applications of real frameworks under uvicorn and pronghorn: clients see only the listed differences."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.server import Process, lacks

pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
from .exchanges import converse, differences
from .matrix import DIFFERENCES, FRAMEWORKS

TESTS = Path(__file__).parent.parent

# Sets have the same order in all processes.
ENVIRONMENT = {"PYTHONHASHSEED": "0"}

CASES = [
    pytest.param(name, form, conversation, id=f"{name}-{form}-{conversation}")
    for name, framework in FRAMEWORKS.items()
    for form in framework.forms
    for conversation in framework.conversations
]


def absent(name):
    """The reason that a framework's application cannot run here, or None if it can."""
    for module in FRAMEWORKS[name].needs:
        with contextlib.suppress(ModuleNotFoundError):
            if find_spec(module):
                continue
        return f"{module} is not installed"
    return None


def launch_each(name, stack):
    """Serve one framework's application with uvicorn and each form of pronghorn until `stack` is closed."""

    def launch(**more):
        app = f"frameworks.apps.{FRAMEWORKS[name].app}:app"
        server = Process(app, "--app-dir", str(TESTS), "--port", "0", env=ENVIRONMENT, **more)
        stack.callback(server.end)
        return server

    launched = {form: launch(form=form) for form in FRAMEWORKS[name].forms if not lacks(form)}
    launched["uvicorn"] = launch(module="uvicorn")
    for server in launched.values():
        server.wait_until_running()
    return launched


@pytest.fixture(scope="module")
def serve():
    """A function that returns a framework's servers. They run until another framework is requested."""
    running = {}
    with contextlib.ExitStack() as stack:

        def serve(name):
            if name not in running:
                running.clear()
                stack.close()
                running[name] = launch_each(name, stack)
            return running[name]

        yield serve


@pytest.mark.parametrize(("name", "form", "conversation"), CASES)
def test_answers_equal_those_of_uvicorn(serve, name, form, conversation):
    if reason := absent(name) or lacks(form):
        pytest.skip(reason)
    servers = serve(name)
    exchanges = FRAMEWORKS[name].conversations[conversation]
    expected = converse(servers["uvicorn"].url, exchanges)
    answers = converse(servers[form].url, exchanges)
    for exchange, theirs, ours in zip(exchanges, expected, answers, strict=True):
        found = differences(theirs, ours)
        listed = DIFFERENCES.get((name, str(exchange)))
        assert set(found) == set(listed.names if listed else ()), f"{exchange}: {found}"
