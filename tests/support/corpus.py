"""Reads the corpus of requests. Its README describes the format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "corpus"

_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|(.))")
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


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
    """The cases of one folder of the corpus, by name."""
    return [_read(path) for path in sorted((CORPUS / folder).glob("*.txt"))]


def _read(path: Path) -> Case:
    why, request, outcome = path.read_text("utf-8").rstrip("\n").split("\n\n")
    lines = request.split("\n")
    assert all(line.startswith("> ") for line in lines), path
    case = Case(path.stem, why, b"".join(_bytes(line[2:]) for line in lines))
    for line in outcome.split("\n"):
        key, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        assert colon, path
        assert key not in case.outcome, path
        if key == "limits":
            case.limits = {name: int(number) for name, _, number in (limit.partition("=") for limit in value.split())}
        elif key == "header":
            name, _, content = value.partition(":")
            case.headers.append((_bytes(name), _bytes(content.removeprefix(" "))))
        elif key in ("status", "reason"):
            case.outcome[key] = value
        else:
            case.outcome[key] = _unescape(value)
    return case


def _bytes(text: str) -> bytes:
    return _unescape(text).encode("latin-1")


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPED[match[2]], text)
