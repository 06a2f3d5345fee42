"""Requests to a server and its responses, in a form that can be compared between servers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

# Fields that the server or the clock sets.
OWN = ("server", "date")

# The maximum number of requests until the answer matches.
REPEATS = 100

# Bodies longer than this are compared by their digest.
SHOWN = 4000


@dataclass(frozen=True)
class Exchange:
    """One request. `{name}` in its path, fields and content stands for a value kept by an earlier exchange.

    `keeps` maps names to patterns. The first group of a pattern is kept from the answer and compared as `<name>`,
    because it differs between servers. `masks` are patterns for text that differs each time. `lines` is the number of
    lines to read of an endless answer. The request is repeated until the answer matches `until`, a pattern for what
    applications do after their responses.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: str | bytes | Sequence[bytes] | None = None
    form: Mapping[str, Any] = field(default_factory=dict)
    keeps: Mapping[str, str] = field(default_factory=dict)
    masks: Sequence[str] = ()
    lines: int | None = None
    until: str = ""

    def __str__(self) -> str:
        return " ".join([self.method, self.path, *(f"+{name}" for name in self.headers)])


@dataclass
class Answer:
    """A response. `broken` names the error if it was truncated."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: str
    broken: str = ""


def differences(expected: Answer, answer: Answer) -> dict[str, tuple[Any, Any]]:
    """Map the name of each field or other part that differs to its value in each of the two answers."""
    names = [
        name for name in ("status", "reason", "body", "broken") if getattr(expected, name) != getattr(answer, name)
    ]
    found = {name: (getattr(expected, name), getattr(answer, name)) for name in names}
    for field_name in dict.fromkeys(name for name, _ in expected.fields + answer.fields):
        values = tuple(
            [value for name, value in each.fields if name == field_name] or None for each in (expected, answer)
        )
        if values[0] != values[1]:
            found[field_name] = values
    if not found and expected.fields != answer.fields:
        found["order"] = (expected.fields, answer.fields)
    return found


def get(path: str, **more: Any) -> Exchange:
    return Exchange("GET", path, **more)


def head(path: str, **more: Any) -> Exchange:
    return Exchange("HEAD", path, **more)


def post(path: str, content: Any = None, **more: Any) -> Exchange:
    return Exchange("POST", path, content=content, **more)


def post_json(path: str, content: Any, **more: Any) -> Exchange:
    headers = {"content-type": "application/json", **more.pop("headers", {})}
    return Exchange("POST", path, headers, json.dumps(content), **more)


def converse(url: str, conversation: Sequence[Exchange]) -> list[Answer]:
    """Send all exchanges one after the other, as one client with its cookies and connections."""
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        kept: dict[str, str] = {}
        return [_exchange_until(client, each, kept) for each in conversation]


def _exchange_until(client: httpx.Client, exchange: Exchange, kept: dict[str, str]) -> Answer:
    for _ in range(REPEATS):
        answer = _exchange(client, exchange, kept)
        if re.search(exchange.until, answer.body):
            break
    return answer


def _exchange(client: httpx.Client, exchange: Exchange, kept: dict[str, str]) -> Answer:
    def filled(text: Any) -> Any:
        for name, value in kept.items() if isinstance(text, str) else ():
            text = text.replace(f"{{{name}}}", value)
        return text

    content = filled(exchange.content)
    request = client.build_request(
        exchange.method,
        filled(exchange.path),
        headers={name: filled(value) for name, value in exchange.headers.items()},
        content=iter(content) if isinstance(content, (list, tuple)) else content,
        **exchange.form,
    )
    try:
        response = client.send(request, stream=True)
    except httpx.HTTPError as error:
        return Answer(0, "", [], "", type(error).__name__)
    try:
        answer = _read(response, exchange.lines)
    finally:
        response.close()
    text = "\n".join([*(f"{name}: {value}" for name, value in answer.fields), answer.body])
    for name, pattern in exchange.keeps.items():
        found = re.search(pattern, text)
        assert found, f"{exchange}: no {pattern!r} in {text}"
        kept[name] = found[1]
    replaced = {str(client.base_url.netloc.decode()): "<host>", **{value: f"<{name}>" for name, value in kept.items()}}

    def compared(text: str) -> str:
        for value, name in replaced.items():
            text = text.replace(value, name)
        for mask in exchange.masks:
            text = re.sub(mask, "<masked>", text)
        return text

    answer.fields = [(name, compared(value)) for name, value in answer.fields]
    answer.body = compared(answer.body)
    if len(answer.body) > SHOWN:
        answer.body = f"{len(answer.body)} characters, {hashlib.sha256(answer.body.encode()).hexdigest()}"
    return answer


def _read(response: httpx.Response, lines: int | None) -> Answer:
    fields = [(name.decode(), value.decode("latin-1")) for name, value in response.headers.raw]
    answer = Answer(response.status_code, response.reason_phrase, [each for each in fields if each[0] not in OWN], "")
    parts = []
    try:
        for part in _lines(response, lines) if lines else response.iter_bytes():
            parts.append(part)
    except httpx.HTTPError as error:
        answer.broken = type(error).__name__
    answer.body = b"".join(parts).decode("utf-8", "backslashreplace")
    return answer


def _lines(response: httpx.Response, count: int) -> Iterator[bytes]:
    for _, line in zip(range(count), response.iter_lines(), strict=False):
        yield line.encode() + b"\n"
