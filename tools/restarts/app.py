"""The application: an echo; at `/parts`, in two parts with a short pause between them."""

from __future__ import annotations

import asyncio

from pronghorn.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    fields = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    if scope["path"] == "/parts":
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await asyncio.sleep(0.01)
        body = body[1:]
    await send({"type": "http.response.body", "body": body})
