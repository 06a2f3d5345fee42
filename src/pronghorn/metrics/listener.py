"""`--metrics-bind`: a listener in a thread of its own, which answers even while the server's event loop is blocked.

`/health` describes the server in JSON, any other path has its metrics.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pronghorn import __version__, signal_handlers
from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.listen import sockets
from pronghorn.server import Server
from pronghorn.server.drain import Drain

if TYPE_CHECKING:
    import socket

    from pronghorn.metrics import collector
    from pronghorn.process.upgrade import Upgrade
    from pronghorn.types import Receive, Scope, Send

# Seconds for the thread to begin and to end.
_PATIENCE = 5

_log = logging.getLogger("pronghorn.error")


@contextlib.contextmanager
def listening(place: str, observed: collector.Server, upgrade: Upgrade | None = None) -> Iterator[None]:
    """Listen at `place` for requests about `observed`, while this program is the main one. Raises StartupError."""
    config = _configure(place, _application(observed))
    bound = sockets.bind(config, "metrics")
    try:
        thread = _Thread(config, bound)
        try:
            if upgrade is None or not upgrade.replaces_another():
                thread.begin()
            else:  # until then the older program answers
                upgrade.on_taking_over(thread.begin)
            if upgrade is not None:
                upgrade.on_done.append(lambda pid: thread.stop())
            for message, _ in sockets.describe(bound, config):
                _log.info(message.replace("Pronghorn running on", "Metrics are shown on").partition(" (")[0])
            with signal_handlers.before_death(lambda: sockets.unlink(config)):
                yield
        finally:
            thread.stop()
    finally:
        sockets.release(bound, config)


class _Thread(threading.Thread):
    """Serves until `stop`. An error in it, which is logged, ends nothing else."""

    def __init__(self, config: Config, bound: list[socket.socket]) -> None:
        super().__init__(name="pronghorn-metrics", daemon=True)
        self._config = config
        self._bound = bound
        self._is_settled = threading.Event()
        self._failure: Exception | None = None
        self._told_to_stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event

    def begin(self) -> None:
        """Start, and wait until it listens. Raises StartupError."""
        self.start()
        self._is_settled.wait(_PATIENCE)
        if self._failure is not None:
            raise StartupError(f"The metrics listener cannot start: {self._failure}")

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failure = error
            if self._is_settled.is_set():
                _log.error("The metrics listener has failed: %r", error)
        finally:
            self._is_settled.set()

    def stop(self) -> None:
        self._told_to_stop.set()
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has closed
                loop.call_soon_threadsafe(self._end.set)
        if self.is_alive():
            self.join(_PATIENCE)

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        server = _Server(self._config)
        await server.startup(self._bound)
        self._is_settled.set()
        if not self._told_to_stop.is_set():
            await self._end.wait()
        await server.shutdown()


class _Server(Server):
    """Does not wait for its clients when it stops."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for each in self.servers:
            each.close()
        Drain(self).abort_connections()
        self._clock.stop()
        await asyncio.sleep(0)


def _configure(place: str, app: Any) -> Config:
    """Every other parameter has its default. Not by the constructor, which sets up logging for the whole process."""
    config = Config.__new__(Config)
    config.app = app
    config.bind = [place]
    config.log_config = None
    config.interface = "asgi3"
    config.lifespan = "off"
    config.loop = "asyncio"
    config.ws = "none"
    config.access_log = False
    config.encoded_headers = []
    return config


def _application(observed: collector.Server) -> Any:
    try:
        from prometheus_client import CollectorRegistry, make_asgi_app

        from pronghorn.metrics.collector import PageCollector
    except ImportError:
        raise StartupError("--metrics-bind needs prometheus_client: pip install 'pronghorn[metrics]'.") from None

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
