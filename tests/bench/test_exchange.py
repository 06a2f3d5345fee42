"""The check of a server's answer before it is measured."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("psutil")

from bench import apps
from bench.exchange import Echo, HTTP2Exchange
from bench.scenarios import PLAIN_HTTP2, SCENARIOS
from pronghorn.application import loader
from pronghorn.bench import certificate
from pronghorn.bench.process import Process, ServerFailed
from pronghorn.bench.scenario import Scenario
from tests.support.threads import Listening, echo, serving, websockets_serving


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_application_answers_what_its_scenario_expects(scenario: Scenario) -> None:
    if isinstance(scenario.exchange, HTTP2Exchange):
        pytest.importorskip("h2", reason="httpx needs it for HTTP/2")
    with serving(loader.resolve(scenario.app), http2=True) as process:
        scenario.exchange.check(process)


def test_wrong_answer_is_reported() -> None:
    (plain, posted) = (next(each for each in SCENARIOS if each.name == name) for name in ("plain", "post-1k"))
    with (
        serving(loader.resolve(plain.app)) as process,
        pytest.raises(ServerFailed, match="gave a wrong answer to /: 200"),
    ):
        posted.exchange.check(process)


def test_wrong_answer_over_http2_is_reported() -> None:
    pytest.importorskip("h2", reason="httpx needs it for HTTP/2")
    with (
        serving(apps.plain, http2=True) as process,
        pytest.raises(ServerFailed, match="gave a wrong answer to /: 200 b'Hello"),
    ):
        HTTP2Exchange(body=b"Goodbye").check(process)


def test_server_that_only_speaks_http1_is_reported() -> None:
    pytest.importorskip("h2", reason="httpx needs it for HTTP/2")
    with serving(apps.plain) as process, pytest.raises(ServerFailed, match="did not answer / over HTTP/2"):
        PLAIN_HTTP2.check(process)


@pytest.mark.parametrize("http2", [True, False], ids=["h2", "http/1.1"])
def test_http2_is_negotiated_with_tls(http2: bool, tmp_path: Path) -> None:
    pytest.importorskip("h2", reason="httpx needs it for HTTP/2")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate.make(tmp_path)
    files = {"ssl_certfile": tmp_path / certificate.CERTIFICATE, "ssl_keyfile": tmp_path / certificate.KEY}
    refused = contextlib.nullcontext() if http2 else pytest.raises(ServerFailed, match="over HTTP/2")
    with serving(apps.plain, "pronghorn-h2-tls", http2=http2, **files) as process, refused:
        PLAIN_HTTP2.check(process)


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
