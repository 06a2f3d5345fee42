"""The applications of the servers whose instructions `served.py` counts, by path, and their mark."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable
from typing import Any

from . import apps
from .replay import mark


async def marking(scope: apps.Message, receive: apps.Receive, send: apps.Send) -> None:
    """Mark, then answer as `plain` does."""
    mark()
    await apps.plain(scope, receive, send)


APPS: dict[str, Any] = {
    "/mark": marking,
    "/plain": apps.plain,
    "/sleep": apps.sleep,
    "/websocket": apps.websocket_echo,
}
if importlib.util.find_spec("starlette") is not None:
    from .app_starlette import app as starlette

    APPS["/json"] = starlette


def app(scope: apps.Message, receive: apps.Receive, send: apps.Send) -> Awaitable[None]:
    """Call the application at the path."""
    called: Awaitable[None] = APPS[scope["path"]](scope, receive, send)
    return called
