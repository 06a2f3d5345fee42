"""The access log. If only our own handler would see the records, lines are formatted here and written once per
event-loop iteration, without `logging`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from json.encoder import encode_basestring_ascii
from time import gmtime, localtime, strftime, time
from typing import TYPE_CHECKING
from urllib.parse import quote

from pronghorn.logging.access_format import (
    BYTES,
    BYTES_IF_ANY,
    CLIENT,
    DURATION,
    HOST,
    LITERAL,
    METHOD,
    MILLISECONDS,
    PATH,
    PROTOCOL,
    QUERY,
    REQUEST_FIELD,
    REQUEST_ID,
    REQUEST_LINE,
    RESPONSE_FIELD,
    SCHEME,
    SECONDS,
    SPAN_ID,
    STATUS,
    STATUS_TEXT,
    TIME_CLF,
    TIME_ISO,
    TIME_LOG,
    TRACE_ID,
    USER,
)

from .kernels import is_plain_path, monotonic

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from _typeshed import MaybeNone

    from pronghorn.logging.access_log import AccessLog
    from pronghorn.types import Headers

    from ._interfaces import CallSoon, ConnectionOwner
    from .request import Request

# Lines gathered before they are written in the middle of an iteration.
LINES_AT_ONCE = 256

# Characters to escape, as Apache and nginx do: any that end a quoted value or a line, move a cursor, or cannot be read
# back.
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


class AccessLines:
    """Gathers lines for `log`; `call_soon` is the event loop's. With `at_end`, a line is logged when its response is
    complete rather than when it starts.
    """

    __slots__ = ("_before", "_call_soon", "_ends", "_lines", "_log", "_prefix", "at_end")

    at_end: bool
    _log: AccessLog
    _call_soon: CallSoon
    _lines: list[str]
    _prefix: str
    _before: str
    _ends: dict[int, str]

    def __init__(self, log: AccessLog, call_soon: CallSoon) -> None:
        self._log = log
        self._call_soon = call_soon
        self._lines = []
        self._prefix = log.level_prefix
        self._before = log.before_request
        # The end of a line for each status.
        self._ends = {}
        self.at_end = False

    def log(self, request: Request, status: int) -> None:
        """Log the response with `status` to `request`."""
        client = request.client_text
        try:
            self.add(client, request.scope, status, request)
        except (AttributeError, LookupError, TypeError, ValueError):
            # The application has broken its scope: log from a new one.
            self.add(client, request.make_scope(), status, request)

    def add(self, client: str, scope: dict[str, Any], status: int, request: Request) -> None:
        """Add a line about `request` from `client` (`host:port` or empty). Raises if `scope` is broken."""
        method = scope["method"]
        target = _target(scope)
        version = scope["http_version"]
        lines = self._lines
        if not lines:
            if not self._log.batchable():
                self._log.record(client, method, target, version, status, None)
                return
            self._call_soon(self.flush)
        end = self._ends.get(status)
        if end is None:
            end = self._ends[status] = self._log.after_request + self._log.status_text(status)
        lines.append(f"{self._prefix}{client}{self._before}{method} {target} HTTP/{version}{end}")
        if len(lines) >= LINES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write the gathered lines."""
        lines = self._lines
        if lines:
            self._lines = []
            self._log.write(lines)


class Piece:
    """A piece of a format: its `kind`, and the `text` of a literal or the lower-case `name` of a field. The value of a
    `safe` piece is never escaped, and never quoted in JSON.
    """

    __slots__ = ("kind", "name", "safe", "text")

    kind: int
    text: str
    name: bytes
    safe: bool

    def __init__(self, kind: int, text: str) -> None:
        self.kind = kind
        self.text = text
        self.name = text.encode("utf-8")
        self.safe = kind in (STATUS, STATUS_TEXT, BYTES, BYTES_IF_ANY) or SECONDS <= kind <= DURATION


