"""The simulation itself: a life fails if the server does what it must not."""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("the simulated network needs Linux", allow_module_level=True)

from tests.simulation import hostile, http1, life, websocket
from tests.simulation.application import Application, Receive, Send
from tests.simulation.campaign import live
from tests.simulation.network import Link
from tests.support.frames import TEXT, frame

SEEDS = 20

Only = Callable[..., None]
Sabotage = Callable[..., None]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Only:
    """Let every client be of one class, and have one script."""

    def set_only(kind: Any, script: str = "script") -> None:
        monkeypatch.setattr(life, "_KINDS", (kind,))
        monkeypatch.setattr(kind, "script", getattr(kind, script))

    return set_only


@pytest.fixture
def sabotage(monkeypatch: pytest.MonkeyPatch) -> Sabotage:
    """Put something between the server and the application, which breaks `receive` or `send`."""

    def set_sabotage(receiving: Callable[[Receive], Receive] = _same, sending: Callable[[Send], Send] = _same) -> None:
        call = Application.__call__

        async def sabotaged(self: Application, scope: dict[str, Any], receive: Receive, send: Send) -> None:
            await call(self, scope, receiving(receive), sending(send))

        monkeypatch.setattr(Application, "__call__", sabotaged)

    return set_sabotage


def _same(callback: Callable[..., Any]) -> Callable[..., Any]:
    return callback


def fails_with(text: str) -> bool:
    """Return whether one of the first lives fails for this reason."""
    return any(text in failure for seed in range(SEEDS) for failure in live(seed).failures)


def with_other_body(receive: Receive) -> Receive:
    async def receive_other() -> dict[str, Any]:
        message: dict[str, Any] = await receive()
        return message | {"body": b"other"} if message.get("body") else message

    return receive_other


def without_third(receive: Receive) -> Receive:
    """Lose the third message of a WebSocket: what is received first is that it opens."""
    numbers = itertools.count()

    async def receive_less() -> dict[str, Any]:
        message: dict[str, Any] = await receive()
        return await receive() if next(numbers) == 3 else message

    return receive_less


def without_messages(send: Send) -> Send:
    async def send_less(message: dict[str, Any]) -> None:
        if message["type"] != "websocket.send":
            await send(message)

    return send_less


def test_request_that_nobody_sent_fails(monkeypatch: pytest.MonkeyPatch, only: Only) -> None:
    only(hostile.Hostile, "_garbage")
    accepted = (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"HTTP/1.1 500 ")
    monkeypatch.setattr(hostile, "GARBAGE", (accepted,))
    assert fails_with("a request that nobody sent: /")


def test_other_refusal_than_expected_fails(monkeypatch: pytest.MonkeyPatch, only: Only) -> None:
    only(hostile.Hostile, "_garbage")
    monkeypatch.setattr(hostile, "GARBAGE", [(data, b"HTTP/1.1 200 ") for data, _ in hostile.GARBAGE])
    assert fails_with("instead of b'HTTP/1.1 200 '")


def test_late_refusal_fails(monkeypatch: pytest.MonkeyPatch, only: Only) -> None:
    only(hostile.Hostile, "_garbage")
    monkeypatch.setattr(hostile, "GARBAGE", [(b"GET / HTTP/1.1\r\n", b"HTTP/1.1 408 ")])
    assert fails_with("refusal: closed at")


@pytest.mark.parametrize(("limit", "failures"), [(None, 1), (4, 0)])
def test_503_without_a_limit_fails(limit: int | None, failures: int) -> None:
    refused = life.Life(0)
    refused.config.limit_concurrency = limit
    with contextlib.closing(refused.network) as network:
        link = Link(network, 1, random.Random(0))
        network.links.append(link)
        link.received += b"HTTP/1.1 503 Service Unavailable\r\n"
        link.ended_at = refused.now()
        hostile.Hostile(refused, link)._check_answer(b"HTTP/1.1 408 ")
    assert len(refused.failures) == failures


def test_unmasked_message_fails(monkeypatch: pytest.MonkeyPatch, only: Only) -> None:
    only(hostile.Hostile, "_bad_frame")
    monkeypatch.setattr(hostile, "UNMASKED", frame(TEXT, b"a"))
    assert fails_with("a frame without a mask was a message")


def test_body_that_was_not_sent_fails(only: Only, sabotage: Sabotage) -> None:
    only(hostile.Hostile, "_slow_body")
    sabotage(receiving=with_other_body)
    assert fails_with("another body than the client sent")


def test_lost_message_fails(only: Only, sabotage: Sabotage) -> None:
    only(websocket.Talk)
    sabotage(receiving=without_third)
    assert fails_with("2 of 3 messages came back")


def test_message_that_is_lost_before_a_close_fails(
    monkeypatch: pytest.MonkeyPatch, only: Only, sabotage: Sabotage
) -> None:
    only(websocket.Talk)
    closing = property(lambda session: websocket.Manner.CLOSE, lambda session, manner: None)
    monkeypatch.setattr(websocket.Session, "manner", closing, raising=False)
    sabotage(sending=without_messages)
    assert fails_with("messages arrived before the close")


def test_100_that_was_not_expected_fails(monkeypatch: pytest.MonkeyPatch, only: Only) -> None:
    only(http1.Conversation)
    read = http1.Answers.read
    monkeypatch.setattr(http1.Answers, "read", lambda answers, method, expects: read(answers, method, False))
    assert fails_with("100 to a request that does not expect it")
