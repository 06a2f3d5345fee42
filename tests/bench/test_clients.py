"""The benchmarks' clients that are written in C."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")

from bench import apps
from bench.clients import Compiled, Paced, WebSockets
from pronghorn.bench import load
from pronghorn.bench.load import Load, LoadFailed
from tests.support.threads import echo, serving, websockets_serving

ECHO = WebSockets("echo", "text", 64, 2)
PACED = Paced(200, 4)


def test_missing_compiler_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadFailed, match="needs a C compiler"):
        ECHO.program(tmp_path)


def test_failure_to_compile_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho no epoll here >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadFailed, match="does not compile: no epoll here"):
        ECHO.program(tmp_path)


def test_client_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tmp_path / "websocket"
    compiled.touch()
    monkeypatch.setenv("PATH", "")
    assert ECHO.program(tmp_path) == str(compiled)


Asking = Callable[[Compiled, int], Load]


@pytest.fixture(scope="module")
def seen_by(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    """Compile a client, and load the server at a port with it for a second."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    directory = tmp_path_factory.mktemp("clients")

    def seen(client: Compiled, port: int) -> Load:
        return load.run(client.program(directory), client.arguments(port, "/", 1), 1, min(os.sched_getaffinity(0)))

    return seen


@pytest.mark.parametrize(
    "asked",
    [
        ECHO,
        WebSockets("echo", "text", 125, 1),
        WebSockets("echo", "binary", 126, 1),
        WebSockets("echo", "binary", 65536, 2),
    ],
    ids=lambda asked: f"{asked.kind} {asked.size}",
)
def test_echoes_are_counted(seen_by: Asking, asked: WebSockets) -> None:
    with websockets_serving(echo) as port:
        seen = seen_by(asked, port)
    assert not seen.errors
    assert seen.requests >= asked.connections
    assert seen.bytes == seen.requests * asked.size
    assert 0 < seen.p50_us <= seen.p99_us < 1_000_000
    assert 1 <= seen.seconds < 1.5


@pytest.mark.parametrize("size", [64, 65536])
def test_echoes_over_http2_are_counted(seen_by: Asking, size: int) -> None:
    with serving(apps.websocket_echo, http2=True) as process:
        seen = seen_by(WebSockets("echo", "binary", size, 2, "http2"), process.port)
    assert not seen.errors
    assert seen.requests >= 2
    assert seen.bytes == seen.requests * size


def test_refusal_over_http2_is_reported(seen_by: Asking) -> None:
    with serving(apps.plain, http2=True) as process, pytest.raises(LoadFailed, match="connection 1: wrong answer"):
        seen_by(WebSockets("echo", "text", 64, 2, "http2"), process.port)


def test_next_broadcast_waits_for_all_sockets(seen_by: Asking) -> None:
    connections: list[Any] = []
    complete = threading.Barrier(8, timeout=30)

    def broadcast(connection: Any) -> None:
        connections.append(connection)
        complete.wait()
        for message in connection:
            for each in connections:
                each.send(message)

    with websockets_serving(broadcast) as port:
        seen = seen_by(WebSockets("broadcast", "text", 64, 8), port)
    assert not seen.errors
    assert seen.requests >= 16
    assert seen.bytes == seen.requests * 64


def test_pings_are_answered(seen_by: Asking) -> None:
    with websockets_serving(echo, ping_interval=0.1, ping_timeout=0.2) as port:
        assert not seen_by(ECHO, port).errors


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        (lambda message: message, {}),
        (lambda message: message[:-1] + "!", {"wrong": 2}),
        (lambda message: message[:-1], {"wrong": 2}),
        (lambda message: message.encode(), {"wrong": 2}),
        (lambda message: [message[:1], message[1:]], {"wrong": 2}),
    ],
    ids=["right", "content", "length", "opcode", "fragments"],
)
def test_wrong_message_is_an_error(seen_by: Asking, answer: Callable[[str], Any], errors: dict[str, int]) -> None:
    def answering(connection: Any) -> None:
        for message in connection:
            connection.send(answer(message))

    with websockets_serving(answering) as port:
        seen = seen_by(ECHO, port)
    assert {kind: seen.errors[kind] for kind in seen.errors if kind != "timeout"} == errors


def test_connection_that_is_closed_is_an_error(seen_by: Asking) -> None:
    with websockets_serving(lambda connection: connection.recv()) as port:
        assert seen_by(ECHO, port).errors["closed"] == 2


def test_missing_answer_is_an_error(seen_by: Asking) -> None:
    with websockets_serving(lambda connection: list(connection)) as port:
        seen = seen_by(ECHO, port)
    assert (seen.requests, seen.errors) == (0, {"timeout": 2})


def test_refused_upgrade_is_reported(seen_by: Asking) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(403, "")

    with (
        websockets_serving(echo, process_request=refuse) as port,
        pytest.raises(LoadFailed, match=r"connection 1: wrong answer to the upgrade: HTTP/1\.1 403"),
    ):
        seen_by(ECHO, port)


def test_requests_are_sent_at_a_rate(seen_by: Asking) -> None:
    with serving(apps.plain) as process:
        seen = seen_by(PACED, process.port)
    assert not seen.errors
    assert 1 <= seen.requests <= PACED.rate
    assert 0 < seen.p50_us <= seen.p99_us <= seen.p999_us < 1_100_000


def test_latency_counts_from_the_time_a_request_was_due(seen_by: Asking) -> None:
    """An unanswered request and those after it on its connection count with the time until the end."""
    answered = iter(range(PACED.connections * 10))

    async def stall(scope: Any, receive: Any, send: Any) -> None:
        if next(answered, None) is None:
            await receive()  # an empty body
            await receive()  # the client leaves
        else:
            await apps.plain(scope, receive, send)

    with serving(stall) as process:
        seen = seen_by(PACED, process.port)
    assert seen.requests <= PACED.connections * 10
    assert seen.p50_us > 300_000


@pytest.mark.parametrize(("app", "kind"), [(apps.stream, "wrong"), (apps.websocket_echo, "status")])
def test_unexpected_answer_is_an_error(seen_by: Asking, app: Any, kind: str) -> None:
    with serving(app) as process:
        assert seen_by(PACED, process.port).errors[kind] == PACED.connections
