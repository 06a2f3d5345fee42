"""The check of a server's answer before it is measured."""

from __future__ import annotations

from typing import Any, cast

import pytest

pytest.importorskip("psutil")

from bench import apps
from bench.exchange import Echo
from bench.scenarios import SCENARIOS
from pronghorn.application import loader
from pronghorn.bench.process import Process, ServerFailed
from pronghorn.bench.scenario import Scenario
from tests.support.threads import Listening, echo, serving, websockets_serving


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_application_answers_what_its_scenario_expects(scenario: Scenario) -> None:
    with serving(loader.resolve(scenario.app)) as process:
        scenario.exchange.check(process)


def test_wrong_answer_is_reported() -> None:
    (plain, posted) = (next(each for each in SCENARIOS if each.name == name) for name in ("plain", "post-1k"))
    with (
        serving(loader.resolve(plain.app)) as process,
        pytest.raises(ServerFailed, match="gave a wrong answer to /: 200"),
    ):
        posted.exchange.check(process)


@pytest.mark.parametrize(
    "message", ["x" * 64, "é" * 63, bytes(126), bytes(65536)], ids=["text", "umlaut", "126", "64k"]
)
def test_echo_is_checked(message: str | bytes) -> None:
    with websockets_serving(echo) as port:
        Echo(message).check(cast(Process, Listening(port)))


def test_wrong_echo_is_reported() -> None:
    def shout(connection: Any) -> None:
        for message in connection:
            connection.send(message.upper())

    with websockets_serving(shout) as port, pytest.raises(ServerFailed, match="gave a wrong answer to a message"):
        Echo("abc").check(cast(Process, Listening(port)))


def test_refused_upgrade_is_reported() -> None:
    with serving(apps.plain) as process, pytest.raises(ServerFailed, match="answered"):
        Echo("abc").check(process)
