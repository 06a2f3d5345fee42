"""The table of parameters: one entry says everything about a parameter.

`Parameters` declares each with its type and default, in uvicorn's order and then our own, and with a `Parameter`: its
flag, its help, the values it may have. Validation, the command line, the configuration file, `pronghorn check`, the
gunicorn worker and the documentation all read this table.
"""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar, get_args

from pronghorn import loops
from pronghorn.application import interfaces
from pronghorn.application.lifespan import Mode
from pronghorn.listen import places
from pronghorn.logging.defaults import LOG_LEVELS, LOGGING_CONFIG, LogConfig
from pronghorn.process import modes
from pronghorn.types import Path as Path

if TYPE_CHECKING:
    import asyncio
    from ssl import SSLContext

    from pronghorn.loops import LoopFactory
    from pronghorn.types import App, Headers

T = TypeVar("T")

LifespanType: TypeAlias = Mode
InterfaceType: TypeAlias = Literal["auto"] | interfaces.Interface
HTTPProtocolType: TypeAlias = Literal["auto", "h11", "httptools", "zttp"]
WSProtocolType: TypeAlias = Literal["auto", "none", "websockets", "websockets-sansio", "wsproto"]
LoopFactoryType: TypeAlias = Literal["none", "auto", "asyncio", "uvloop", "zuvloop"]
CancelOnDisconnect: TypeAlias = Literal["never", "streaming", "always"]
SendAfterDisconnect: TypeAlias = Literal["ignore", "raise"]
ForwardedHeaders: TypeAlias = Literal["x-forwarded", "x-forwarded-all", "forwarded"]
UnderscoredHeaders: TypeAlias = Literal["auto", "drop", "keep"]
LogFormat: TypeAlias = Literal["text", "json"]
WorkerClass: TypeAlias = Literal["process", "thread"]

SSL_PROTOCOL_VERSION = 17  # ssl.PROTOCOL_TLS_SERVER, without importing ssl

INTERFACES: list[InterfaceType] = ["auto", *get_args(interfaces.Interface)]

HTTP_PROTOCOLS: dict[str, str] = dict.fromkeys(get_args(HTTPProtocolType), "pronghorn.server.protocol:HTTPProtocol")
"""The class for each name of `http`: one class, over several parsers. A program may add names."""

WS_PROTOCOLS: dict[str, str | None] = {
    **dict.fromkeys(get_args(WSProtocolType), "pronghorn.server.protocol:HTTPProtocol"),
    "none": None,
}
"""The class for each name of `ws`: the one of `http`, which also speaks WebSocket."""

LOOP_FACTORIES: dict[str, str | None] = loops.FACTORIES
"""The factory for each name of `loop`. A program may add names."""

# Sizes and seconds must fit a C int, large counts a Py_ssize_t.
_INT, _SSIZE = 2**31 - 1, sys.maxsize

_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool}

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

_HOST_AND_PORT = ("127.0.0.1", 8000)

# Parameters that worker threads exclude, and the reason.
_NOT_WITH_THREADS = {
    "reload": "only a new process can load changed code",
    "preload": "threads share all memory",
    "limit_max_rss": "a thread has no memory of its own",
}


class Topic(enum.StrEnum):
    """The sections of `pronghorn --help` and of the configuration reference, in order."""

    APPLICATION = "Application"
    LISTEN = "Where to listen"
    RUN = "How to run"
    LIMITS = "Limits"
    TIMEOUTS = "Timeouts, in seconds"
    RESPONSES = "Response headers"
    PROXY = "Behind a proxy"
    LOGGING = "Logging"
    MONITORING = "Monitoring"
    WEBSOCKET = "WebSocket"
    TLS = "TLS"
    RELOADING = "Reloading"


