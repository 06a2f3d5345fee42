"""Applications for several processes: each answers with its process id, and exits, grows or fails on request."""

import asyncio
import gc
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs

from saying import say

grown = []


async def serve(scope, receive, send):
    """Answer with the process id: /busy after some seconds of computing, /stream endlessly."""
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    match scope["path"]:
        case "/busy":
            say("busy")
            until = time.monotonic() + float(query["seconds"])
            while time.monotonic() < until:
                pass
        case "/wait":
            say("waiting")
            await asyncio.sleep(float(query["seconds"]))
        case "/grow":
            grown.append(b"x" * (int(query["mib"]) << 20))
        case "/exit":
            os._exit(int(query["code"]))
        case "/fork":
            child = os.fork()
            if not child:
                time.sleep(60)  # noqa: ASYNC251 - no loop runs in this process
                os._exit(0)
            say(f"forked {child}")
        case "/garble":
            for each in gc.get_objects():
                if isinstance(each, Connection):
                    os.write(each.fileno(), b"\0\0\0\5of")  # the length of a message, and a shorter message
        case "/close":
            asyncio.get_running_loop().call_later(0.1, os.closerange, 3, 1024)
        case "/stream":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            await asyncio.Event().wait()
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    """Start unless the file START contains `fail` or `hang`."""
    if scope["type"] != "lifespan":
        return await serve(scope, receive, send)
    await receive()
    start = Path(os.environ.get("START", os.devnull)).read_text()  # noqa: ASYNC240 - there are no requests yet
    if start == "hang":
        say("hanging")
        await asyncio.Event().wait()
    await send({"type": "lifespan.startup.failed" if start == "fail" else "lifespan.startup.complete"})
    await receive()
    return await send({"type": "lifespan.shutdown.complete"})


async def dies(scope, receive, send):
    """End the process as soon as it serves."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        asyncio.get_running_loop().call_later(0.1, os._exit, 7)
        await receive()
