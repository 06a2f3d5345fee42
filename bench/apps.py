"""The plain ASGI applications: they do as little as the protocol allows, so that the figures are the server's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CHUNK = b"x" * 65536
CHUNKS = 64

sockets: set[Send] = set()


async def plain(scope: Message, receive: Receive, send: Send) -> None:
    """Answer 13 bytes."""
    only("http", scope)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"13")],
        }
    )
    await send({"type": "http.response.body", "body": b"Hello, world!"})


async def sleep(scope: Message, receive: Receive, send: Send) -> None:
    """Wait 1 ms, as for a database, then answer as `plain` does."""
    only("http", scope)
    await asyncio.sleep(0.001)
    await plain(scope, receive, send)


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Answer the body that was sent."""
    only("http", scope)
    await answer(send, b"".join(await body_parts(receive)))


async def length(scope: Message, receive: Receive, send: Send) -> None:
    """Read the whole body, answer its length in decimal."""
    only("http", scope)
    await answer(send, b"%d" % sum(map(len, await body_parts(receive))))


async def stream(scope: Message, receive: Receive, send: Send) -> None:
    """Answer 4 MiB in chunks of 64 KiB, without a content-length."""
    only("http", scope)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/octet-stream")]}
    )
    for left in range(CHUNKS - 1, -1, -1):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": left > 0})


async def websocket_echo(scope: Message, receive: Receive, send: Send) -> None:
    """Send every message back."""
    only("websocket", scope)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def websocket_broadcast(scope: Message, receive: Receive, send: Send) -> None:
    """Send every text message to all sockets."""
    only("websocket", scope)
    await receive()
    # Before the answer: the message that follows it is for this socket too.
    sockets.add(send)
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        sent = {"type": "websocket.send", "text": message["text"]}
        for each in tuple(sockets):
            await each(sent)
    sockets.remove(send)


def only(kind: str, scope: Message) -> None:
    """Refuse another kind of scope, also a lifespan, which the servers take as "not supported"."""
    if scope["type"] != kind:
        raise NotImplementedError(scope["type"])


async def body_parts(receive: Receive) -> list[bytes]:
    """Every part of the request's body."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts


async def answer(send: Send, body: bytes) -> None:
    """Send a 200 with `body` and its length."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
