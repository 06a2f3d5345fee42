"""State shared by the connections of one worker: limits, a clock, and the constant parts of scopes and heads."""

from __future__ import annotations

import sys
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote

from pronghorn.constants import HTTP_1_0, HTTP_1_1, HTTP_2
from pronghorn.http2_constants import CONNECTION_FIELDS

from .http2.kernels import encode_literals

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Sequence
    from typing import Any

    from _typeshed import MaybeNone

    from pronghorn.types import Headers

    from ._interfaces import Client, CompressionLibrary, Server
    from .access_log import AccessLines
    from .metrics import Metrics
    from .observed import Observer
    from .proxies import Proxies
    from .turns import Turns


class Limits:
    """Per-client limits: sizes in bytes, timeouts in whole seconds. 0 means unlimited, except for `keep_alive_timeout`,
    where it disables reuse.
    """

    __slots__ = (
        "body_buffer_size",
        "body_rate",
        "body_size",
        "body_timeout",
        "close_timeout",
        "discard_size",
        "first_byte_timeout",
        "head_fields",
        "head_size",
        "head_timeout",
        "keep_alive_timeout",
        "last_stream",
        "linger_size",
        "linger_timeout",
        "linger_total_timeout",
        "message_size",
        "ping_interval",
        "ping_timeout",
        "pipelined_requests",
        "queued_messages",
        "request_timeout",
        "requests",
        "target_size",
        "write_timeout",
    )

    head_size: int
    head_fields: int
    target_size: int
    body_size: int
    body_rate: int
    body_buffer_size: int
    discard_size: int
    pipelined_requests: int
    requests: int
    last_stream: int
    linger_size: int
    message_size: int
    queued_messages: int
    first_byte_timeout: int
    head_timeout: int
    body_timeout: int
    write_timeout: int
    request_timeout: int
    keep_alive_timeout: int
    linger_timeout: int
    linger_total_timeout: int
    ping_interval: int
    ping_timeout: int
    close_timeout: int

    def __init__(
        self,
        head_size: int = 65536,
        head_fields: int = 100,
        target_size: int = 16384,
        body_size: int = 0,
        first_byte_timeout: int = 30,
        head_timeout: int = 30,
        body_timeout: int = 30,
        write_timeout: int = 30,
        keep_alive_timeout: int = 5,
        message_size: int = 16777216,
        queued_messages: int = 32,
        ping_interval: int = 20,
        ping_timeout: int = 20,
        body_rate: int = 0,
        requests: int = 0,
        request_timeout: int = 0,
    ) -> None:
        # A head, its number of fields and its target: data that is kept before the application sees the request.
        self.head_size = head_size
        self.head_fields = head_fields
        self.target_size = target_size
        # A whole body; and the part of it that the application has not received yet, above which reading pauses.
        self.body_size = body_size
        self.body_buffer_size = 65536
        # Bytes of a body that a client must send in a second while the application waits for it.
        self.body_rate = body_rate
        # A body that the application does not read is read and discarded up to this size to keep the connection.
        self.discard_size = 262144
        # Requests that one connection may start per event-loop iteration before it yields to other connections.
        self.pipelined_requests = 32
        # Requests of one connection of HTTP/1.1, and the number of the last stream of HTTP/2.
        self.requests = (requests or sys.maxsize) if keep_alive_timeout else 1
        self.last_stream = 2 * requests - 1 if requests else sys.maxsize
        # Seconds for slow clients: to send the first byte, the rest of a head, more of a body; to read output; to begin
        # the next request.
        self.first_byte_timeout = first_byte_timeout
        self.head_timeout = head_timeout
        self.body_timeout = body_timeout
        self.write_timeout = write_timeout
        self.keep_alive_timeout = keep_alive_timeout
        # Seconds for a whole request, from its head to the last byte of its response.
        self.request_timeout = request_timeout
        # A refused client may continue to send until it reads the response. The connection closes after these limits:
        # seconds of silence, seconds in total, and bytes. Closing during input resets the connection.
        self.linger_timeout = 2
        self.linger_total_timeout = 30
        self.linger_size = 67108864
        # A WebSocket message after decompression; messages that the application has not taken, at which reading pauses.
        self.message_size = message_size
        self.queued_messages = queued_messages
        # Seconds between pings; until a silent WebSocket counts as lost; and for the client's close frame.
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = 10