class ConfigError(ValueError):
    """A parameter has an invalid value. The message is `text % arguments`, where a `Parameter` stands for its name."""

    def __init__(self, text: str, *arguments: object) -> None:
        self._text = text
        self._arguments = arguments
        super().__init__(self.message(lambda parameter: parameter.name))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._text, *self._arguments)

    @property
    def parameter(self) -> str:
        """The name of the parameter."""
        return next((each.name for each in self._arguments if isinstance(each, Parameter)), "")

    def message(self, name: Callable[[Parameter], str]) -> str:
        """The message, in which the parameters have the names that `name` returns."""
        return self._text % tuple(name(each) if isinstance(each, Parameter) else each for each in self._arguments)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Parameter:
    """The facts about one parameter."""

    help: str
    topic: Topic | None = None
    """None if only a program can set it: then it has no flag, no environment variable and no key in a file."""
    name: str = ""
    annotation: str = ""
    default: Any = None

    flag: str = ""
    """Made from the name, unless given. A switch has two: `--date-header/--no-date-header`."""
    flag_default: Any = None
    """The default on the command line, if another one."""
    default_text: str = ""
    """The default in words, if it is no constant."""
    metavar: str | None = None
    is_repeatable: bool = False
    is_existing_path: bool = False

    choices: tuple[str, ...] | None = None
    """All valid values."""
    levels: tuple[str, ...] | None = None
    """All valid strings, in upper or lower case. Any number is valid."""
    names: Mapping[str, str | None] | None = None
    """All valid strings besides import strings. Any other object is valid."""
    least: int = 0
    most: int = _INT
    zero_is_none: bool = False
    """0 is replaced by None, which the command line cannot express."""
    check: Callable[[Any], object] | None = None
    """Raises ValueError for a value that the facts above do not exclude."""

    is_limit: bool = False
    """`pronghorn check` shows it if it is not the default."""
    unit: Literal["", "bytes", "seconds"] = ""
    exceeded: str = ""
    """The consequence for a client. Documented, with the default, in the list of limits."""
    gunicorn: str = ""
    """The setting of gunicorn with the same meaning and values."""

    @property
    def type(self) -> type:
        """The type of one value: bool, int, float, or str for anything else."""
        return _TYPES.get(self.annotation.removesuffix(" | None"), str)

    @property
    def is_flag(self) -> bool:
        """True if the flag takes no value."""
        return self.type is bool and (self.default is False or "/" in self.flag)

    def validate(self, value: Any) -> None:
        """Raises ConfigError."""
        if not self._is_possible(value):
            raise ConfigError("%s must be %s, not %r", self, self._expectation(), value)
        if self.check is not None:
            try:
                self.check(value)
            except ValueError as error:
                raise ConfigError("%s: %s", self, error) from None

    def _is_possible(self, value: Any) -> bool:
        if self.type in (int, float):
            return value is None or (isinstance(value, int | float) and self.least <= value <= self.most)
        if self.choices is not None:
            return value in self.choices
        if self.levels is not None:
            return not isinstance(value, str) or value.lower() in self.levels
        return self.names is None or not isinstance(value, str) or value in self.names or ":" in value

    def _expectation(self) -> str:
        if self.names is not None:
            return f"one of {', '.join(self.names)}, or an import string"
        if known := self.choices or self.levels:
            return f"one of {', '.join(known)}"
        return f"a number between {self.least} and {self.most}"


def encode_headers(headers: Iterable[tuple[str, str]] | None) -> Headers:
    """Header fields as bytes. Raises ValueError."""
    return [_encode_header(name, value) for name, value in headers or ()]


def _encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    value = value.strip(" \t")
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise ValueError(f"{name!r}: {value!r} is not a valid header")
    return name.lower().encode("latin-1"), value.encode("latin-1")


def _check_access_log_format(text: str | None) -> None:
    if text is not None:
        from pronghorn.logging import access_format  # only where there is one

        access_format.parse(text)


def _check_request_id_header(name: str | None) -> None:
    if name is None:
        return
    from pronghorn.constants import FORBIDDEN_TRAILERS  # only where there is one
    from pronghorn.http2_constants import CONNECTION_FIELDS

    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")
    if name.lower().encode("ascii") in CONNECTION_FIELDS | FORBIDDEN_TRAILERS:
        raise ValueError(f"{name!r} has another meaning")


