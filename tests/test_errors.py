"""Errors, and which of an application's only say that its client has left."""

from __future__ import annotations

import asyncio

import pytest

from pronghorn.errors import ClientDisconnected, FrameError, ProtocolError, is_disconnect

# As frameworks call theirs.
NAMES = (
    "ClientDisconnect",
    "ClientDisconnectedError",
    "WebSocketDisconnect",
    "WebSocketDisconnectError",
    "WebSocketDisconnected",
)


def raised(name: str, cause: BaseException | None = None, context: BaseException | None = None) -> Exception:
    """An error of a framework's class of that name."""
    error: Exception = type(name, (Exception,), {})()
    error.__cause__, error.__context__ = cause, context
    return error


@pytest.mark.parametrize("name", NAMES)
def test_framework_error_counts_once_disconnect_was_heard(name: str) -> None:
    assert is_disconnect(raised(name), heard=True)


@pytest.mark.parametrize("name", NAMES)
def test_framework_error_does_not_count_before(name: str) -> None:
    assert not is_disconnect(raised(name))


@pytest.mark.parametrize("how", ["cause", "context"])
def test_framework_error_around_ours_counts_before(how: str) -> None:
    assert is_disconnect(raised("ClientDisconnect", **{how: ClientDisconnected()}))


def test_other_error_does_not_count_when_ours_was_being_handled() -> None:
    assert not is_disconnect(raised("KeyError", context=ClientDisconnected()), heard=True)


@pytest.mark.parametrize("error", [ClientDisconnected(), asyncio.CancelledError()])
def test_our_error_counts_in_group(error: BaseException) -> None:
    assert is_disconnect(BaseExceptionGroup("", [error, ClientDisconnected()]))


def test_group_with_another_error_does_not_count() -> None:
    assert not is_disconnect(ExceptionGroup("", [ClientDisconnected(), ValueError()]), heard=True)


@pytest.mark.parametrize("error", [ProtocolError(400, "no Host"), FrameError(1002, "no Host")])
def test_error_says_its_reason_and_code(error: Exception) -> None:
    assert str(error) in ("no Host (400)", "no Host (1002)")
