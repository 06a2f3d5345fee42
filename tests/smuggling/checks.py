"""Checks of the requests that the application saw, against the front end's marks, and of a client's answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.smuggling.front_ends import MARK, SECRET
from tests.smuggling.recorder import Seen

_SECRET = SECRET.encode()
# Of a WebSocket, in HTTP/1.1 and in HTTP/2. The front end may translate one to the other.
_UPGRADES = b"GET", b"CONNECT"

# By program: targets that it rewrites (pattern, replacement). No request begins or ends elsewhere because of them.
_REWRITES = {
    "haproxy": (
        # It keeps the "*" of HTTP/2 in this form, for OPTIONS, and passes on "*" again (RFC 9112 section 3.2.4).
        (rb"^http://[^/?]*$", b"*"),
    ),
    "apache2": (
        # ProxyPass takes several slashes at the beginning for one,
        (rb"^//+", b"/"),
        # and if there are dot segments behind them, passes on the path in its normal form.
        (rb"^//+[^/]+/\.\./", b"/"),
        # It reads a target as a URI, which may have a scheme without a host, a fragment, or an empty path.
        (rb"^http:(?=/[^/])", b""),
        (rb"^(http://[^#]*)#.*", rb"\1"),
        (rb"^(?=\?)", b"/"),
    ),
}


class Answer(NamedTuple):
    """A final response: its status, and the number of the request that the application saw, or None.

    If a stream or connection of HTTP/2 is reset instead, the status is the name of the error code.
    """

    status: int | str
    number: int | None


class Mark(NamedTuple):
    """A request as the front end has read it."""

    identifier: bytes
    host: bytes
    line: bytes

    @property
    def method(self) -> bytes:
        return self._words[0]

    @property
    def target(self) -> bytes:
        return self._words[1]

    @property
    def _words(self) -> list[bytes]:
        return [*self.line.split(), b"", b""]


class Marks:
    """The marks of a front end, each for a request that it has passed on once."""

    def __init__(self, program: str) -> None:
        self._rewrites = _REWRITES.get(program, ())
        self._known: set[tuple[bytes, tuple[str, int]]] = set()

    def check(self, seen: list[Seen]) -> Iterator[str]:
        """The faults of requests: the front end has not passed them on, or not like this."""
        for each in seen:
            if _SECRET in each.body:
                yield f"the body of {each.target!r} has another request's head"
            mark = _mark(each)
            if mark is None:
                yield f"{each.method} {each.target!r} was no request for the front end"
                continue
            if (mark.identifier, each.connection) in self._known:
                yield f"{each.target!r} was seen twice"
            self._known.add((mark.identifier, each.connection))
            methods = (each.method.encode(),) if each.method else _UPGRADES
            if mark.method not in methods or each.target not in self._targets(mark):
                yield f"{each.method} {each.target!r} was {mark.line!r} for the front end"

    def _targets(self, mark: Mark) -> set[bytes]:
        """The targets that the application may see."""
        rewritten = [re.sub(pattern, replacement, mark.target) for pattern, replacement in self._rewrites]
        return {_shown(target) for target in (mark.target, *rewritten)}


def changes(seen: list[Seen]) -> Iterator[str]:
    """The changes of the front end in requests that it has passed on."""
    marks = [_mark(each) for each in seen]
    identifiers = [mark.identifier for mark in marks if mark is not None]
    for each, mark in zip(seen, marks, strict=True):
        if mark is None:
            continue
        if identifiers.count(mark.identifier) > 1:
            yield "sends the request again, over another connection"
        hosts = [value.lower() for value in each.values(b"host")]
        if mark.host and [mark.host.lower()] != hosts:
            yield f"the host {mark.host!a} becomes {b' '.join(hosts)!a}"
        if each.target != _shown(mark.target):
            yield f"the target {mark.target!a} becomes {each.target!a}"


def check_answers(answers: list[Answer], first: int, count: int, over_http2: bool) -> Iterator[str]:
    """The faults of a client's answers: the application saw `count` requests of it, from number `first` on."""
    numbers = [answer.number for answer in answers if answer.number is not None]
    if not set(numbers) <= set(range(first, first + count)):
        yield f"the client got answers to {numbers}, and sent {first} to {first + count - 1}"
    if len(set(numbers)) != len(numbers):
        yield f"the client got an answer twice: {numbers}"
    if numbers and not over_http2 and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        yield f"the client got answers to {numbers}, in this order"


def _mark(seen: Seen) -> Mark | None:
    """The mark of a request; None if it does not have exactly one."""
    values = seen.values(MARK)
    if len(values) != 1:
        return None
    secret, *parts = values[0].split(b" ", 3)
    return Mark(*parts) if secret == _SECRET and len(parts) == 3 else None


def _shown(target: bytes) -> bytes:
    """The target as the application sees it: without a scheme and host (RFC 9112 section 3.2.2), or an empty query."""
    path = re.sub(rb"^[a-zA-Z]+://[^/?]*", b"", target)
    if path != target and not path.startswith(b"/"):
        path = b"/" + path
    path, _, query = path.partition(b"?")
    return path + b"?" + query if query else path