class FormattedLines(AccessLines):
    """Lines in the user's format: `log.pieces`, of (kind, text), as text or, if `log.as_json`, inside JSON.

    Values from a client or an application are escaped: they must not forge lines or fields.
    """

    __slots__ = ("_clf", "_iso", "_json", "_pieces", "_read_trace", "_second", "_stamp")

    _pieces: list[Piece]
    _json: bool
    _read_trace: Callable[[Headers], tuple[str, str] | None] | MaybeNone
    _second: int
    _clf: str
    _iso: str
    _stamp: str

    def __init__(self, log: AccessLog, call_soon: CallSoon) -> None:
        AccessLines.__init__(self, log, call_soon)
        pieces = log.pieces or []
        self._pieces = [Piece(kind, text) for kind, text in pieces]
        self._json = log.as_json
        self._read_trace = None
        if any(kind in (TRACE_ID, SPAN_ID) for kind, _ in pieces):
            from pronghorn.logging.trace_context import read  # only where there is such an atom

            self._read_trace = read
        self._second = -1
        self._clf = ""
        self._iso = ""
        self._stamp = ""
        self.at_end = any(BYTES <= kind <= DURATION for kind, _ in pieces)

    def add(self, client: str, scope: dict[str, Any], status: int, request: Request) -> None:
        line = self._line(client, scope, status, request)
        if not self._lines:
            if not self._log.batchable():
                self._log.record(client, scope["method"], _target(scope), scope["http_version"], status, line)
                return
            self._call_soon(self.flush)
        self._lines.append(line)
        if len(self._lines) >= LINES_AT_ONCE:
            self.flush()

    def _line(self, client: str, scope: dict[str, Any], status: int, request: Request) -> str:
        parts = []
        for piece in self._pieces:
            kind = piece.kind
            if kind == LITERAL:
                parts.append(piece.text)
                continue
            if kind <= TIME_LOG:
                value = self._client_or_time(kind, client, request)
            elif kind <= SCHEME:
                value = _request_part(kind, scope)
            else:
                value = self._response_part(piece, status, request)
            if value is None:
                value = "null" if self._json else "-"
            elif not piece.safe:
                value = _as_json(value) if self._json else _as_text(value)
            parts.append(value)
        return "".join(parts)

    def _client_or_time(self, kind: int, client: str, request: Request) -> str | None:
        if kind == CLIENT:
            return client or None
        if kind == HOST:
            return client.rpartition(":")[0] or None
        if kind == USER:
            return _user(_field(request.head.headers, b"authorization"))
        now = time()
        second = int(now)
        if second != self._second:
            self._second = second
            local = localtime(second)
            self._clf = strftime("[%d/%b/%Y:%H:%M:%S %z]", local)
            self._stamp = strftime("%Y-%m-%d %H:%M:%S", local)
            self._iso = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
        if kind == TIME_CLF:
            return self._clf
        milliseconds = int((now - second) * 1000)
        return f"{self._iso}.{milliseconds:03}Z" if kind == TIME_ISO else f"{self._stamp},{milliseconds:03}"

    def _response_part(self, piece: Piece, status: int, request: Request) -> str | None:
        kind = piece.kind
        if kind == STATUS:
            return str(status)
        if kind == STATUS_TEXT:
            return self._log.status_text(status)
        if kind == BYTES:
            return str(request.encoder.body_size)
        if kind == BYTES_IF_ANY:
            size = request.encoder.body_size
            return str(size) if size else None
        if kind == REQUEST_FIELD:
            return _field(request.head.headers, piece.name)
        if kind == RESPONSE_FIELD:
            return _text(request.encoder.field(piece.name))
        if kind == REQUEST_ID:
            given = _text(request.encoder.field(piece.name)) or request.request_id()
            return _field(request.head.headers, piece.name) if given is None else given
        if kind in (TRACE_ID, SPAN_ID):
            trace = self._read_trace(request.head.headers)
            return None if trace is None else trace[kind - TRACE_ID]
        passed = monotonic() - request.began
        if kind == DURATION:
            return f"{passed:.6f}"
        return str(int(passed * (1 if kind == SECONDS else 1000 if kind == MILLISECONDS else 1000000)))


def log_response(lines: AccessLines, request: Request, status: int, owner: ConnectionOwner) -> None:
    """Log the response with `status` to `request`. Raises nothing: `owner` reports a line that was lost."""
    try:
        if not request.is_probe:
            lines.log(request, status)
    except Exception as error:  # for example in a user's filter: the response must not fail
        owner.on_log_failed(error)


def _request_part(kind: int, scope: dict[str, Any]) -> str:
    """A part of the request, as in the application's scope."""
    if kind == REQUEST_LINE:
        return f"{scope['method']} {_target(scope)} HTTP/{scope['http_version']}"
    if kind == METHOD:
        return str(scope["method"])
    if kind == PATH:
        return _path(scope)
    if kind == QUERY:
        query: bytes = scope["query_string"]
        return query.decode("latin-1")
    if kind == PROTOCOL:
        return f"HTTP/{scope['http_version']}"
    return str(scope["scheme"])


def _target(scope: dict[str, Any]) -> str:
    path = _path(scope)
    query = scope["query_string"]
    return path + "?" + query.decode("ascii") if query else path


def _path(scope: dict[str, Any]) -> str:
    path = scope["path"]
    if not isinstance(path, str):
        raise TypeError(f"a path is text, not {type(path).__name__}")
    return path if is_plain_path(path) else quote(path)


def _field(fields: Headers, name: bytes) -> str | None:
    """The value of the first field `name` as text, or None."""
    for field in fields:
        if field[0] == name:
            return _text(field[1])
    return None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "surrogateescape")


def _user(credentials: str | None) -> str | None:
    """The user name in Basic credentials (RFC 7617), or None."""
    if credentials is None or credentials[:6].lower() != "basic ":
        return None
    try:
        return b64decode(credentials[6:]).partition(b":")[0].decode("utf-8", "surrogateescape") or None
    except ValueError:
        return None


def _as_text(text: str) -> str:
    return text if is_plain_path(text) else _UNSAFE.sub(_escaped, text)


def _as_json(text: str) -> str:
    if not text.isascii():
        # Not every JSON parser accepts a lone surrogate.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return encode_basestring_ascii(text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return "\\" + character
    return "".join([f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape")])
