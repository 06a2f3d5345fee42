"""What a server is asked to do: the names, order and defaults of uvicorn's parameters, and then our own."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pronghorn import adapters, loader, log, loops, sockets
from pronghorn.errors import StartupError
from pronghorn.lifespan import Lifespan, Mode
from pronghorn.log import LOG_LEVELS as LOG_LEVELS
from pronghorn.log import LOGGING_CONFIG as LOGGING_CONFIG
from pronghorn.loops import LoopFactory

if TYPE_CHECKING:
    import asyncio
    import socket
    from ssl import SSLContext

    from pronghorn.types import App, ASGI3App, Headers

Path: TypeAlias = "str | os.PathLike[str]"
CancelOnDisconnect: TypeAlias = Literal["never", "streaming", "always"]
ForwardedHeaders: TypeAlias = Literal["x-forwarded", "x-forwarded-all", "forwarded"]
UnderscoredHeaders: TypeAlias = Literal["auto", "drop", "keep"]

CHOICES: dict[str, tuple[str, ...]] = {
    "lifespan": ("auto", "on", "off"),
    "interface": ("auto", "asgi3", "asgi2", "wsgi"),
    "cancel_on_disconnect": ("never", "streaming", "always"),
    "send_after_disconnect": ("ignore", "raise"),
    "forwarded_headers": ("x-forwarded", "x-forwarded-all", "forwarded"),
    "underscored_headers": ("auto", "drop", "keep"),
    "log_format": ("text", "json"),
}
"""The values that a parameter may have."""

IMPORTABLE: dict[str, tuple[str, ...]] = {
    "loop": ("auto", "asyncio", "uvloop", "zuvloop", "none"),
    "http": ("auto", "h11", "httptools", "zttp"),
    "ws": ("auto", "none", "websockets", "websockets-sansio", "wsproto"),
}
"""The names that a parameter knows, beside an import string or the object itself."""

_HOST_AND_PORT = ("127.0.0.1", 8000)

# The least and the most of each number: sizes and seconds have to fit a C int, counts that may be huge a Py_ssize_t.
_INT, _SSIZE = 2**31 - 1, sys.maxsize
_RANGES: dict[str, tuple[int, int]] = {
    "port": (0, 65535),
    **dict.fromkeys(("fd", "backlog", "reload_delay", "limit_concurrency", "ws_max_queue"), (0, _INT)),
    **dict.fromkeys(("timeout_keep_alive", "timeout_first_byte", "timeout_head", "timeout_body"), (0, _INT)),
    **dict.fromkeys(("timeout_write", "timeout_graceful_shutdown", "timeout_notify"), (0, _INT)),
    **dict.fromkeys(("timeout_worker_healthcheck", "ws_ping_interval", "ws_ping_timeout"), (0, _INT)),
    **dict.fromkeys(("workers", "limit_head_fields", "limit_head_size", "limit_target_size"), (1, _INT)),
    **dict.fromkeys(("limit_max_requests", "limit_max_requests_jitter", "limit_body_size"), (0, _SSIZE)),
    "h11_max_incomplete_event_size": (1, _INT),
    "ws_max_size": (1, _SSIZE),
}

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class ConfigError(ValueError):
    """A parameter has a value that it cannot have."""


@dataclass(eq=False, repr=False)
class Config:
    """Every parameter of a server. Sizes are in bytes, times in seconds; None is no limit.

    Making one sets up logging, reads `env_file` and checks the values (ConfigError); `load` imports the application.
    """

    app: App | str | Callable[..., Any]
    host: str = _HOST_AND_PORT[0]
    port: int = _HOST_AND_PORT[1]
    uds: str | None = None
    fd: int | None = None
    loop: str | LoopFactory = "auto"
    http: str | type[asyncio.Protocol] = "auto"
    http2: bool = False
    ws: str | type[asyncio.Protocol] = "auto"
    ws_max_size: int = 16 * 1024 * 1024
    ws_max_queue: int = 32
    ws_ping_interval: float | None = 20.0
    ws_ping_timeout: float | None = 20.0
    ws_per_message_deflate: bool = True
    lifespan: Mode = "auto"
    env_file: Path | None = None
    log_config: log.LogConfig | None = field(default_factory=lambda: LOGGING_CONFIG)
    log_level: str | int | None = None
    access_log: bool = True
    use_colors: bool | None = None
    interface: Literal["auto"] | adapters.Interface = "auto"
    reload: bool = False
    reload_dirs: list[str] | str | None = None
    reload_delay: float = 0.25
    reload_includes: list[str] | str | None = None
    reload_excludes: list[str] | str | None = None
    workers: int | None = None
    proxy_headers: bool = True
    server_header: bool = True
    date_header: bool = True
    forwarded_allow_ips: list[str] | str | None = None
    root_path: str = ""
    limit_concurrency: int | None = None
    limit_max_requests: int | None = None
    limit_max_requests_jitter: int = 0
    backlog: int = 2048
    timeout_keep_alive: float = 5
    timeout_notify: float = 30
    """Seconds between two calls of `callback_notify`."""
    timeout_graceful_shutdown: float | None = 30
    timeout_worker_healthcheck: float = 5
    callback_notify: Callable[..., Awaitable[None]] | None = None
    """Awaited without arguments in the server's loop, again and again while it serves. What it raises ends the server
    as a signal does, and is raised to whoever serves."""
    ssl_keyfile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile_password: str | None = None
    ssl_version: int = 17  # ssl.PROTOCOL_TLS_SERVER, without importing ssl
    ssl_cert_reqs: int = 0  # ssl.CERT_NONE
    ssl_ca_certs: Path | None = None
    ssl_ciphers: str | None = None
    ssl_context_factory: Callable[[Config, Callable[[], SSLContext]], SSLContext] | None = None
    """Returns the context for TLS. Called with the configuration, and a function that makes the context which the other
    parameters ask for."""
    headers: list[tuple[str, str]] | None = None
    factory: bool = False
    h11_max_incomplete_event_size: int | None = None
    reset_contextvars: bool = False
    _: KW_ONLY
    app_dir: str | None = None
    install_signals: bool = True
    """Whether `Server.serve` handles SIGINT and SIGTERM, in the main thread."""
    limit_head_size: int = 64 * 1024
    limit_head_fields: int = 100
    limit_target_size: int = 16 * 1024
    limit_body_size: int | None = None
    timeout_first_byte: float | None = 30
    timeout_head: float | None = 30
    timeout_body: float | None = 30
    timeout_write: float | None = 30
    cancel_on_disconnect: CancelOnDisconnect = "streaming"
    send_after_disconnect: Literal["ignore", "raise"] = "ignore"
    sendfile: bool = False
    forwarded_headers: ForwardedHeaders = "x-forwarded"
    underscored_headers: UnderscoredHeaders = "auto"
    log_format: Literal["text", "json"] = "text"
    access_log_format: str | None = None
    bind: list[str] | str | None = None

    loaded: bool = field(default=False, init=False)
    loaded_app: ASGI3App = field(init=False)
    ssl: SSLContext | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.headers = self.headers or []
        self.bind = [self.bind] if isinstance(self.bind, str) else list(self.bind or ())
        self._check()
        if wants_json := self.log_format == "json" and self.log_config is LOGGING_CONFIG:
            self.log_config = log.as_json(LOGGING_CONFIG)
            self.access_log_format = self.access_log_format or "json"
        self.configure_logging()
        if self.log_format == "json" and not wants_json:
            logging.getLogger("pronghorn.error").warning("--log-format json has no effect with --log-config.")
        if self.env_file is not None:
            _read_environment(self.env_file)
        if self.http == "zttp":  # the fast one of uvicorn's
            self.http = "auto"
        if self.workers is None:
            self.workers = _web_concurrency()
        if self.forwarded_allow_ips is None:
            self.forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
        if self.h11_max_incomplete_event_size is not None:
            self.limit_head_size = self.h11_max_incomplete_event_size
        for name in ("limit_body_size", "timeout_first_byte", "timeout_head", "timeout_body", "timeout_write"):
            if getattr(self, name) == 0:  # the command line cannot say None
                setattr(self, name, None)

    @property
    def encoded_headers(self) -> Headers:
        """`headers` as they go onto the wire."""
        return [_encode_header(name, value) for name, value in self.headers or ()]

    @property
    def asgi_version(self) -> str:
        """The version of ASGI that the application is called with."""
        return "2.0" if self.interface == "asgi2" else "3.0"

    @property
    def lifespan_class(self) -> Callable[[Config], Lifespan]:
        """What makes the lifespan of a configuration that is loaded."""
        return _lifespan

    @property
    def is_ssl(self) -> bool:
        """Whether TLS is asked for."""
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
        """Make `ssl`, the context that is asked for, and `loaded_app`: import, call a factory, adapt to ASGI 3."""
        if self.is_ssl:
            from pronghorn import tls_context  # not for those who want none

            self.ssl = tls_context.make_context(self)
        app = self.load_app()
        if self.factory:
            app = loader.call_factory(app)
        elif loader.is_factory(app):
            app = loader.call_factory(app)
            logging.getLogger("pronghorn.error").warning(
                "ASGI app factory detected. Using it, but please consider setting the --factory flag explicitly."
            )
        if not callable(app):
            kind = "None" if app is None else f"of type {type(app).__name__}"
            raise StartupError(f"Error loading ASGI app. {self.app!r} is not callable: it is {kind}.")
        if self.interface == "auto":
            self.interface = adapters.interface_of(app)
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

    def bind_socket(self) -> socket.socket:
        """The socket, bound, not listening and inheritable, that several processes can serve from; logs its address."""
        sock = sockets.bind_one(self)
        sock.set_inheritable(True)
        for message, color_message in sockets.describe([sock], self):
            logging.getLogger("pronghorn.error").info(message, extra={"color_message": color_message})
        return sock

    def _check(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and least <= value <= most):
                raise ConfigError(f"{name} is {value!r}, which is not a number between {least} and {most}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, which is not one of {', '.join(known)}")
        for name, known in IMPORTABLE.items():
            value = getattr(self, name)
            if isinstance(value, str) and value not in known and ":" not in value:
                raise ConfigError(f"{name} is {value!r}, which is not one of {', '.join(known)} nor an import string")
        if isinstance(self.log_level, str) and self.log_level.lower() not in log.LOG_LEVELS:
            raise ConfigError(f"log_level is {self.log_level!r}, which is not one of {', '.join(log.LOG_LEVELS)}")
        if self.access_log_format is not None:
            from pronghorn import access_format

            try:
                access_format.parse(self.access_log_format)
            except ValueError as error:
                raise ConfigError(f"access_log_format: {error}") from None
        _ = self.encoded_headers
        self._check_bind()

    def _check_bind(self) -> None:
        for text in self.bind or ():
            try:
                sockets.parse(text)
            except ValueError as error:
                raise ConfigError(f"bind: {error}") from None
        elsewhere = self.uds is not None or self.fd is not None or (self.host, self.port) != _HOST_AND_PORT
        if self.bind and elsewhere:
            raise ConfigError("bind takes the place of host, port, uds and fd: give it alone")

    def _refuse_what_is_missing(self) -> None:
        wanted = {
            "--http2": self.http2,
        }
        for name, is_wanted in wanted.items():
            if is_wanted:
                raise StartupError(f"{name} is not available in this version.")
        if not isinstance(self.ws, str) or ":" in self.ws:
            raise StartupError(f"WebSockets are not left to another implementation: ws is {self.ws!r}.")


def parameters() -> dict[str, Any]:
    """The parameters of Config with their defaults, None for one that has no constant."""
    return {each.name: None if each.default is MISSING else each.default for each in fields(Config) if each.init}


def _lifespan(config: Config) -> Lifespan:
    return Lifespan(config.loaded_app, config.lifespan, logging.getLogger("pronghorn.error"))


def _encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    value = value.strip(" \t")
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise ConfigError(f"{name!r}: {value!r} is not a header")
    return name.lower().encode("latin-1"), value.encode("latin-1")


def _web_concurrency() -> int:
    value = os.environ.get("WEB_CONCURRENCY") or "1"
    if not value.isdecimal() or int(value) == 0:
        raise ConfigError(f"WEB_CONCURRENCY is {value!r}, which is not a number of workers")
    return int(value)


def _read_environment(path: Path) -> None:
    try:
        from dotenv import load_dotenv
    except ImportError:
        raise StartupError("--env-file needs python-dotenv: pip install 'pronghorn[standard]'.") from None
    logging.getLogger("pronghorn.error").info("Loading environment from '%s'", path)
    load_dotenv(path)
