"""A gunicorn worker: `gunicorn -k pronghorn.gunicorn.Worker main:app`.

gunicorn binds, supervises and logs; its settings apply to parameters with the same meaning. Parameters of `Config` that
gunicorn has no setting for can be given in `CONFIG_KWARGS` of a subclass.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar

from gunicorn.arbiter import Arbiter
from gunicorn.sock import ssl_context
from gunicorn.workers import base

from pronghorn.config import Config, ConfigError
from pronghorn.config.parameters import PARAMETERS
from pronghorn.errors import StartupError
from pronghorn.logging import log
from pronghorn.server import Server
from pronghorn.signal_handlers import reset_after_fork
from pronghorn.types import Receive, Scope, Send

# Seconds between checks for a stop, and the longest time between heartbeats to the arbiter.
_POLL = 0.1
_BEAT = 1.0

# Seconds for requests, and then for the lifespan, at a quick stop.
_QUICK = 1

# `underscored_headers` by gunicorn's header_map, whose default drops fields because of WSGI.
_UNDERSCORED = {"drop": "auto", "refuse": "drop", "dangerous": "keep"}

# The value for limits that are 0 in gunicorn, where it means unlimited.
_UNBOUNDED = 2**31 - 1


class Worker(base.Worker):
    """Runs one server in a gunicorn process, on all of its sockets.

    SIGTERM stops gracefully within `graceful_timeout`; SIGQUIT, SIGINT and a reload give requests one second; SIGUSR1
    reopens the logs. A worker whose event loop is blocked for `timeout` misses its heartbeat, also during startup and
    shutdown of the application.
    """

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {}

    _server: Server | None = None

    def load_wsgi(self) -> None:
        try:
            self.wsgi = self.app.wsgi()
        except SyntaxError as error:
            if not self.cfg.reload:
                raise
            self.log.exception(error)
            if self.reloader is not None and error.filename is not None:
                self.reloader.add_extra_file(error.filename)
            self.wsgi = _syntax_error_app

    def init_signals(self) -> None:
        super().init_signals()
        # The event loop sets its own.
        signal.set_wakeup_fd(-1)
        for handler in (self.handle_exit, self.handle_quit, self.handle_abort):
            reset_after_fork(handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.alive = False
        if self._server is not None:
            self._server.handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        self.alive = False
        self.cfg.worker_int(self)
        if self._server is None:
            sys.exit(0)
        self._stop_quickly(self._server)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        self.alive = False
        self.cfg.worker_abort(self)
        # The code that blocks the event loop may catch SystemExit.
        os._exit(1)

    def run(self) -> None:
        try:
            self._take_over_logging()
            server = self._server = _Server(self._make_config())
            with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
                runner.run(self._serve(server))
        except ConfigError as error:
            self.log.error("%s", error)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        except StartupError as error:
            log.report(error)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        if not server.started and self.alive:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _serve(self, server: Server) -> None:
        heart = asyncio.create_task(self._beat(server))
        try:
            await server.serve([each.sock for each in self.sockets])
        finally:
            heart.cancel()

    async def _beat(self, server: Server) -> None:
        """Send heartbeats to the arbiter; stop when it is gone or a file has changed."""
        interval = min(_BEAT, self.timeout / 2) if self.timeout else _BEAT
        due = 0.0
        while True:
            now = time.monotonic()
            if now >= due:
                due = now + interval
                self.notify()
                if self.ppid != os.getppid():
                    self.log.info("Parent changed, shutting down: %s", self)
                    server.should_exit = True
            if not self.alive and not server.should_exit:
                self._stop_quickly(server)
            await asyncio.sleep(_POLL)

    def _stop_quickly(self, server: Server) -> None:
        """Stop within _QUICK seconds, or at once if the server is already stopping."""
        if server.should_exit:
            server.force_exit = True
        server.config.timeout_graceful_shutdown = _QUICK
        server.linger = 0.0
        server.should_exit = True

    def _take_over_logging(self) -> None:
        """Send the server's log lines to gunicorn's handlers."""
        for name, theirs in (("pronghorn", self.log.error_log), ("pronghorn.access", self.log.access_log)):
            logger = logging.getLogger(name)
            logger.handlers = theirs.handlers
            logger.setLevel(theirs.level)
            logger.propagate = False

    def _make_config(self) -> Config:
        cfg = self.cfg
        if cfg.proxy_protocol not in (False, "off"):
            raise StartupError("proxy_protocol is not available in pronghorn's worker.")
        parameters: dict[str, Any] = {
            name: getattr(cfg, each.gunicorn)
            for name, each in PARAMETERS.items()
            if each.gunicorn in cfg.settings  # older versions of gunicorn lack some
        }
        parameters |= {
            "app": self.wsgi,
            "log_config": None,
            "workers": 1,
            "limit_max_requests": self.max_requests if cfg.max_requests else None,
            "limit_target_size": cfg.limit_request_line or _UNBOUNDED,
            "forwarded_allow_ips": _trusted(cfg.forwarded_allow_ips),
            "underscored_headers": _UNDERSCORED[getattr(cfg, "header_map", "drop")],
        }
        if cfg.limit_request_line and cfg.limit_request_field_size:
            # gunicorn limits each field, the server the whole head.
            parameters["limit_head_size"] = max(65536, cfg.limit_request_line + cfg.limit_request_field_size)
        else:
            parameters["limit_head_size"] = _UNBOUNDED
        if cfg.is_ssl:
            parameters["ssl_context_factory"] = self._make_ssl_context
        return Config(**(parameters | self.CONFIG_KWARGS))

    def _make_ssl_context(self, config: Config, default: Callable[[], Any]) -> Any:
        """Create the context from gunicorn's settings, with our own ALPN protocol."""
        context = ssl_context(self.cfg)
        context.set_alpn_protocols(["http/1.1"])
        return context


class _Server(Server):
    """A server that leaves signals to gunicorn."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


def _trusted(listed: str | list[str]) -> str | list[str]:
    """The trusted proxies as in gunicorn, which also trusts peers without an address."""
    members = listed.split(",") if isinstance(listed, str) else listed
    return "*" if "*" in members else [*members, "unix"]


async def _syntax_error_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Replaces an application with a syntax error until it is fixed."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
    if scope["type"] == "http":
        text = b"The application has a syntax error, which the log shows."
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": text})
