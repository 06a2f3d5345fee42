"""The application: answers with its process ID. With BALANCE_LOAD, its event loop is busy half of the time."""

from __future__ import annotations

import asyncio
import os
import time

from pronghorn.types import Receive, Scope, Send

# Seconds for which the event loop is busy, and then idle.
_BUSY = 0.002


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    body = b"%d" % os.getpid()
    fields = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    load = asyncio.create_task(_load()) if os.environ.get("BALANCE_LOAD") else None
    await send({"type": "lifespan.startup.complete"})
    await receive()
    if load is not None:
        load.cancel()
    await send({"type": "lifespan.shutdown.complete"})


async def _load() -> None:
    while True:
        end = time.monotonic() + _BUSY
        while time.monotonic() < end:
            pass
        await asyncio.sleep(_BUSY)
