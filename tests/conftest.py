"""Shared fixtures: both forms of the hot path, the command line without a server, certificates."""

import logging
import os

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, settings

from pronghorn.cli import commands
from tests.support.forms import FORMS, load_form

# No limit on the time of an example or its generation: other work may take the processor.
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", derandomize=True, print_blob=True, **QUIET)
settings.register_profile("dev", **QUIET)
settings.register_profile("few", derandomize=True, max_examples=10, stateful_step_count=20, **QUIET)
settings.register_profile("long", print_blob=True, max_examples=10000, stateful_step_count=60, **QUIET)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

SLOW = {"storm", "soak", "tools", "simulation", "smuggling", "attacks"}


@pytest.fixture(params=list(FORMS))
def wire(request):
    """The modules of one form of the hot path, as attributes."""
    return load_form(request.param)


@pytest.fixture(autouse=True)
def _levels():
    """Restore the levels and propagation of our loggers after each test."""
    loggers = [logging.getLogger(name) for name in ("pronghorn", "pronghorn.error", "pronghorn.access")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (level, propagate) in zip(loggers, before, strict=True):
        logger.propagate = propagate
        if logger.level != level:
            logger.setLevel(level)


@pytest.fixture
def loggers():
    """Restore our loggers after the test."""
    names = ["pronghorn", "pronghorn.error", "pronghorn.access"]
    before = [(logger := logging.getLogger(name), logger.handlers, logger.level, logger.propagate) for name in names]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def parsed(monkeypatch):
    """A function that runs the command line and returns the parameters it passes to `run`."""

    def parse(*arguments, **environment):
        calls = []
        monkeypatch.setattr(commands, "run", lambda app, **parameters: calls.append({"app": app, **parameters}))
        result = CliRunner().invoke(commands.main, arguments, env=environment, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return calls[0]

    return parse


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A certificate authority and its certificates."""
    from tests.support.certificates import Certificates  # needs trustme, which most tests do not

    return Certificates(tmp_path_factory.mktemp("certificates"))


def pytest_configure(config):
    # pytest-xdist would begin with the files of the most tests, and end with a few that take minutes.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Begin with the folders whose tests take longest: the others run beside them."""
    items.sort(key=lambda item: SLOW.isdisjoint(item.path.parts))
