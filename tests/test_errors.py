"""The package's errors, and the recognition of an application's error that only reports a disconnect."""

from __future__ import annotations

import asyncio

import pytest

from pronghorn.errors import ClientDisconnected, FrameError, ProtocolError, is_disconnect

# The names of the frameworks' own errors.
NAMES = (
    "ClientDisconnect",
    "ClientDisconnectedError",
    "WebSocketDisconnect",
    "WebSocketDisconnectError",
    "WebSocketDisconnected",
)


def raised(name: str, cause: BaseException | None = None, context: BaseException | None = None) -> Exception:
    """An error of a framework's class with this name."""
    error: Exception = type(name, (Exception,), {})()
    error.__cause__, error.__context__ = cause, context
    return error


@pytest.mark.parametrize("name", NAMES)
def test_framework_error_is_disconnect_after_disconnect_message(name: str) -> None:
    assert is_disconnect(raised(name), knows=True)


@pytest.mark.parametrize("name", NAMES)
def test_framework_error_is_no_disconnect_before_disconnect_message(name: str) -> None:
    assert not is_disconnect(raised(name))


@pytest.mark.parametrize("how", ["cause", "context"])
def test_framework_error_around_our_error_is_disconnect(how: str) -> None:
    assert is_disconnect(raised("ClientDisconnect", **{how: ClientDisconnected()}))


def test_other_error_raised_while_handling_ours_is_no_disconnect() -> None:
    assert not is_disconnect(raised("KeyError", context=ClientDisconnected()), knows=True)


@pytest.mark.parametrize("error", [ClientDisconnected(), asyncio.CancelledError()])
def test_group_of_our_errors_is_disconnect(error: BaseException) -> None:
    assert is_disconnect(BaseExceptionGroup("", [error, ClientDisconnected()]))


def test_group_with_another_error_is_no_disconnect() -> None:
    assert not is_disconnect(ExceptionGroup("", [ClientDisconnected(), ValueError()]), knows=True)


@pytest.mark.parametrize("error", [ProtocolError(400, "no Host"), FrameError(1002, "no Host")])
def test_error_text_has_reason_and_code(error: Exception) -> None:
    assert str(error) in ("no Host (400)", "no Host (1002)")
