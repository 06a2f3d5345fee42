"""`Config`, with the attributes and methods of uvicorn's: the parameters, and the objects made from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from pronghorn import loops
from pronghorn.application import interfaces, loader
from pronghorn.config import environment
from pronghorn.config.parameters import HTTP_PROTOCOLS as HTTP_PROTOCOLS
from pronghorn.config.parameters import INTERFACES as INTERFACES
from pronghorn.config.parameters import LOOP_FACTORIES as LOOP_FACTORIES
from pronghorn.config.parameters import PARAMETERS, Parameters, encode_headers
from pronghorn.config.parameters import SSL_PROTOCOL_VERSION as SSL_PROTOCOL_VERSION
from pronghorn.config.parameters import WS_PROTOCOLS as WS_PROTOCOLS
from pronghorn.config.parameters import CancelOnDisconnect as CancelOnDisconnect
from pronghorn.config.parameters import ConfigError as ConfigError
from pronghorn.config.parameters import ForwardedHeaders as ForwardedHeaders
from pronghorn.config.parameters import HTTPProtocolType as HTTPProtocolType
from pronghorn.config.parameters import InterfaceType as InterfaceType
from pronghorn.config.parameters import LifespanType as LifespanType
from pronghorn.config.parameters import LoopFactoryType as LoopFactoryType
from pronghorn.config.parameters import Path as Path
from pronghorn.config.parameters import UnderscoredHeaders as UnderscoredHeaders
from pronghorn.config.parameters import WorkerClass as WorkerClass
from pronghorn.config.parameters import WSProtocolType as WSProtocolType
from pronghorn.errors import StartupError
from pronghorn.listen import sockets
from pronghorn.logging import log
from pronghorn.logging.defaults import LOG_LEVELS as LOG_LEVELS
from pronghorn.logging.defaults import LOGGING_CONFIG as LOGGING_CONFIG
from pronghorn.logging.formatters import TRACE_LOG_LEVEL as TRACE_LOG_LEVEL

if TYPE_CHECKING:
    import asyncio
    import socket
    from ssl import SSLContext

    from pronghorn.application.lifespan import Lifespan
    from pronghorn.listen.certificate_files import State
    from pronghorn.listen.tls_context import create_ssl_context as create_ssl_context
    from pronghorn.loops import LoopFactory
    from pronghorn.types import ASGI3App, Headers

STARTUP_FAILURE = StartupError.code
"""The exit code of a server that cannot start."""

LIFESPAN: dict[str, str] = {
    "auto": "pronghorn.lifespan.on:LifespanOn",
    "on": "pronghorn.lifespan.on:LifespanOn",
    "off": "pronghorn.lifespan.off:LifespanOff",
}
"""The class for each `lifespan`."""

IMPORTABLE: dict[str, Mapping[str, str | None]] = {
    name: each.names for name, each in PARAMETERS.items() if each.names is not None
}
"""The names that a parameter takes besides an import string or an object."""

logger = logging.getLogger("pronghorn.error")

# Browsers ignore it in a response without TLS (RFC 6797 section 7.2).
_HSTS = b"strict-transport-security"

# The first of `encoded_headers`, with `server_header`.
SERVER = (b"server", b"pronghorn")


@dataclass(eq=False, repr=False)
class Config(Parameters):
    """The parameters of a server, declared in parameters.py. Sizes are in bytes, times in seconds; None is no limit.

    The constructor checks values (ConfigError), sets up logging and reads `env_file`; `load` imports the application.
    """

    loaded: bool = field(default=False, init=False)
    """Set by `load`, with the attributes below. A program may replace those afterwards."""
    loaded_app: ASGI3App = field(init=False)
    ssl: SSLContext | None = field(default=None, init=False)
    ssl_files: State = field(default_factory=list, init=False)
    """The files that `ssl` was made from, as they were then."""
    encoded_headers: Headers = field(default_factory=list, init=False)
    """The Server field, then `headers`, then that of `hsts`, as bytes."""
    http_protocol_class: type[asyncio.Protocol] = field(init=False)
    ws_protocol_class: type[asyncio.Protocol] | None = field(init=False)
    """None turns WebSockets off."""
    lifespan_class: Callable[[Config], Lifespan] = field(init=False)

    reload_dirs_excludes: Sequence[Path] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._normalize()
        self._validate()
        self._set_up_logging()
        self._resolve_reloading()
        if self.env_file is not None:
            environment.load_file(self.env_file)
        self.workers = (environment.workers() if self.workers is None else self.workers) or 1
        if self.forwarded_allow_ips is None:
            self.forwarded_allow_ips = environment.trusted_proxies()

    @property
    def asgi_version(self) -> str:
        """The version of ASGI that the application is called with."""
        return "2.0" if self.interface == "asgi2" else "3.0"

    @property
    def is_ssl(self) -> bool:
        """True if the server uses TLS."""
        if self.loaded:
            return self.ssl is not None
        return bool(self.ssl_keyfile or self.ssl_certfile or self.ssl_sni or self.ssl_context_factory)

    @property
    def should_reload(self) -> bool:
        """True if the application is reloaded when a file changes."""
        return isinstance(self.app, str) and self.reload

    @property
    def use_subprocess(self) -> bool:
        """True if child processes serve instead of this one."""
        return self.reload or ((self.workers or 1) > 1 and self.worker_class == "process")

    @property
    def use_threads(self) -> bool:
        """True if several threads of this process serve, each in an event loop of its own."""
        return (self.workers or 1) > 1 and self.worker_class == "thread"

    @property
    def binds_first(self) -> bool:
        """True if `run` binds before it loads the application, which another user loads, or a PID file announces, or
        to which another port sends clients.
        """
        return any(each is not None for each in (self.user, self.group, self.umask, self.pid_file, self.https_redirect))

    def configure_logging(self) -> None:
        loader.look_in(self.app_dir)  # a logging configuration may name classes of the application
        log.configure(self.log_config, self.log_level, self.access_log, self.use_colors)

    def reload_logging(self) -> None:
        """Read the file of `log_config` again, if it is one. Raises StartupError; then nothing has changed."""
        if isinstance(self.log_config, str | os.PathLike):
            log.reconfigure(self.log_config, self.log_level, self.access_log, self.use_colors)

    def load_app(self) -> Any:
        """Import the application, or the factory of one."""
        self._refuse_unsupported()
        return loader.load(self.app, self.app_dir)

    def load(self) -> None:
        """Make what is served: the application, adapted to ASGI 3, the TLS context, protocol and lifespan classes."""
        self._normalize()  # again: a program may have changed them
        self._validate()
        self._refuse_unsupported()
        self.encoded_headers = self._encode_headers()
        self.http_protocol_class = loader.resolve_name(self.http, HTTP_PROTOCOLS)
        self.ws_protocol_class = loader.resolve_name(self.ws, WS_PROTOCOLS)
        self.lifespan_class = loader.resolve(LIFESPAN[self.lifespan or "auto"])
        if self.is_ssl:
            from pronghorn.listen import certificate_files, tls_context  # slow to import, and seldom needed

            self.ssl_files = certificate_files.look(self)  # before they are read: a change meanwhile must not be missed
            self.ssl = tls_context.make_context(self)
        app = loader.make_application(self.load_app(), self.app, self.factory)
        if self.interface == "auto":
            self.interface = interfaces.interface_of(app)
        if self.interface == "wsgi":
            self.ws_protocol_class = None
        self.loaded_app = interfaces.adapt(app, self.interface, self.underscored_headers)
        if logging.getLogger("pronghorn.asgi").isEnabledFor(TRACE_LOG_LEVEL):
            self.loaded_app = interfaces.MessageLogger(self.loaded_app)
        self.loaded = True

    def get_loop_factory(self) -> LoopFactory | None:
        """The factory of the event loop; None leaves the choice to asyncio."""
        return loops.factory(self.loop) if isinstance(self.loop, str) else self.loop

    def head_size(self) -> int:
        """The limit on the size of a head, under either of its names."""
        return self.h11_max_incomplete_event_size or self.limit_head_size

    def bind_socket(self) -> socket.socket:
        """Bind a socket that several processes can serve from, and log its address. It does not listen yet."""
        sock = sockets.bind_one(self)
        sock.set_inheritable(True)
        for message, color_message in sockets.describe([sock], self):
            logger.info(message, extra={"color_message": color_message})
        return sock

    def _set_up_logging(self) -> None:
        if self.log_format == "json" and self.log_config is LOGGING_CONFIG:
            self.log_config = log.as_json(LOGGING_CONFIG)
            self.access_log_format = self.access_log_format or "json"
            self.configure_logging()
        else:
            self.configure_logging()
            if self.log_format == "json":
                logger.warning("--log-format json has no effect with --log-config.")

    def _encode_headers(self) -> Headers:
        encoded = encode_headers(self.headers)
        names = [name for name, _ in encoded]
        if self.server_header and b"server" not in names:
            encoded.insert(0, SERVER)
        if self.hsts is not None and _HSTS not in names:
            if self.is_ssl:
                encoded.append((_HSTS, b"max-age=%d" % self.hsts))
            else:
                logger.warning("--hsts has no effect without TLS.")
        return encoded

    def _resolve_reloading(self) -> None:
        """Resolve directories and patterns to watch; none without `reload`."""
        if self.should_reload:
            from pronghorn.supervisor.file_watcher import Files  # only needed here

            files = Files(self.reload_dirs, self.reload_includes, self.reload_excludes)
            self.reload_dirs, self.reload_dirs_excludes = files.directories, files.excluded
            self.reload_includes, self.reload_excludes = files.includes, files.excludes
            logger.info("Will watch for changes in these directories: %s", [str(each) for each in files.directories])
            return
        if not self.reload and (self.reload_dirs or self.reload_includes or self.reload_excludes):
            logger.warning("--reload-dir, --reload-include and --reload-exclude have no effect without --reload.")
        self.reload_dirs, self.reload_includes, self.reload_excludes = [], [], []

    def _refuse_unsupported(self) -> None:
        if self.ws is not None and self.ws not in get_args(WSProtocolType):
            raise StartupError(f"The WebSocket implementation {self.ws!r} is not supported: pronghorn uses its own.")


def parameters() -> dict[str, Any]:
    """The default of each parameter; None for one without a constant default."""
    return {"app": None, **{name: each.default for name, each in PARAMETERS.items()}}
