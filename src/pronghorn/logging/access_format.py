"""Parse `--access-log-format` into the pieces from which the wire builds lines.

Atoms are written `%(name)s`, as in gunicorn and hypercorn, whose one-letter atoms have the same meaning here, and as in
uvicorn's formatters and `logging`; `%%` is a percent sign. A missing value is `-`; a value chosen by a client or an
application is escaped as Apache does it: `\\"`, `\\\\`, `\\x0a`.

A line is written when its response starts. With the size or the duration in the format, it is written at the end of the
response, or when the client disconnects before that.
"""

from __future__ import annotations

import os
import re

# The kinds of pieces.
LITERAL = 0
CLIENT = 1  # host:port
HOST = 2
USER = 3
TIME_CLF = 4  # the three forms of the time of logging
TIME_ISO = 5
TIME_LOG = 6
REQUEST_LINE = 7
METHOD = 8
PATH = 9
QUERY = 10
PROTOCOL = 11
SCHEME = 12
STATUS = 13
STATUS_TEXT = 14  # with its phrase, and its colour on a terminal
BYTES = 15
BYTES_IF_ANY = 16
SECONDS = 17  # four forms of the time since the request's head was read
MILLISECONDS = 18
MICROSECONDS = 19
DURATION = 20
REQUEST_FIELD = 21
RESPONSE_FIELD = 22
REQUEST_ID = 23
TRACE_ID = 24  # of the request's traceparent
SPAN_ID = 25

ATOMS: dict[str, tuple[str, int]] = {
    "client_addr": ("the client, as host:port", CLIENT),
    "h": ("the client's host", HOST),
    "u": ("the user of Basic authentication", USER),
    "t": ("the time of logging, as [22/Nov/2026:13:03:38 +0000]", TIME_CLF),
    "time": ("the time in UTC, as 2026-11-22T13:03:38.123Z", TIME_ISO),
    "asctime": ("the time, as 2026-11-22 13:03:38,123", TIME_LOG),
    "request_line": ("method, target and version", REQUEST_LINE),
    "m": ("the method", METHOD),
    "U": ("the path, quoted", PATH),
    "q": ("the query", QUERY),
    "H": ("the protocol, as HTTP/1.1", PROTOCOL),
    "scheme": ("http or https", SCHEME),
    "s": ("the status", STATUS),
    "status_code": ("the status with its phrase", STATUS_TEXT),
    "B": ("bytes of the body sent", BYTES),
    "b": ("the same, or -", BYTES_IF_ANY),
    "T": ("the duration in seconds", SECONDS),
    "M": ("the duration in milliseconds", MILLISECONDS),
    "D": ("the duration in microseconds", MICROSECONDS),
    "L": ("the duration in seconds, as 0.001234", DURATION),
    "request_id": ("X-Request-ID, or --request-id-header, of the response, or else of the request", REQUEST_ID),
    "trace_id": ("the trace ID of the request's traceparent", TRACE_ID),
    "span_id": ("the ID of the client's span, from the same field", SPAN_ID),
}
"""The meaning of each atom, and its kind."""

ALIASES = {
    "client": "client_addr",
    "host": "h",
    "user": "u",
    "r": "request_line",
    "method": "m",
    "path": "U",
    "query": "q",
    "protocol": "H",
    "status": "s",
    "bytes": "B",
    "duration": "L",
}
"""Second names: the familiar one-letter ones, or the words that JSON lines use."""

# The fields of a JSON line: atoms by name, and header fields.
_JSON = ("client", "method", "path", "query", "protocol", "status", "bytes", "duration")
_JSON_FIELDS = {"referer": "referer", "user_agent": "user-agent"}
_JSON_IDS = ("request_id", "trace_id", "span_id")

_ATOM = re.compile(r"%(?:(%)|\(([^()]*)\)s)?")
_FIELD = re.compile(r"\{([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\}([io])")
_SHORTHANDS = {"f": "referer", "a": "user-agent"}

Pieces = list[tuple[int, str]]


def parse(text: str, level_prefix: str = "INFO:    ", id_field: str = "x-request-id") -> Pieces:
    """Parse `text`, which may be the word `json`. Raises ValueError with the reason.

    `level_prefix` stands for `%(levelprefix)s`, `id_field` is the lower-case name of the field with the request's ID.
    """
    pieces = _json_pieces() if text == "json" else _text_pieces(text, level_prefix)
    return [(kind, id_field if kind == REQUEST_ID else text) for kind, text in pieces]


def _text_pieces(text: str, level_prefix: str) -> Pieces:
    pieces: Pieces = []
    position = 0
    for found in _ATOM.finditer(text):
        pieces.append((LITERAL, text[position : found.start()]))
        position = found.end()
        if found[1]:
            pieces.append((LITERAL, "%"))
        elif found[2] is None:
            raise ValueError(f"at {text[found.start() : found.start() + 12]!r}: an atom is %(name)s, a percent sign %%")
        else:
            pieces.append(_piece(found[2], level_prefix))
    pieces.append((LITERAL, text[position:]))
    return _joined(pieces)


def _piece(name: str, level_prefix: str) -> tuple[int, str]:
    name = ALIASES.get(name, name)
    if name in ATOMS:
        return ATOMS[name][1], ""
    if name in _SHORTHANDS:
        return REQUEST_FIELD, _SHORTHANDS[name]
    if field := _FIELD.fullmatch(name):
        return REQUEST_FIELD if field[2] == "i" else RESPONSE_FIELD, field[1].lower()
    literals = {"l": "-", "p": f"<{os.getpid()}>", "levelprefix": level_prefix}
    if name in literals:
        return LITERAL, literals[name]
    known = ", ".join([*ATOMS, *_SHORTHANDS, *literals, *ALIASES, "{header}i", "{header}o"])
    raise ValueError(f"%({name})s is not an atom; the atoms are {known}")


def _json_pieces() -> Pieces:
    pieces: Pieces = [
        (LITERAL, '{"time": '),
        (TIME_ISO, ""),
        (LITERAL, ', "level": "INFO", "logger": "pronghorn.access"'),
    ]
    for key in _JSON:
        pieces += [(LITERAL, f', "{key}": '), _piece(key, "")]
    for key, field in _JSON_FIELDS.items():
        pieces += [(LITERAL, f', "{key}": '), (REQUEST_FIELD, field)]
    for key in _JSON_IDS:
        pieces += [(LITERAL, f', "{key}": '), _piece(key, "")]
    pieces.append((LITERAL, "}"))
    return _joined(pieces)


def _joined(pieces: Pieces) -> Pieces:
    """Return `pieces` with adjacent literals merged."""
    joined: Pieces = []
    for kind, text in pieces:
        if kind == LITERAL and joined and joined[-1][0] == LITERAL:
            joined[-1] = (kind, joined[-1][1] + text)
        elif kind != LITERAL or text:
            joined.append((kind, text))
    return joined
