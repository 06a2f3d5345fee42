"""An application's call for a WebSocket: what is made good when it ends, and the log's lines about it."""

from __future__ import annotations

import logging
from typing import Any

from pronghorn._wire.rules import PHRASES
from pronghorn.errors import is_disconnect

_log = logging.getLogger("pronghorn.error")


async def run(app: Any, session: Any, connection: Any) -> None:
    """Call the application, and make good what it leaves undone."""
    failed = False
    try:
        result = await app(session.scope, session.receive, session.send)
    except BaseException as error:
        failed = True
        if not (session.is_over() and is_disconnect(error)):
            _log.error("Exception in ASGI application\n", exc_info=error)
    else:
        if result is not None:
            _log.error("ASGI callable should return None, but returned '%s'.", result)
    if not session.finish(failed):
        if not failed:
            _log.error("ASGI callable returned without completing handshake.")
        connection.fail(500)


def log_accepted(client: str, session: Any) -> None:
    """The application has accepted."""
    _log.info('%s - "WebSocket %s" [accepted]', client, _target(session.scope))
    _log.info("connection open")


def log_denied(client: str, session: Any, status: int) -> None:
    """The handshake was answered with an HTTP response."""
    _log.info('%s - "WebSocket %s" %d', client, _target(session.scope), status)
    _log.info("connection rejected (%d %s)", status, PHRASES.get(status, ""))


def log_closed() -> None:
    """An accepted WebSocket is gone."""
    _log.info("connection closed")


def _target(scope: dict[str, Any]) -> str:
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return target.decode("ascii")
