"""A minimal ASGI application: `pronghorn --app-dir examples hello:app`.

Then `curl localhost:8000/`, and `curl --data 'any bytes' localhost:8000/echo`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer `GET /` with text, `POST /echo` with the request body, and anything else with 404."""
    if scope["type"] != "http":
        raise ValueError(f"{scope['type']} is not served here")
    match scope["method"], scope["path"]:
        case "GET" | "HEAD", "/":
            await answer(send, 200, b"Hello from pronghorn\n", b"text/plain; charset=utf-8")
        case "POST", "/echo":
            await answer(send, 200, await read(receive), b"application/octet-stream")
        case _:
            await answer(send, 404, b"Not Found\n", b"text/plain; charset=utf-8")


async def read(receive: Callable[[], Awaitable[Message]]) -> bytes:
    """Return the whole request body."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client disconnected before the end of the body")
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


async def answer(send: Callable[[Message], Awaitable[None]], status: int, body: bytes, content_type: bytes) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
