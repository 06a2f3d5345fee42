"""Adapters of ASGI 2 and WSGI applications to ASGI 3, and wrappers that log messages or hide header fields."""

from __future__ import annotations

import functools
import inspect
import itertools
import logging
from typing import Any, Literal, TypeAlias

from pronghorn.logging.formatters import TRACE_LOG_LEVEL
from pronghorn.types import ASGI2App, ASGI3App, Message, Receive, Scope, Send

Interface: TypeAlias = Literal["asgi3", "asgi2", "wsgi"]


def interface_of(app: Any) -> Interface:
    """Guess the interface of `app`: a coroutine function is ASGI 3; otherwise the number of arguments decides."""
    if inspect.isclass(app):
        return "asgi3" if hasattr(app, "__await__") else "asgi2"
    function = app
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return "asgi3"
    if not _takes(app, 1):
        if _takes(app, 2):
            return "wsgi"
        if _takes(app, 3):
            return "asgi3"
    return "asgi2"


def adapt(app: Any, interface: Interface, underscored_headers: str = "keep") -> ASGI3App:
    """Adapt `app`, which has the given interface, to ASGI 3."""
    adapted: ASGI3App = app
    if interface == "wsgi":
        from pronghorn.application.wsgi import WSGIAdapter  # imported only if needed

        adapted = WSGIAdapter(app)
    elif interface == "asgi2":
        adapted = ASGI2Adapter(app)
    if underscored_headers == "drop" or (underscored_headers == "auto" and interface == "wsgi"):
        adapted = WithoutUnderscores(adapted)
    return adapted


class ASGI2Adapter:
    """Adapts an application that takes two calls, `app(scope)(receive, send)`, to a single call."""

    def __init__(self, app: ASGI2App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["asgi"]["version"] = "2.0"
        await self.app(scope)(receive, send)


class WithoutUnderscores:
    """Hides header fields with an underscore in their name. In CGI's names it looks like a hyphen: by X_Remote_User a
    client could set X-Remote-User, which only its proxy may.
    """

    def __init__(self, app: ASGI3App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = scope.get("headers", ())
        if any(b"_" in name for name, _ in fields):
            scope["headers"] = [field for field in fields if b"_" not in field[0]]
        await self.app(scope, receive, send)


class MessageLogger:
    """Logs every message, without its content, to `pronghorn.asgi` at TRACE."""

    def __init__(self, app: ASGI3App) -> None:
        self.app = app
        self._numbers = itertools.count(1)
        self._logger = logging.getLogger("pronghorn.asgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        who = f"{client[0]}:{client[1]} - ASGI" if client else "ASGI"
        number = next(self._numbers)

        def log(text: str, *arguments: object) -> None:
            self._logger.log(TRACE_LOG_LEVEL, f"%s [%d] {text}", who, number, *arguments)

        async def logged_receive() -> Message:
            message = await receive()
            log("Receive %s", _without_content(message))
            return message

        async def logged_send(message: Message) -> None:
            log("Send %s", _without_content(message))
            await send(message)

        log("Started scope=%s", _without_content(scope))
        try:
            await self.app(scope, logged_receive, logged_send)
        except BaseException:
            log("Raised exception")
            raise
        log("Completed")


def _takes(app: Any, count: int) -> bool:
    try:
        inspect.signature(app).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def _without_content(message: Message) -> dict[str, Any]:
    shown = dict(message)
    for key, unit in (("body", "bytes"), ("bytes", "bytes"), ("text", "chars")):
        if shown.get(key) is not None:
            shown[key] = f"<{len(shown[key])} {unit}>"
    if shown.get("headers") is not None:
        shown["headers"] = "<...>"
    return shown
