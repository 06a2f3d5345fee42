"""The simulation itself: a life fails if the server does what it must not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("the simulated network needs Linux", allow_module_level=True)

from tests.simulation import hostile, life
from tests.simulation.application import Application, Receive, Send
from tests.simulation.campaign import live
from tests.support.frames import TEXT, frame

SEEDS = 12


Break = Callable[[Receive], Receive]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], None]:
    """Let every client be of one class, and have one script."""

    def set_only(kind: Any, script: str = "script") -> None:
        monkeypatch.setattr(life, "_KINDS", (kind,))
        monkeypatch.setattr(kind, "script", getattr(kind, script))

    return set_only


@pytest.fixture
def sabotage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Break], None]:
    """Let the application receive what `broken` makes of the server's messages."""

    def set_sabotage(broken: Break) -> None:
        call = Application.__call__

        async def sabotaged(self: Application, scope: dict[str, Any], receive: Receive, send: Send) -> None:
            await call(self, scope, broken(receive), send)

        monkeypatch.setattr(Application, "__call__", sabotaged)

    return set_sabotage


def failures() -> str:
    return "\n".join(failure for seed in range(SEEDS) for failure in live(seed).failures)


def with_other_body(receive: Receive) -> Receive:
    async def receive_other() -> dict[str, Any]:
        message: dict[str, Any] = await receive()
        return message | {"body": b"other"} if message.get("body") else message

    return receive_other


def test_request_that_nobody_sent_fails(monkeypatch: pytest.MonkeyPatch, only: Callable[[Any, str], None]) -> None:
    only(hostile.Hostile, "_garbage")
    assert failures() == ""
    accepted = (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"HTTP/1.1 500 ")
    monkeypatch.setattr(hostile, "GARBAGE", (accepted,))
    assert "a request that nobody sent: /" in failures()


def test_other_refusal_than_expected_fails(monkeypatch: pytest.MonkeyPatch, only: Callable[[Any, str], None]) -> None:
    only(hostile.Hostile, "_garbage")
    monkeypatch.setattr(hostile, "GARBAGE", [(data, b"HTTP/1.1 200 ") for data, _ in hostile.GARBAGE])
    assert "instead of b'HTTP/1.1 200 '" in failures()


def test_late_refusal_fails(monkeypatch: pytest.MonkeyPatch, only: Callable[[Any, str], None]) -> None:
    only(hostile.Hostile, "_garbage")
    monkeypatch.setattr(hostile, "GARBAGE", [(b"GET / HTTP/1.1\r\n", b"HTTP/1.1 408 ")])
    assert "refusal: closed at" in failures()


def test_unmasked_message_fails(monkeypatch: pytest.MonkeyPatch, only: Callable[[Any, str], None]) -> None:
    only(hostile.Hostile, "_bad_frame")
    assert failures() == ""
    monkeypatch.setattr(hostile, "UNMASKED", frame(TEXT, b"a"))
    assert "a frame without a mask was a message" in failures()


def test_body_that_was_not_sent_fails(only: Callable[[Any, str], None], sabotage: Callable[[Break], None]) -> None:
    only(hostile.Hostile, "_slow_body")
    assert failures() == ""
    sabotage(with_other_body)
    assert "another body than the client sent" in failures()
