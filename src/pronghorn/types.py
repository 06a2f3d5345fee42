"""Type aliases for ASGI (version 3.0), and `Path`, for annotations in applications and in this package."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]

Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

ASGI3App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
ASGI2Instance: TypeAlias = Callable[[Receive, Send], Awaitable[None]]
ASGI2App: TypeAlias = Callable[[Scope], ASGI2Instance]
WSGIApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
App: TypeAlias = ASGI3App | ASGI2App | WSGIApp

Headers: TypeAlias = list[tuple[bytes, bytes]]

Path: TypeAlias = "str | os.PathLike[str]"
