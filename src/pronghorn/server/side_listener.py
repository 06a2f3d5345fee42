"""A listener beside the server: a thread of its own, which answers even while the server's event loop is blocked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.listen import sockets
from pronghorn.server.drain import Drain
from pronghorn.server.server import Server

if TYPE_CHECKING:
    import socket

# Seconds for the thread to begin and to end.
_PATIENCE = 5

_log = logging.getLogger("pronghorn.error")


class SideListener(threading.Thread):
    """Serves an ASGI `app` at `places` from `begin` to `stop`. An error in it, which is logged, ends nothing else.

    `title` is the name of the thread, `kind` that of the listener in log lines, and `parameters` are those of its
    configuration that differ from the defaults.
    """

    def __init__(self, title: str, kind: str, places: list[str], app: Any, **parameters: Any) -> None:
        super().__init__(name=title, daemon=True)
        self._kind = kind
        self._config = _configure(places, app, parameters)
        self._bound: list[socket.socket] = []
        self._is_settled = threading.Event()
        self._failure: Exception | None = None
        self._told_to_stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event

    @contextlib.contextmanager
    def bound(self) -> Iterator[list[str]]:
        """Bind, and stop at the end. Yields the addresses. Raises StartupError."""
        self._bound = sockets.bind(self._config, self._kind)
        try:
            yield sockets.addresses(self._bound, self._config)
        finally:
            self.stop()
            sockets.release(self._bound, self._config)

    def begin(self) -> None:
        """Start, and wait until it listens. Raises StartupError."""
        self.start()
        self._is_settled.wait(_PATIENCE)
        if self._failure is not None:
            raise StartupError(f"The {self._kind} listener cannot start: {self._failure}")

    def unlink(self) -> None:
        """Remove the files of Unix sockets."""
        sockets.unlink(self._config)

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failure = error
            if self._is_settled.is_set():
                _log.error("The %s listener has failed: %r", self._kind, error)
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


def _configure(places: list[str], app: Any, parameters: dict[str, Any]) -> Config:
    """A configuration. Not by the constructor, which sets up logging for the whole process."""
    config = Config.__new__(Config)
    config.app = app
    config.bind = places
    config.log_config = None
    config.interface = "asgi3"
    config.lifespan = "off"
    config.loop = "asyncio"
    config.ws = "none"
    config.access_log = False
    config.encoded_headers = []
    for name, value in parameters.items():
        setattr(config, name, value)
    return config