def _check_ping_interval(seconds: float | None) -> None:
    if 0 < (seconds or 0) < 1:
        raise ValueError(f"{seconds!r} is less than a second; 0 disables pings")


def _check_rss(value: str | int | None) -> None:
    if value is not None:
        from pronghorn.process import memory  # only where it is limited

        memory.parse(value)


def _check_places(named: Iterable[str] | None) -> None:
    for place in named or ():
        places.parse(place)


def _check_place(place: str | None) -> None:
    if place is not None:
        places.parse(place)


def _check_server_names(named: Iterable[str] | None) -> None:
    if named:
        from pronghorn.listen import server_names  # only where there are some

        server_names.parse(named)


def _check_health_path(path: str | None) -> None:
    if path is None:
        return
    if not path.startswith("/"):
        raise ValueError(f"{path!r} does not begin with /")
    if "?" in path:
        raise ValueError(f"{path!r} has a query; probes may have any")


def _check_mode(mode: int | str | None) -> None:
    if mode is not None:
        modes.parse(mode)


def option(default: T, topic: Topic, text: str, **facts: Any) -> T:
    """A parameter that has a flag; `facts` are those of `Parameter`."""
    declared: T = field(default=default, metadata={"parameter": Parameter(topic=topic, help=text, **facts)})
    return declared


def limit(default: T, topic: Topic, text: str, **facts: Any) -> T:
    """An `option` that limits something."""
    return option(default, topic, text, is_limit=True, **facts)


def python_only(default: T, text: str) -> T:
    """A parameter that only a program can set."""
    declared: T = field(default=default, metadata={"parameter": Parameter(help=text)})
    return declared


