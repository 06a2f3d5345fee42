"""Applications of real frameworks, served by uvicorn and by pronghorn: a client sees no difference but those listed."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from pathlib import Path

import pytest
from served import Process, lacks

pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
from .exchanges import converse, differences
from .matrix import DIFFERENCES, FRAMEWORKS

TESTS = Path(__file__).parent.parent

# Sets come out in the same order.
ENVIRONMENT = {"PYTHONHASHSEED": "0"}

CASES = [
    pytest.param(name, form, conversation, id=f"{name}-{form}-{conversation}")
    for name, framework in FRAMEWORKS.items()
    for form in framework.forms
    for conversation in framework.conversations
]


def absent(name):
    """Why the application of a framework cannot be served here, or None if it can."""
    for module in FRAMEWORKS[name].needs:
        with contextlib.suppress(ModuleNotFoundError):
            if find_spec(module):
                continue
        return f"{module} is not installed"
    return None


def launch_each(name, stack):
    """uvicorn and each form of pronghorn, which serve the application of one framework until `stack` is closed."""

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
    """A function of a framework's name to its servers, which run until another framework's are asked for."""
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
def test_the_same_answers(serve, name, form, conversation):
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
