"""Reads the corpus of requests and frames. Its README describes the format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pronghorn.http2_constants import ACK, CONTINUATION, END_HEADERS, END_STREAM, HAS_PRIORITY, HEADERS, PADDED
from tests.support.http2 import Frame, frame, literal

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(__file__).parents[1] / "corpus"

_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|(.))")
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
_REPEATED = re.compile(r"(.*?)(?:\\\*([0-9]+))?")

# The names of RFC 9113 section 6. A frame of an extension is called TYPE_NUMBER.
_KINDS = (
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
)
_FLAGS = {
    "ACK": ACK,
    "END_STREAM": END_STREAM,
    "END_HEADERS": END_HEADERS,
    "PADDED": PADDED,
    "PRIORITY": HAS_PRIORITY,
}


@dataclass
class Case:
    """One file. `outcome` has each key once; `headers` has every `header` line."""

    name: str
    why: str
    data: bytes
    limits: dict[str, int] = field(default_factory=dict)
    outcome: dict[str, str] = field(default_factory=dict)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


def load(folder: str) -> list[Case]:
    """The cases of one folder of requests, by name."""
    return _load(folder, lambda lines: b"".join(map(_bytes, lines)))


def load_frames(folder: str) -> list[Case]:
    """The cases of one folder of frames, by name."""
    return _load(folder, _frames)


def _load(folder: str, encode: Callable[[list[str]], bytes]) -> list[Case]:
    return [_read(path, encode) for path in sorted((CORPUS / folder).glob("*.txt"))]


def _read(path: Path, encode: Callable[[list[str]], bytes]) -> Case:
    why, request, outcome = path.read_text("utf-8").rstrip("\n").split("\n\n")
    lines = request.split("\n")
    assert all(line.startswith("> ") for line in lines), path
    case = Case(path.stem, why, encode([line[2:] for line in lines]))
    for line in outcome.split("\n"):
        key, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        assert colon, path
        assert key not in case.outcome, path
        if key == "limits":
            case.limits = {name: int(number) for name, _, number in (limit.partition("=") for limit in value.split())}
        elif key == "header":
            case.headers.append(_field(value))
        elif key in ("status", "error", "reason"):
            case.outcome[key] = value
        else:
            case.outcome[key] = _unescape(value)
    return case


def _frames(lines: list[str]) -> bytes:
    """The frames that `lines` describe: a line for the header of each, and indented ones for its payload."""
    frames: list[Frame] = []
    for line in lines:
        text, count = _REPEATED.fullmatch(line).groups("1")
        if text.startswith("  "):
            last = frames[-1]
            frames[-1] = last._replace(payload=last.payload + _payload(last.kind, text[2:]) * int(count))
        else:
            kind, stream, *flags = text.split(" ")
            number = int(kind.removeprefix("TYPE_")) if kind.startswith("TYPE_") else _KINDS.index(kind)
            frames += [Frame(number, _flags(flags), int(stream, 0), b"")] * int(count)
    return b"".join(frame(*each) for each in frames)


def _flags(names: list[str]) -> int:
    flags = 0
    for name in names:
        flags |= int(name, 16) if name.startswith("0x") else _FLAGS[name]
    return flags


def _payload(kind: int, text: str) -> bytes:
    if kind not in (HEADERS, CONTINUATION):
        return _bytes(text)
    return _bytes(text[2:]) if text.startswith("= ") else literal(*_field(text))


def _field(text: str) -> tuple[bytes, bytes]:
    """A name and a value. A colon that the name begins with belongs to it."""
    colon = text.index(":", 1)
    return _bytes(text[:colon]), _bytes(text[colon + 1 :].removeprefix(" "))


def _bytes(text: str) -> bytes:
    return _unescape(text).encode("latin-1")


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPED[match[2]], text)
