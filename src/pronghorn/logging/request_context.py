"""The request in whose context a line is logged. Its IDs are found when a line is formatted, not for each request."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pronghorn.types import ASGI3App, Headers, Receive, Scope, Send

# Not the scope, which a task that outlives the request would keep in memory.
_current: contextvars.ContextVar[tuple[str | None, Headers]] = contextvars.ContextVar("pronghorn_request")


def keep(app: ASGI3App) -> ASGI3App:
    """Return `app`, called so that all that it logs is in the context of the request."""

    def call(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        _current.set((scope["state"].get("request_id"), scope["headers"]))
        return app(scope, receive, send)

    return call


def ids() -> dict[str, object]:
    """The `request_id`, `trace_id` and `span_id` of the current request, as far as it has them."""
    request = _current.get(None)
    return {} if request is None else ids_of(*request)


def ids_of(request_id: str | None, fields: Headers) -> dict[str, object]:
    """The same for a request with that ID and those header fields."""
    from pronghorn.logging import trace_context  # only where lines are written as JSON

    found: dict[str, object] = {} if request_id is None else {"request_id": request_id}
    if (trace := trace_context.read(fields)) is not None:
        found["trace_id"], found["span_id"] = trace
    return found
