"""What a server is asked to do: the names, order and defaults of uvicorn's parameters, and then our own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from pronghorn import adapters, loader, log, loops, sockets
from pronghorn.errors import StartupError
from pronghorn.log import LOG_LEVELS as LOG_LEVELS
from pronghorn.log import LOGGING_CONFIG as LOGGING_CONFIG
from pronghorn.log import TRACE_LOG_LEVEL as TRACE_LOG_LEVEL
from pronghorn.parameters import HTTP_PROTOCOLS as HTTP_PROTOCOLS
from pronghorn.parameters import INTERFACES as INTERFACES
from pronghorn.parameters import LOOP_FACTORIES as LOOP_FACTORIES
from pronghorn.parameters import PARAMETERS, Parameters, encode_headers
from pronghorn.parameters import SSL_PROTOCOL_VERSION as SSL_PROTOCOL_VERSION
from pronghorn.parameters import WS_PROTOCOLS as WS_PROTOCOLS
from pronghorn.parameters import CancelOnDisconnect as CancelOnDisconnect
from pronghorn.parameters import ConfigError as ConfigError
from pronghorn.parameters import ForwardedHeaders as ForwardedHeaders
from pronghorn.parameters import HTTPProtocolType as HTTPProtocolType
from pronghorn.parameters import InterfaceType as InterfaceType
from pronghorn.parameters import LifespanType as LifespanType
from pronghorn.parameters import LoopFactoryType as LoopFactoryType
from pronghorn.parameters import Path as Path
from pronghorn.parameters import UnderscoredHeaders as UnderscoredHeaders
from pronghorn.parameters import WSProtocolType as WSProtocolType

if TYPE_CHECKING:
    import asyncio
    import socket
    from ssl import SSLContext

    from pronghorn.lifespan import Lifespan
    from pronghorn.loops import LoopFactory
    from pronghorn.tls_context import create_ssl_context as create_ssl_context
    from pronghorn.types import ASGI3App, Headers

STARTUP_FAILURE = StartupError.code
"""The exit code of what cannot start."""

LIFESPAN: dict[str, str] = {
    "auto": "pronghorn.lifespan.on:LifespanOn",
    "on": "pronghorn.lifespan.on:LifespanOn",
    "off": "pronghorn.lifespan.off:LifespanOff",
}
"""The class for each `lifespan`."""

IMPORTABLE: dict[str, Mapping[str, str | None]] = {
    name: each.names for name, each in PARAMETERS.items() if each.names is not None
}
"""The names that a parameter knows, beside an import string or the object itself."""

logger = logging.getLogger("pronghorn.error")

# The field that `encoded_headers` begins with, unless it is not wanted.
SERVER = (b"server", b"pronghorn")


@dataclass(eq=False, repr=False)
class Config(Parameters):
    """The parameters of a server, which parameters.py declares, and what it makes of them.

    Making one sets up logging, reads `env_file` and checks the values (ConfigError); `load` imports the application.
    """

    loaded: bool = field(default=False, init=False)
    """Whether what follows was made by `load`. What a program then sets itself, is served."""
    loaded_app: ASGI3App = field(init=False)
    ssl: SSLContext | None = field(default=None, init=False)
    encoded_headers: Headers = field(default_factory=list, init=False)
    """`headers` as they go onto the wire, behind Server."""
    http_protocol_class: type[asyncio.Protocol] = field(init=False)
    ws_protocol_class: type[asyncio.Protocol] | None = field(init=False)
    """None where handshakes are not answered."""
    lifespan_class: Callable[[Config], Lifespan] = field(init=False)

    reload_dirs_excludes: Sequence[Path] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._normalize()
        self._validate()
        if wants_json := self.log_format == "json" and self.log_config is LOGGING_CONFIG:
            self.log_config = log.as_json(LOGGING_CONFIG)
            self.access_log_format = self.access_log_format or "json"
        self.configure_logging()
        if self.log_format == "json" and not wants_json:
            logger.warning("--log-format json has no effect with --log-config.")
        self._resolve_reloading()
        if self.env_file is not None:
            _read_environment(self.env_file)
        if self.workers is None:
            self.workers = _web_concurrency()
        self.workers = self.workers or 1
        if self.forwarded_allow_ips is None:
            self.forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")

    @property
    def asgi_version(self) -> str:
        """The version of ASGI that the application is called with."""
        return "2.0" if self.interface == "asgi2" else "3.0"

    @property
    def is_ssl(self) -> bool:
        """Whether TLS is asked for."""
        if self.loaded:
            return self.ssl is not None
        return bool(self.ssl_keyfile or self.ssl_certfile or self.ssl_context_factory)

    @property
    def should_reload(self) -> bool:
        """Whether the application is to be served anew when a file changes."""
        return isinstance(self.app, str) and self.reload

    @property
    def use_subprocess(self) -> bool:
        """Whether other processes than this one are to serve."""
        return self.reload or (self.workers or 1) > 1

    def configure_logging(self) -> None:
        loader.look_in(self.app_dir)  # for the filters and handlers of the application that a configuration names
        log.configure(self.log_config, self.log_level, self.access_log, self.use_colors)

    def load_app(self) -> Any:
        """Import the application, or the factory of one."""
        self._refuse_what_is_missing()
        return loader.load(self.app, self.app_dir)

    def load(self) -> None:
        """Make what is served: `loaded_app`, imported, called as a factory, adapted to ASGI 3; `ssl`; and the rest."""
        self._normalize()  # again: a program may have set any of them
        self._validate()
        self._refuse_what_is_missing()
        self.encoded_headers = encode_headers(self.headers)
        if self.server_header and all(name != b"server" for name, _ in self.encoded_headers):
            self.encoded_headers.insert(0, SERVER)
        self.http_protocol_class = loader.resolve_name(self.http, HTTP_PROTOCOLS)
        self.ws_protocol_class = loader.resolve_name(self.ws, WS_PROTOCOLS)
        self.lifespan_class = loader.resolve(LIFESPAN[self.lifespan or "auto"])
        if self.is_ssl:
            from pronghorn import tls_context  # not for those who want none

            self.ssl = tls_context.make_context(self)
        app = self.load_app()
        if self.factory:
            app = loader.call_factory(app)
        elif loader.is_factory(app):
            app = loader.call_factory(app)
            logger.warning(
                "ASGI app factory detected. Using it, but please consider setting the --factory flag explicitly."
            )
        if not callable(app):
            kind = "None" if app is None else f"of type {type(app).__name__}"
            raise StartupError(f"Error loading ASGI app. {self.app!r} is not callable: it is {kind}.")
        if self.interface == "auto":
            self.interface = adapters.interface_of(app)
        if self.interface == "wsgi":
            self.ws_protocol_class = None
        app = adapters.adapt(app, self.interface)
        if self.underscored_headers == "drop" or (self.underscored_headers == "auto" and self.interface == "wsgi"):
            app = adapters.WithoutUnderscores(app)
        if logging.getLogger("pronghorn.asgi").isEnabledFor(log.TRACE_LOG_LEVEL):
            app = adapters.MessageLogger(app)
        self.loaded_app = app
        self.loaded = True

    def get_loop_factory(self) -> LoopFactory | None:
        """What makes the event loop; None leaves it to asyncio."""
        return loops.factory(self.loop) if isinstance(self.loop, str) else self.loop

    def head_size(self) -> int:
        """The limit of a head, by either name."""
        return self.h11_max_incomplete_event_size or self.limit_head_size

    def bind_socket(self) -> socket.socket:
        """The socket, bound, not listening and inheritable, that several processes can serve from; logs its address."""
        sock = sockets.bind_one(self)
        sock.set_inheritable(True)
        for message, color_message in sockets.describe([sock], self):
            logger.info(message, extra={"color_message": color_message})
        return sock

    def _resolve_reloading(self) -> None:
        """Directories and patterns as they are watched; none where nothing is reloaded."""
        if self.should_reload:
            from pronghorn.watch import Files  # not for those who only serve

            files = Files(self)
            self.reload_dirs, self.reload_dirs_excludes = files.directories, files.excluded
            self.reload_includes, self.reload_excludes = files.includes, files.excludes
            logger.info("Will watch for changes in these directories: %s", [str(each) for each in files.directories])
            return
        if not self.reload and (self.reload_dirs or self.reload_includes or self.reload_excludes):
            logger.warning("--reload-dir, --reload-include and --reload-exclude do nothing without --reload.")
        self.reload_dirs, self.reload_includes, self.reload_excludes = [], [], []

    def _refuse_what_is_missing(self) -> None:
        if self.http2:
            raise StartupError("--http2 is not available in this version.")
        if self.ws is not None and self.ws not in get_args(WSProtocolType):
            raise StartupError(f"WebSockets are not left to another implementation: ws is {self.ws!r}.")


def parameters() -> dict[str, Any]:
    """The parameters of Config with their defaults, None for one that has no constant."""
    return {"app": None, **{name: each.default for name, each in PARAMETERS.items()}}


def _web_concurrency() -> int:
    value = os.environ.get("WEB_CONCURRENCY") or "1"
    if not value.strip().isdecimal():
        raise ConfigError(f"WEB_CONCURRENCY is {value!r}, which is not a number of workers")
    return int(value)


def _read_environment(path: Path) -> None:
    try:
        from dotenv import load_dotenv
    except ImportError:
        raise StartupError("--env-file needs python-dotenv: pip install 'pronghorn[standard]'.") from None
    logger.info("Loading environment from '%s'", path)
    load_dotenv(path)


def __getattr__(name: str) -> Any:
    if name != "create_ssl_context":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pronghorn import tls_context  # not for those who want none

    return tls_context.create_ssl_context
