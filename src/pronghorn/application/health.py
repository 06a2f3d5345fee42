"""`--health-path`: answers load balancers and orchestrators without the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pronghorn._wire.exchange import Exchange


class Server(Protocol):
    """The part of `ServerState` that is asked."""

    @property
    def is_draining(self) -> bool:
        """True once load balancers should choose another server."""


def answering(path: str, server: Server, start: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    """Wrap `start`, which calls the application, so that GET and HEAD requests for `path` are answered: with 200 while
    the server serves, with 503 once it is draining. They are neither logged nor counted as the application's.
    """

    def answer_or_start(request: Any) -> None:
        if request.head.path == path and request.head.method in ("GET", "HEAD"):
            status, text = (503, b"draining\n") if server.is_draining else (200, b"ready\n")
            fields = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(text)),
                (b"cache-control", b"no-store"),
            ]
            request.set_apart()
            request.deliver({"type": "http.response.start", "status": status, "headers": fields})
            request.deliver({"type": "http.response.body", "body": text})
        else:
            start(request)

    return answer_or_start
