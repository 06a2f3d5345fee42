"""`--metrics-bind`: a listener in a thread of its own, which answers even while the server's event loop is blocked.

`/health` describes the server in JSON, any other path has its metrics.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pronghorn import __version__, signal_handlers
from pronghorn.errors import StartupError
from pronghorn.server.side_listener import SideListener

if TYPE_CHECKING:
    from pronghorn.metrics import collector
    from pronghorn.process.upgrade import Upgrade
    from pronghorn.types import Receive, Scope, Send

_log = logging.getLogger("pronghorn.error")


@contextlib.contextmanager
def listening(place: str, observed: collector.Server, upgrade: Upgrade | None = None) -> Iterator[None]:
    """Listen at `place` for requests about `observed`, while this program is the main one. Raises StartupError."""
    listener = SideListener("pronghorn-metrics", "metrics", [place], _application(observed))
    with listener.bound() as addresses, signal_handlers.before_death(listener.unlink):
        if upgrade is None or not upgrade.replaces_another():
            listener.begin()
        else:  # until then the older program answers
            upgrade.on_taking_over(listener.begin)
        if upgrade is not None:
            upgrade.on_done.append(lambda pid: listener.stop())
        for address in addresses:
            _log.info("Metrics are shown on %s", address)
        yield


def ensure_available() -> None:
    """Raises StartupError if the library for metrics is not installed."""
    try:
        import prometheus_client as prometheus_client
    except ImportError:
        raise StartupError("--metrics-bind needs prometheus_client: pip install 'pronghorn[metrics]'.") from None


def _application(observed: collector.Server) -> Any:
    ensure_available()
    from prometheus_client import CollectorRegistry, make_asgi_app

    from pronghorn.metrics.collector import PageCollector

    registry = CollectorRegistry(auto_describe=False)
    registry.register(PageCollector(observed))
    metrics = make_asgi_app(registry)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/health":
            await _answer(send, *_health(observed))
        else:
            await metrics(scope, receive, send)

    return app


def _health(observed: collector.Server) -> tuple[int, dict[str, Any]]:
    phase = observed.phase()
    workers = [{"pid": pid, "state": state, "age": round(age, 1)} for pid, state, age in observed.workers()]
    return 200 if phase == "ready" else 503, {"status": phase, "version": __version__, "workers": workers}


async def _answer(send: Send, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
