"""An application with troubles. Each path has one."""

import asyncio
import contextlib
import json
import logging
import time


def block(seconds):
    time.sleep(seconds)


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        raise ZeroDivisionError
    if scope["type"] == "lifespan":
        return
    match scope["path"]:
        case "/block":
            block(float(scope["query_string"]))
        case "/sleep":
            await asyncio.sleep(float(scope["query_string"]))
        case "/read":
            while (await receive()).get("more_body"):
                pass
        case "/fail":
            raise ZeroDivisionError
        case "/fail/child":
            task = asyncio.create_task(complain())
            with contextlib.suppress(asyncio.CancelledError):
                await task
    content = json.dumps(scope["state"]).encode()
    head = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": content})


async def complain():
    logging.getLogger("pronghorn.error").error("a complaint")
