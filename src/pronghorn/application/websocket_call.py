"""Run an application on a WebSocket session, and log its outcome."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pronghorn.constants import PHRASES
from pronghorn.errors import is_disconnect
from pronghorn.logging.log import say

if TYPE_CHECKING:
    from pronghorn._wire.websocket.session import WebSocket


async def run(app: Callable[..., Awaitable[object]], session: WebSocket) -> None:
    """Call the application, log its errors, and end a session or handshake that it leaves open."""
    failed = False
    try:
        result = await app(session.scope, session.receive, session.send)
    except BaseException as error:
        failed = True
        if not (session.is_over() and is_disconnect(error)):
            say(logging.ERROR, "Exception in ASGI application\n", error=error)
    else:
        if result is not None:
            say(logging.ERROR, "ASGI callable should return None, but returned '%s'.", result)
    try:
        if not session.finish(failed):
            if not failed:
                say(logging.ERROR, "ASGI callable returned without completing handshake.")
            session.fail(500)
    except Exception as error:
        session.crash(error)


def log_accepted(session: WebSocket) -> None:
    """Log that the application has accepted."""
    say(logging.INFO, '%s - "WebSocket %s" [accepted]', session.client_text, _target(session.scope))
    say(logging.INFO, "connection open")


def log_denied(session: WebSocket, status: int) -> None:
    """Log that the handshake was answered with an HTTP response."""
    say(logging.INFO, '%s - "WebSocket %s" %d', session.client_text, _target(session.scope), status)
    say(logging.INFO, "connection rejected (%d %s)", status, PHRASES.get(status, ""))


def log_closed() -> None:
    """Log the end of an accepted WebSocket."""
    say(logging.INFO, "connection closed")


def _target(scope: dict[str, Any]) -> str:
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return target.decode("ascii")
