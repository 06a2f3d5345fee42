"""The application behind a front end: it records each request, and answers with the number of the record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass
class Seen:
    """A request as the application got it.

    The method of a WebSocket is empty: it depends on the version of HTTP, and the application does not see it.
    """

    connection: tuple[str, int]
    method: str
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]


class Recorder:
    """An ASGI application. The field `seen` of a response is the index of its request in `requests`,
    `seen-method` its method.

    With `answers_first`, it responds before it reads the body, as an application does that refuses a request.
    """

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.answers_first = False
        self._running: set[int] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        seen = Seen(scope["client"], scope.get("method", ""), target, scope["headers"])
        number = len(self.requests)
        self.requests.append(seen)
        self._running.add(number)
        try:
            if scope["type"] == "websocket":
                await _greet(receive, send, number)
            elif self.answers_first:
                await _answer(send, number, seen.method)
                await _read(seen, receive)
            else:
                await _read(seen, receive)
                await _answer(send, number, seen.method)
        finally:
            self._running.discard(number)

    def wait_until_idle(self, first: int, patience: float) -> bool:
        """Wait until no request from number `first` on is under way. Return whether that happened in time."""
        end = time.monotonic() + patience
        while any(number >= first for number in list(self._running)):
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True


async def _read(seen: Seen, receive: Any) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        seen.body += message["body"]
        if not message.get("more_body", False):
            return


async def _answer(send: Any, number: int, method: str) -> None:
    body = b"seen %d" % number
    headers = [(b"seen", b"%d" % number), (b"seen-method", method.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _greet(receive: Any, send: Any, number: int) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"seen", b"%d" % number)]})
    await receive()
