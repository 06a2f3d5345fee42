"""An application and workers for tests of gunicorn's signals, limits and settings."""

import asyncio
import json
import os
import time

from behind_proxy import seen

from pronghorn.gunicorn import Worker


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await asyncio.sleep(float(os.environ.get("STARTS_FOR", "0")))
        if "FAILS" in os.environ:
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("the application has ended", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/block":
        print("blocking", flush=True)
        time.sleep(60)  # noqa: ASYNC251
    if scope["path"] == "/wait":
        print("waiting", flush=True)
        await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/endless":
        while True:
            await send({"type": "http.response.body", "body": b".", "more_body": True})
            await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": json.dumps([os.getpid(), json.loads(seen(scope))]).encode()})


class Bounded(Worker):
    """A worker with parameters that gunicorn has no settings for."""

    CONFIG_KWARGS = {"limit_body_size": 3, "forwarded_headers": "forwarded"}  # noqa: RUF012


class Wrong(Worker):
    CONFIG_KWARGS = {"timeout_head": "soon"}  # noqa: RUF012
