"""Django's `runserver` on pronghorn. Options, checks, reloading and static files stay Django's."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import socket
import sys
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import OutputWrapper
from django.utils.module_loading import import_string

from pronghorn import Config, Server, __version__
from pronghorn.errors import StartupError
from pronghorn.logging import DefaultFormatter, LineHandler, log
from pronghorn.logging.defaults import DEFAULT_FORMAT
from pronghorn.types import ASGI3App, Receive, Scope, Send

if apps.is_installed("django.contrib.staticfiles"):
    from django.contrib.staticfiles.management.commands.runserver import Command as _Runserver
else:
    from django.core.management.commands.runserver import Command as _Runserver

# Seconds for running requests at shutdown.
_GRACE = 1


class Command(_Runserver):
    help = "Starts a development server that serves the project's ASGI application with pronghorn."
    stdout: Any

    def get_handler(self, *args: Any, **options: Any) -> ASGI3App:
        application = _application()
        if options.get("use_static_handler") and (settings.DEBUG or options["insecure_serving"]):
            from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

            application = ASGIStaticFilesHandler(application)
        return application

    def on_bind(self, server_port: int) -> None:
        banner = io.StringIO()
        stdout, self.stdout = self.stdout, OutputWrapper(banner)
        try:
            super().on_bind(server_port)
        finally:
            self.stdout = stdout
        ours = f"Starting ASGI/pronghorn {__version__} development server"
        stdout.write(re.sub(r"Starting (?:\w+ )?development server", ours, banner.getvalue(), count=1), ending="")


class _DevelopmentServer:
    """The server class that Django uses. It sets `daemon_threads` if requests may run concurrently."""

    daemon_threads = False

    def __init__(self, address: tuple[str, int], request_handler: object, ipv6: bool = False) -> None:
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self._socket = socket.create_server(address, family=family)
        self.server_port: int = self._socket.getsockname()[1]

    def set_app(self, application: ASGI3App) -> None:
        self._application = application if self.daemon_threads else _OneAtATime(application)

    def serve_forever(self) -> None:
        _set_up_logging()
        config = Config(
            self._application,
            interface="asgi3",
            log_config=None,
            workers=1,
            timeout_graceful_shutdown=_GRACE,
            underscored_headers="drop",  # as Django's own server does
        )
        server = Server(config)
        try:
            server.run([self._socket])
        except StartupError as error:
            log.report(error)
        if not server.started:
            sys.exit(1)


Command.server_cls = _DevelopmentServer


class _OneAtATime:
    """Runs one request at a time."""

    def __init__(self, application: ASGI3App) -> None:
        self._application = application
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        async with self._lock:
            await self._application(scope, receive, send)


class _ToDjango(logging.Handler):
    """Passes access log lines to `django.server`, with its format and colours."""

    def emit(self, record: logging.LogRecord) -> None:
        arguments: Any = record.args
        _, method, path, version, status = arguments
        level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
        about = {"status_code": status, "server_time": datetime.now().strftime("%d/%b/%Y %H:%M:%S")}
        logging.getLogger("django.server").log(level, '"%s %s HTTP/%s" %s', method, path, version, status, extra=about)


def _application() -> ASGI3App:
    path = getattr(settings, "ASGI_APPLICATION", None)
    if path is None:
        application: ASGI3App = get_asgi_application()
        return application
    try:
        application = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"ASGI application '{path}' could not be loaded: {error}") from error
    return application


def _set_up_logging() -> None:
    """Log requests to Django's own logger, and show only warnings and errors of the rest. Loggers that the project has
    set up stay as they are.
    """
    access, server = logging.getLogger("pronghorn.access"), logging.getLogger("pronghorn")
    if not access.handlers:
        access.addHandler(_ToDjango())
        access.setLevel(logging.INFO)
        access.propagate = False
    if not server.handlers:
        handler = LineHandler()
        handler.setFormatter(DefaultFormatter(DEFAULT_FORMAT))
        server.addHandler(handler)
        server.setLevel(logging.WARNING)
        server.propagate = False