@dataclass(eq=False, repr=False, init=False)
class Parameters:
    """The parameters of `Config`. Sizes are in bytes, times in seconds; None is no limit."""

    app: App | str | Callable[..., Any]
    host: str = option(_HOST_AND_PORT[0], Topic.LISTEN, "Address or hostname to listen on; empty for every interface.")
    port: int = option(_HOST_AND_PORT[1], Topic.LISTEN, "Port to listen on; 0 picks a free one.", most=65535)
    uds: str | None = option(None, Topic.LISTEN, "Path of a Unix socket, instead of a host and port.")
    fd: int | None = option(None, Topic.LISTEN, "Number of an inherited socket's file descriptor.")
    loop: str | LoopFactory = option(
        "auto", Topic.RUN, "Event loop; auto: uvloop if installed.", names=LOOP_FACTORIES, gunicorn="asgi_loop"
    )
    http: str | type[asyncio.Protocol] = option(
        "auto", Topic.RUN, "HTTP/1 parser; auto: the fastest installed, h11: the interpreted one.", names=HTTP_PROTOCOLS
    )
    http2: bool = option(False, Topic.RUN, "Serve HTTP/2 as well as HTTP/1.1, with TLS and without.")
    ws: str | type[asyncio.Protocol] | None = option(
        "auto", Topic.WEBSOCKET, "WebSocket implementation; none turns WebSockets off.", names=WS_PROTOCOLS
    )
    ws_max_size: int = limit(
        16 * 1024 * 1024,
        Topic.WEBSOCKET,
        "Maximum size of a message, in bytes.",
        least=1,
        most=_SSIZE,
        unit="bytes",
        exceeded="closed with 1009",
    )
    ws_max_queue: int = limit(
        32, Topic.WEBSOCKET, "Maximum number of messages waiting to be received.", exceeded="reading pauses"
    )
    ws_ping_interval: float | None = option(
        20.0,
        Topic.WEBSOCKET,
        "Seconds between pings; 0 to disable.",
        check=_check_ping_interval,
        unit="seconds",
        exceeded="a ping",
    )
    ws_ping_timeout: float | None = option(
        20.0,
        Topic.WEBSOCKET,
        "Seconds to wait for the answer to a ping.",
        unit="seconds",
        exceeded="closed with 1011",
    )
    ws_per_message_deflate: bool = option(
        True, Topic.WEBSOCKET, "Compress messages (permessage-deflate).", flag="--ws-per-message-deflate"
    )
    lifespan: LifespanType | None = option(
        "auto",
        Topic.APPLICATION,
        "Send lifespan events; auto: if the application supports them.",
        choices=get_args(LifespanType),
        gunicorn="asgi_lifespan",
    )
    env_file: Path | None = option(
        None, Topic.APPLICATION, "Load environment variables from this file.", is_existing_path=True
    )
    log_config: LogConfig | None = field(
        default_factory=lambda: LOGGING_CONFIG,
        metadata={
            "parameter": Parameter(
                topic=Topic.LOGGING, help="JSON, YAML or INI file that configures logging.", is_existing_path=True
            )
        },
    )
    log_level: str | int | None = option(
        None, Topic.LOGGING, "Level of the server's log.", levels=tuple(LOG_LEVELS), default_text="info"
    )
    access_log: bool = option(True, Topic.LOGGING, "Log each request.")
    use_colors: bool | None = option(None, Topic.LOGGING, "Colour the log.", default_text="on a terminal")
    interface: InterfaceType = option(
        "auto", Topic.APPLICATION, "Application interface; auto: detect it.", choices=tuple(INTERFACES)
    )
    reload: bool = option(False, Topic.RELOADING, "Restart when a file changes.")
    reload_dirs: Sequence[Path] | None = option(
        None,
        Topic.RELOADING,
        "Directory to watch; repeatable.",
        flag="--reload-dir",
        is_repeatable=True,
        is_existing_path=True,
    )
    reload_delay: float = option(0.25, Topic.RELOADING, "Seconds between checks for changed files.")
    reload_includes: Sequence[str] | None = option(
        None, Topic.RELOADING, "Pattern of files to watch; repeatable.", flag="--reload-include", is_repeatable=True
    )
    reload_excludes: Sequence[str] | None = option(
        None, Topic.RELOADING, "Pattern of files to ignore; repeatable.", flag="--reload-exclude", is_repeatable=True
    )
    workers: int | None = option(None, Topic.RUN, "Number of workers.", default_text="$WEB_CONCURRENCY, or 1")
    proxy_headers: bool = option(True, Topic.PROXY, "Take client address and scheme from trusted proxies.")
    server_header: bool = option(True, Topic.RESPONSES, "Send a Server field.")
    date_header: bool = option(True, Topic.RESPONSES, "Send a Date field.")
    forwarded_allow_ips: list[str] | str | None = option(
        None,
        Topic.PROXY,
        "Addresses and networks of trusted proxies, comma-separated; unix: any peer on a Unix socket, *: all peers.",
        default_text="$FORWARDED_ALLOW_IPS, or 127.0.0.1,::1",
    )
    root_path: str = option(
        "", Topic.APPLICATION, "URL path under which the application is mounted.", gunicorn="root_path"
    )
    limit_concurrency: int | None = limit(
        None,
        Topic.LIMITS,
        "Maximum number of connections or running requests; more are answered with 503.",
        exceeded="503",
    )
    limit_max_requests: int | None = limit(None, Topic.RUN, "Stop the process after this many requests.", most=_SSIZE)
    limit_max_requests_jitter: int = limit(
        0, Topic.RUN, "Add a random number, from 0 to this one, to --limit-max-requests.", most=_SSIZE
    )
    backlog: int = limit(
        2048, Topic.LISTEN, "Length of the kernel's queue of connections to accept.", gunicorn="backlog"
    )
    timeout_keep_alive: float = limit(
        5,
        Topic.TIMEOUTS,
        "Maximum idle time between two requests on a connection.",
        unit="seconds",
        exceeded="closed",
        gunicorn="keepalive",
    )
    timeout_notify: float = python_only(30, "Seconds between two calls of `callback_notify`.")
    timeout_graceful_shutdown: float | None = limit(
        30,
        Topic.TIMEOUTS,
        "Time allowed for running requests at shutdown.",
        unit="seconds",
        exceeded="running requests are cancelled",
        gunicorn="graceful_timeout",
    )
    timeout_worker_healthcheck: float = limit(
        5, Topic.RUN, "Seconds a worker may take to answer before it is replaced; 0 to disable."
    )
    callback_notify: Callable[..., Awaitable[None]] | None = python_only(
        None,
        "Awaited without arguments, periodically, in the server's loop. Its exception stops the server as a signal"
        " does, and is raised to the caller.",
    )
    ssl_keyfile: Path | None = option(None, Topic.TLS, "File with the private key.")
    ssl_certfile: Path | None = option(None, Topic.TLS, "File with the certificate.")
    ssl_keyfile_password: str | None = option(None, Topic.TLS, "Password of the private key.")
    ssl_version: int = option(SSL_PROTOCOL_VERSION, Topic.TLS, "TLS protocol, as a PROTOCOL number of the ssl module.")
    ssl_cert_reqs: int = option(0, Topic.TLS, "Client certificates: 0 for none, 1 for optional, 2 for required.")
    ssl_ca_certs: Path | None = option(None, Topic.TLS, "File with the authorities of client certificates.")
    ssl_ciphers: str | None = option(None, Topic.TLS, "Ciphers, in OpenSSL's syntax.", default_text="OpenSSL's")
    ssl_context_factory: Callable[[Self, Callable[[], SSLContext]], SSLContext] | None = python_only(
        None,
        "Returns the TLS context. Called with the configuration, and with a function that makes the context which the"
        " other parameters describe.",
    )
    headers: list[tuple[str, str]] | None = option(
        None,
        Topic.RESPONSES,
        "Header field to add to each response; repeatable.",
        flag="--header",
        is_repeatable=True,
        metavar="NAME:VALUE",
        check=encode_headers,
    )
    factory: bool = option(False, Topic.APPLICATION, "APP is a function that returns the application.")
    h11_max_incomplete_event_size: int | None = limit(None, Topic.LIMITS, "Same as --limit-head-size.", least=1)
    reset_contextvars: bool = option(False, Topic.APPLICATION, "Run each request in a fresh context.")
    _: KW_ONLY
    app_dir: str | None = option(
        None,
        Topic.APPLICATION,
        "Directory to look for APP in first.",
        flag_default="",
        default_text="the current directory",
    )
    install_signals: bool = python_only(
        True, "Whether `Server.serve` handles SIGINT and SIGTERM; only in the main thread."
    )
    limit_head_size: int = limit(
        64 * 1024,
        Topic.LIMITS,
        "Maximum size of a request's head, in bytes.",
        least=1,
        unit="bytes",
        exceeded="431",
    )
    limit_head_fields: int = limit(
        100,
        Topic.LIMITS,
        "Maximum number of header fields in a request.",
        least=1,
        exceeded="431",
        gunicorn="limit_request_fields",
    )
    limit_target_size: int = limit(
        16 * 1024,
        Topic.LIMITS,
        "Maximum size of a request's target, in bytes.",
        least=1,
        unit="bytes",
        exceeded="414",
    )
    limit_body_size: int | None = limit(
        None,
        Topic.LIMITS,
        "Maximum size of a request's body, in bytes; 0 for no limit.",
        most=_SSIZE,
        zero_is_none=True,
        default_text="no limit",
        unit="bytes",
        exceeded="413",
    )
    limit_body_rate: int | None = limit(
        None,
        Topic.LIMITS,
        "Minimum rate of a body for which APP waits, in bytes per second; a client may fall 10 seconds behind. 0 for no"
        " limit.",
        zero_is_none=True,
        default_text="no limit",
        unit="bytes",
        exceeded="408",
    )
    limit_queue: int | None = limit(
        None,
        Topic.LIMITS,
        "Maximum number of requests that wait for their turn at --limit-concurrency; more are answered with 503. With"
        " this flag, even if it is 0, --limit-concurrency counts requests only, not connections.",
        default_text="none",
        exceeded="503",
    )
    limit_websockets: int | None = limit(
        None,
        Topic.LIMITS,
        "Maximum number of WebSockets, which then do not count for --limit-concurrency; more are answered with 503. 0"
        " for no limit.",
        zero_is_none=True,
        default_text="no limit",
        exceeded="503",
    )
    limit_connections: int | None = limit(
        None,
        Topic.LIMITS,
        "Maximum number of connections of a worker; more are closed at once. 0 for no limit.",
        zero_is_none=True,
        default_text="no limit",
        exceeded="closed",
    )
    limit_connections_per_address: int | None = limit(
        None,
        Topic.LIMITS,
        "The same, of one IPv4 address or one /64 network of IPv6; 0 for no limit.",
        zero_is_none=True,
        default_text="no limit",
        exceeded="closed",
    )
    limit_requests_per_connection: int | None = limit(
        None,
        Topic.LIMITS,
        "Close a connection after this many requests; 0 for no limit.",
        most=2**30,
        zero_is_none=True,
        default_text="no limit",
        exceeded="closed after the last response",
    )
    timeout_first_byte: float | None = limit(
        30,
        Topic.TIMEOUTS,
        "Maximum time each for the PROXY header, the TLS handshake and the first byte of a request; 0 to disable.",
        zero_is_none=True,
        unit="seconds",
        exceeded="closed; also during a PROXY header or a TLS handshake",
    )
    timeout_head: float | None = limit(
        30,
        Topic.TIMEOUTS,
        "Maximum time to receive a request's head; 0 to disable.",
        zero_is_none=True,
        unit="seconds",
        exceeded="408",
    )
    timeout_body: float | None = limit(
        30,
        Topic.TIMEOUTS,
        "Maximum time without progress while receiving a request's body; 0 to disable.",
        zero_is_none=True,
        unit="seconds",
        exceeded="408",
    )
    timeout_write: float | None = limit(
        30,
        Topic.TIMEOUTS,
        "Maximum time without progress while sending a response; 0 to disable.",
        zero_is_none=True,
        unit="seconds",
        exceeded="reset",
    )
    timeout_request: float | None = limit(
        None,
        Topic.TIMEOUTS,
        "Maximum time from a request's head to the last byte of its response; 0 for no limit.",
        zero_is_none=True,
        default_text="no limit",
        unit="seconds",
        exceeded="503, or reset once the response has begun",
    )
    cancel_on_disconnect: CancelOnDisconnect = option(
        "streaming",
        Topic.TIMEOUTS,
        "Responses to cancel when their client disconnects.",
        choices=get_args(CancelOnDisconnect),
    )
    send_after_disconnect: SendAfterDisconnect = option(
        "ignore",
        Topic.TIMEOUTS,
        "Effect of send() after an HTTP client has disconnected: none (ASGI 2.3) or OSError (ASGI 2.5).",
        choices=get_args(SendAfterDisconnect),
    )
    sendfile: bool = option(
        False,
        Topic.APPLICATION,
        "Let APP leave sending files to the server. They bypass middleware that reads or compresses bodies.",
    )
    forwarded_headers: ForwardedHeaders = option(
        "x-forwarded",
        Topic.PROXY,
        "Header fields to trust: X-Forwarded-For and -Proto; those and X-Forwarded-Host, -Port and -Prefix; or"
        " Forwarded (RFC 7239).",
        choices=get_args(ForwardedHeaders),
    )
    proxy_protocol: bool = option(
        False,
        Topic.PROXY,
        "Expect the PROXY protocol, version 1 or 2, on every connection; only trusted proxies can connect then.",
    )
    underscored_headers: UnderscoredHeaders = option(
        "auto",
        Topic.PROXY,
        "Request headers with an underscore in their name; auto: drop them for WSGI, which takes X_User for X-User.",
        choices=get_args(UnderscoredHeaders),
    )
    log_format: LogFormat = option(
        "text",
        Topic.LOGGING,
        "Log format; json also applies to the access log, unless --access-log-format is given.",
        choices=get_args(LogFormat),
    )
    access_log_format: str | None = option(
        None,
        Topic.LOGGING,
        "Access log format: json, or text with atoms, short as gunicorn's, %(h)s, or long, %(status)s.",
        metavar="FORMAT",
        check=_check_access_log_format,
    )
    preload: bool = option(
        False, Topic.RUN, "Import APP once, before the workers are forked, so that they share memory; Linux only."
    )
    timeout_upgrade: float | None = limit(
        60,
        Topic.RUN,
        "Seconds in which a new program must serve after SIGUSR2; 0 for no limit.",
        zero_is_none=True,
        unit="seconds",
    )
    limit_max_rss: str | int | None = limit(
        None,
        Topic.RUN,
        "Stop the process once its resident memory exceeds this many MiB, or this share of the control group's limit,"
        " such as 80%, divided by the number of workers.",
        metavar="MIB|PERCENT%",
        check=_check_rss,
    )
    limit_worker_lifetime: float | None = limit(
        None, Topic.RUN, "Stop the process after this many seconds; 0 for no limit.", zero_is_none=True
    )
    limit_worker_lifetime_jitter: float = limit(
        0, Topic.RUN, "Add a random number, from 0 to this one, to --limit-worker-lifetime."
    )
    request_id_header: str | None = option(
        None,
        Topic.LOGGING,
        "Give each request an ID, that of its header field NAME or a new one: in the response, the scope and the logs.",
        metavar="NAME",
        check=_check_request_id_header,
    )
    log_slow: float | None = option(
        None,
        Topic.LOGGING,
        "Log each request that takes this many seconds, and where its time went; 0 to disable.",
        zero_is_none=True,
        default_text="disabled",
    )
    watchdog: float | None = option(
        None,
        Topic.LOGGING,
        "Log the stack of an event loop that has been blocked for this many seconds; 0 to disable.",
        zero_is_none=True,
        default_text="disabled",
    )
    bind: list[str] | str | None = option(
        None,
        Topic.LISTEN,
        "Where to listen, instead of --host, --port, --uds and --fd: HOST:PORT, [IPV6]:PORT, unix:PATH, fd://NUMBER, or"
        " fd://NAME for a socket that systemd passes; repeatable.",
        is_repeatable=True,
        metavar="PLACE",
        check=_check_places,
    )
    reuse_port: bool = option(
        False,
        Topic.LISTEN,
        "Share each port with other servers of the same user that have this option too.",
        flag="--reuse-port/--no-reuse-port",
    )
    uds_permissions: int | str | None = option(
        None,
        Topic.LISTEN,
        "Mode of the files of Unix sockets, in octal, such as 660.",
        default_text="666, or the mode of the file that is replaced",
        metavar="MODE",
        check=_check_mode,
    )
    pid_file: Path | None = option(
        None,
        Topic.RUN,
        "File that holds the process ID of the server, or of the parent of its workers.",
        metavar="FILE",
    )
    user: str | None = option(
        None, Topic.RUN, "User to become after binding, by name or number; only root can.", metavar="USER"
    )
    group: str | None = option(
        None,
        Topic.RUN,
        "Group to become after binding, by name or number.",
        default_text="the user's own",
        metavar="GROUP",
    )
    umask: int | str | None = option(
        None,
        Topic.RUN,
        "Mode bits to withhold from new files, in octal, such as 027.",
        metavar="MODE",
        check=_check_mode,
    )

    ssl_sni: list[str] | str | None = option(
        None,
        Topic.TLS,
        "Certificate and key for clients that ask for NAME, or for a name with one label in place of *; repeatable."
        " Others get --ssl-certfile.",
        is_repeatable=True,
        metavar="NAME=CERT,KEY",
        check=_check_server_names,
    )
    https_redirect: int | None = option(
        None,
        Topic.TLS,
        "Port without TLS, on each host of the server, that sends clients to its https URLs; 0 picks a free one.",
        most=65535,
        metavar="PORT",
    )
    hsts: int | None = option(
        None,
        Topic.TLS,
        "Tell browsers, in each response over TLS, to use HTTPS only for this many seconds; 0 makes them forget it. It"
        " comes before a Strict-Transport-Security of APP, and browsers take the first.",
        metavar="SECONDS",
        unit="seconds",
        default_text="not told",
    )
    ssl_reload: bool = option(True, Topic.TLS, "Read the certificates again when their files have changed.")

    metrics_bind: str | None = option(
        None,
        Topic.MONITORING,
        "Show metrics for Prometheus at this place, for example 127.0.0.1:9000 or unix:PATH; /health is JSON.",
        metavar="PLACE",
        check=_check_place,
    )
    health_path: str | None = option(
        None,
        Topic.MONITORING,
        "Answer requests for this path without APP: 200, or 503 once the server is draining.",
        metavar="PATH",
        check=_check_health_path,
    )
    drain_delay: float = option(
        0,
        Topic.MONITORING,
        "Seconds to serve on after SIGTERM or a limit, while --health-path says 503, before the shutdown begins.",
        unit="seconds",
    )
    worker_class: WorkerClass = option(
        "process",
        Topic.RUN,
        "Kind of the workers: processes, or threads of one process, which need a free-threaded Python to run in"
        " parallel.",
        choices=get_args(WorkerClass),
    )

    def _normalize(self) -> None:
        """Give each value one form: lists for None, None for 0, a number for a port from the environment."""
        self.headers = self.headers or []
        self.bind = [self.bind] if isinstance(self.bind, str) else list(self.bind or ())
        self.ssl_sni = [self.ssl_sni] if isinstance(self.ssl_sni, str) else list(self.ssl_sni or ())
        port: Any = self.port
        if isinstance(port, str) and port.strip().isdecimal():
            self.port = int(port)
        self.lifespan = self.lifespan or "auto"
        for name, parameter in PARAMETERS.items():
            if parameter.zero_is_none and getattr(self, name) == 0:
                setattr(self, name, None)

    def _validate(self) -> None:
        """Raises ConfigError."""
        for name, parameter in PARAMETERS.items():
            parameter.validate(getattr(self, name))
        elsewhere = self.uds is not None or self.fd is not None or (self.host, self.port) != _HOST_AND_PORT
        if self.bind and elsewhere:
            raise _error("%s cannot be combined with %s, %s, %s or %s", "bind", "host", "port", "uds", "fd")
        if self.limit_queue and not self.limit_concurrency:
            raise _error("%s needs %s: without that, nothing waits", "limit_queue", "limit_concurrency")
        if self.reuse_port and any(not place.is_port() for place in places.of(self)):
            raise _error("%s needs a host and port: other sockets cannot be bound twice", "reuse_port")
        if self.worker_class == "thread":
            for name, reason in _NOT_WITH_THREADS.items():
                if getattr(self, name):
                    raise _error(f"%s cannot be combined with %s thread: {reason}", name, "worker_class")
            if sys.platform == "win32":
                raise _error(
                    "%s thread is not available on Windows: its event loops cannot share a socket", "worker_class"
                )


def _error(text: str, *names: str) -> ConfigError:
    """An error about the parameters with these names."""
    return ConfigError(text, *(PARAMETERS[each] for each in names))


def _described(declared: Field[Any]) -> Parameter:
    parameter: Parameter = declared.metadata["parameter"]
    parameter.name, parameter.annotation = declared.name, str(declared.type)
    parameter.default = None if declared.default is MISSING else declared.default
    if parameter.topic is not None and not parameter.flag:
        word = parameter.name.replace("_", "-")
        is_switch = parameter.type is bool and parameter.default is not False
        parameter.flag = f"--{word}/--no-{word}" if is_switch else f"--{word}"
    return parameter


PARAMETERS: dict[str, Parameter] = {
    declared.name: _described(declared) for declared in fields(Parameters) if declared.name != "app"
}
"""Each parameter but `app`, by its name; its default is None if it has no constant."""
