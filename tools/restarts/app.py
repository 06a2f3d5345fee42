"""The application: an echo of bodies and of WebSocket messages; at `/parts`, in two parts with a short pause between.

After a request for `/deaf` its process ignores SIGTERM. Its startup waits as long as the file `hang` is in the folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from pronghorn.types import Receive, Scope, Send

FOLDER = "RESTARTS_FOLDER"
"""The environment variable with the folder of the trial."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _answer(scope["path"], receive, send)
    elif scope["type"] == "websocket":
        await _echo(receive, send)
    else:
        await _live(receive, send)


async def _answer(path: str, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    fields = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    if path == "/parts":
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await asyncio.sleep(0.01)
        body = body[1:]
    elif path == "/deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    await send({"type": "http.response.body", "body": body})


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        try:
            await send({"type": "websocket.send", "text": message["text"]})
        except OSError:
            print("ERROR:    a message was received, but its echo is refused", file=sys.stderr, flush=True)


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    while Path(os.environ[FOLDER], "hang").exists():  # noqa: ASYNC240 - there are no requests yet
        await asyncio.sleep(0.05)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