class Shared:
    """One worker's constants, clock and counters.

    `default_fields` are the pairs at the start of every response, `default_block` their framing in HTTP/1.1, and
    `http2_block` in HTTP/2. `tick` must be called once a second.

    `scope` holds the parts of an HTTP scope that no request changes; `state` is the lifespan's. `fields` are the
    server's own default header fields, lower-case, framed before the application's. `websockets` enables WebSocket
    handshakes, `http2` the preface of HTTP/2; `zlib` is the module that compresses messages, None for no compression,
    and `turns` are those of messages that are decompressed;
    `proxies` are the trusted ones, None for none; `sendfile` enables the extensions for files. With `ignores_lost`, a
    `send()` of HTTP to a client that has left does nothing (ASGI HTTP 2.3) instead of raising (2.5). `metrics` counts,
    None for no metrics. `observer` makes the requests, None for plain ones.
    """

    __slots__ = (
        "_date",
        "_fields",
        "_has_date",
        "_server",
        "access_log",
        "asgi",
        "create_future",
        "default_block",
        "default_fields",
        "draining",
        "extensions",
        "http2",
        "http2_block",
        "ignores_lost",
        "limits",
        "logs_at_end",
        "metrics",
        "now",
        "observer",
        "proxies",
        "root_path",
        "root_path_bytes",
        "scope",
        "state",
        "times_requests",
        "total_requests",
        "turns",
        "websockets",
        "zlib",
    )

    limits: Limits
    create_future: Callable[[], Future[Any]]
    proxies: Proxies | None
    access_log: AccessLines | None
    logs_at_end: bool
    metrics: Metrics | MaybeNone
    times_requests: bool
    observer: Observer | None
    ignores_lost: bool

    scope: dict[str, Any]
    asgi: dict[str, str]
    extensions: dict[str, dict[str, Any]]
    state: dict[str, Any]
    root_path: str
    root_path_bytes: bytes

    default_fields: Headers
    default_block: bytes
    http2_block: bytes
    _has_date: bool
    _date: Headers
    _server: Headers
    _fields: Headers

    websockets: bool
    http2: bool
    zlib: CompressionLibrary | None
    turns: Turns | MaybeNone

    draining: bool
    total_requests: int
    now: int

    def __init__(
        self,
        limits: Limits,
        create_future: Callable[[], Future[Any]],
        scheme: str = "http",
        root_path: str = "",
        state: dict[str, Any] | None = None,
        fields: Sequence[tuple[bytes, bytes]] = (),
        date: bool = True,
        server: bytes = b"pronghorn",
        access_log: AccessLines | None = None,
        websockets: bool = True,
        zlib: CompressionLibrary | None = None,
        turns: Turns | None = None,
        proxies: Proxies | None = None,
        sendfile: bool = False,
        ignores_lost: bool = False,
        http2: bool = False,
        metrics: Metrics | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.limits = limits
        self.create_future = create_future
        self.access_log = access_log
        self.logs_at_end = access_log is not None and access_log.at_end
        self.metrics = metrics
        self.observer = observer
        # True if the time at which a request began is needed.
        self.times_requests = self.logs_at_end or metrics is not None or observer is not None
        self.websockets = websockets
        self.http2 = http2
        self.zlib = zlib
        self.turns = turns
        self.proxies = proxies
        self.ignores_lost = ignores_lost
        self.root_path = root_path
        self.root_path_bytes = quote(root_path).encode("ascii")
        self.state = {} if state is None else state
        self.asgi = {"version": "3.0", "spec_version": "2.3" if ignores_lost else "2.5"}
        self.extensions = {
            "http.response.trailers": {},
            "http.response.early_hint": {},
        }
        if sendfile:
            # Off by default: with them, frameworks send files past any middleware that would read or change a body.
            self.extensions["http.response.pathsend"] = {}
            self.extensions["http.response.zerocopysend"] = {}
        self.scope = {
            "type": "http",
            "asgi": None,
            "http_version": HTTP_1_1,
            "server": None,
            "client": None,
            "scheme": scheme,
            "method": "GET",
            "root_path": root_path,
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": None,
            "state": None,
            "extensions": None,
        }
        names = [name for name, _ in fields]
        self._has_date = date and b"date" not in names
        self._date = []
        self._server = [(b"server", server)] if server and b"server" not in names else []
        self._fields = list(fields)
        self.draining = False
        self.total_requests = 0
        self.now = 0
        self.tick(0)

    def connection_scope(
        self, client: Client | None, server: Server | None, tls: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The common part of all scopes of one connection; `tls` is the extension of that name, None without TLS."""
        scope = self.scope.copy()
        scope["client"] = client
        scope["server"] = server
        scope["extensions"] = self.extensions if tls is None else {**self.extensions, "tls": tls}
        return scope

    def http10_scope(self, scope: dict[str, Any]) -> dict[str, Any]:
        """A connection's `scope` for HTTP/1.0, which has neither trailers nor interim responses."""
        scope = scope.copy()
        scope["http_version"] = HTTP_1_0
        extensions = scope["extensions"].copy()
        del extensions["http.response.trailers"], extensions["http.response.early_hint"]
        scope["extensions"] = extensions
        return scope

    def http2_scope(self, scope: dict[str, Any], trailers: bool) -> dict[str, Any]:
        """A connection's `scope` for HTTP/2, with `trailers` for a client that accepts them."""
        scope = scope.copy()
        scope["http_version"] = HTTP_2
        if not trailers:
            scope["extensions"] = extensions = scope["extensions"].copy()
            del extensions["http.response.trailers"]
        return scope

    def timed_out(self, kind: int) -> None:
        """Count a client or an application that was too slow, by the timeout's index in `pronghorn.metrics.layout`."""
        if self.metrics is not None:
            self.metrics.timed_out(kind)

    def deadline(self, seconds: int) -> int:
        """The value of `now` after `seconds` have passed; 0, for no deadline, if `seconds` is 0."""
        # One more, since the current second may be nearly over.
        return self.now + seconds + 1 if seconds else 0

    def block_beside(self, own_date: bool, own_server: bool) -> bytes:
        """The default fields, framed for HTTP/1.1, beside an application's own Date or Server."""
        return _frame(self._fields_beside(own_date, own_server))

    def http2_block_beside(self, own_date: bool, own_server: bool) -> bytes:
        """The same for HTTP/2, where most applications set neither."""
        if not own_date and not own_server:
            return self.http2_block
        return _encode(self._fields_beside(own_date, own_server))

    def tick(self, now: int) -> None:
        """Set the clock to `now`, in whole seconds of any origin, and renew the Date field (RFC 9110 section 6.6.1)."""
        self.now = now
        if self._has_date:
            self._date = [(b"date", formatdate(usegmt=True).encode("ascii"))]
        self.default_fields = self._date + self._server + self._fields
        self.default_block = _frame(self.default_fields)
        self.http2_block = _encode(self.default_fields)

    def _fields_beside(self, own_date: bool, own_server: bool) -> Headers:
        """The default fields for a response whose application sets Date or Server itself."""
        fields = [] if own_date else self._date
        if not own_server:
            fields = fields + self._server
        return fields + self._fields


def _frame(fields: Headers) -> bytes:
    """Frame fields as HTTP/1.1 does."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def _encode(fields: Headers) -> bytes:
    """Encode fields for HTTP/2, without those of a connection. Raises ValueError for fields that must not be sent."""
    block: bytes | None = encode_literals([field for field in fields if field[0] not in CONNECTION_FIELDS])
    if block is None:
        raise ValueError(f"malformed default headers: {fields!r}")
    return block
