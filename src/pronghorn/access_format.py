"""The format of the access log: from `--access-log-format` to the pieces that the wire puts lines together from.

Atoms are written `%(name)s`. That is what gunicorn and hypercorn have, whose one-letter atoms mean here what they mean
there, and what uvicorn's formatters and `logging` itself have; `%%` is a percent sign. A value that is not there is
`-`, one that a client or an application chose is escaped as Apache does it: `\\"`, `\\\\`, `\\x0a`.

A line is written when its response starts, except in a format with the size or the duration, which are known at the
response's end: then, or when the client leaves before.
"""

from __future__ import annotations

import os
import re

from pronghorn._wire import access

ATOMS: dict[str, tuple[str, int]] = {
    "client_addr": ("the client, as host:port", access.CLIENT),
    "h": ("the client's host", access.HOST),
    "u": ("the user of Basic authentication", access.USER),
    "t": ("the time of logging, as [22/Nov/2026:13:03:38 +0000]", access.TIME_CLF),
    "time": ("the time in UTC, as 2026-11-22T13:03:38.123Z", access.TIME_ISO),
    "asctime": ("the time, as 2026-11-22 13:03:38,123", access.TIME_LOG),
    "request_line": ("method, target and version", access.REQUEST_LINE),
    "m": ("the method", access.METHOD),
    "U": ("the path, quoted", access.PATH),
    "q": ("the query", access.QUERY),
    "H": ("the protocol, as HTTP/1.1", access.PROTOCOL),
    "scheme": ("http or https", access.SCHEME),
    "s": ("the status", access.STATUS),
    "status_code": ("the status with its phrase", access.STATUS_TEXT),
    "B": ("bytes of the body sent", access.BYTES),
    "b": ("the same, or -", access.BYTES_IF_ANY),
    "T": ("the duration in seconds", access.SECONDS),
    "M": ("the duration in milliseconds", access.MILLISECONDS),
    "D": ("the duration in microseconds", access.MICROSECONDS),
    "L": ("the duration in seconds, as 0.001234", access.DURATION),
    "request_id": ("X-Request-ID of the response, or else of the request", access.REQUEST_ID),
}
"""What each atom is, and the wire's name for it."""

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
"""Second names: those of one letter, as people know them, or written out, as they are in JSON."""

# The fields of a JSON line, each the atom of its name but for those that are header fields.
_JSON = ("client", "method", "path", "query", "protocol", "status", "bytes", "duration")
_JSON_FIELDS = {"referer": "referer", "user_agent": "user-agent"}

_ATOM = re.compile(r"%(?:(%)|\(([^()]*)\)s)?")
_FIELD = re.compile(r"\{([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\}([io])")
_SHORTHANDS = {"f": "referer", "a": "user-agent"}

Pieces = list[tuple[int, str]]


def parse(text: str, level_prefix: str = "INFO:    ") -> Pieces:
    """The pieces of `text`, which may be the word `json`. ValueError says what is wrong with it.

    `level_prefix` stands for `%(levelprefix)s`.
    """
    if text == "json":
        return _json_pieces()
    pieces: Pieces = []
    position = 0
    for found in _ATOM.finditer(text):
        pieces.append((access.LITERAL, text[position : found.start()]))
        position = found.end()
        if found[1]:
            pieces.append((access.LITERAL, "%"))
        elif found[2] is None:
            raise ValueError(f"at {text[found.start() : found.start() + 12]!r}: an atom is %(name)s, a percent sign %%")
        else:
            pieces.append(_piece(found[2], level_prefix))
    pieces.append((access.LITERAL, text[position:]))
    return _joined(pieces)


def _piece(name: str, level_prefix: str) -> tuple[int, str]:
    name = ALIASES.get(name, name)
    if name in ATOMS:
        return ATOMS[name][1], ""
    if name in _SHORTHANDS:
        return access.REQUEST_FIELD, _SHORTHANDS[name]
    if field := _FIELD.fullmatch(name):
        return access.REQUEST_FIELD if field[2] == "i" else access.RESPONSE_FIELD, field[1].lower()
    literals = {"l": "-", "p": f"<{os.getpid()}>", "levelprefix": level_prefix}
    if name in literals:
        return access.LITERAL, literals[name]
    known = ", ".join([*ATOMS, *_SHORTHANDS, *literals, *ALIASES, "{header}i", "{header}o"])
    raise ValueError(f"%({name})s is not an atom; the atoms are {known}")


def _json_pieces() -> Pieces:
    pieces: Pieces = [
        (access.LITERAL, '{"time": '),
        (access.TIME_ISO, ""),
        (access.LITERAL, ', "level": "INFO", "logger": "pronghorn.access"'),
    ]
    for key in _JSON:
        pieces += [(access.LITERAL, f', "{key}": '), _piece(key, "")]
    for key, field in _JSON_FIELDS.items():
        pieces += [(access.LITERAL, f', "{key}": '), (access.REQUEST_FIELD, field)]
    pieces += [(access.LITERAL, ', "request_id": '), (access.REQUEST_ID, ""), (access.LITERAL, "}")]
    return _joined(pieces)


def _joined(pieces: Pieces) -> Pieces:
    """`pieces` with neighbouring literals made one."""
    joined: Pieces = []
    for kind, text in pieces:
        if kind == access.LITERAL and joined and joined[-1][0] == access.LITERAL:
            joined[-1] = (kind, joined[-1][1] + text)
        elif kind != access.LITERAL or text:
            joined.append((kind, text))
    return joined
