"""Applications for worker threads: each answers with the number of its thread, and blocks or fails on request."""

import asyncio
import itertools
import os
import sys
import threading
import time
from pathlib import Path

sys.stderr.write("imported\n")

made = itertools.count(1)


async def serve(scope, receive, send):
    """Answer with the number of the thread, and with the body at /echo."""
    body = str(threading.get_native_id()).encode()
    match scope["path"]:
        case "/echo":
            body = b""
            more = True
            while more:
                message = await receive()
                body += message["body"]
                more = message["more_body"]
        case "/lifespan":
            body = str(scope["state"]["thread"]).encode()
        case "/wait":
            sys.stderr.write("waiting\n")
            await asyncio.sleep(1)
        case "/block":
            sys.stderr.write("blocking\n")
            time.sleep(600)  # noqa: ASYNC251 - on purpose
        case "/block-pool":
            sys.stderr.write("blocking\n")
            await asyncio.to_thread(time.sleep, 600)
        case "/raise":
            asyncio.get_running_loop().call_soon(sys.exit, 9)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    """Start unless the file START contains `fail`."""
    if scope["type"] != "lifespan":
        return await serve(scope, receive, send)
    await receive()
    if Path(os.environ.get("START", os.devnull)).read_text() == "fail":  # noqa: ASYNC240 - there are no requests yet
        return await send({"type": "lifespan.startup.failed"})
    scope["state"]["thread"] = threading.get_native_id()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    return await send({"type": "lifespan.shutdown.complete"})


def make():
    """Return an application that answers with its own number."""
    number = next(made)

    async def numbered(scope, receive, send):
        assert scope["type"] == "http"
        body = str(number).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    return numbered
