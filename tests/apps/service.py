"""Applications of a system service: they answer with facts about their process, or handle signals themselves."""

import json
import logging
import os
import signal
import sys
import time

from living import live
from saying import say

LOADED_AS = None if sys.platform == "win32" else (os.getuid(), os.getgid())


def facts():
    mask = os.umask(0)
    os.umask(mask)
    return {
        "pid": os.getpid(),
        "loaded_as": LOADED_AS,
        "umask": mask,
        "notify": "NOTIFY_SOCKET" in os.environ,
    }


async def app(scope, receive, send):
    """Answer with facts; /block blocks the event loop, /log logs a line."""
    if scope["type"] == "lifespan":
        return await live(receive, send)
    match scope["path"]:
        case "/block":
            time.sleep(60)  # noqa: ASYNC251 - as an application does that hangs
        case "/log":
            logging.getLogger("service").warning("a line")
    body = json.dumps(facts()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    return await send({"type": "http.response.body", "body": body})


def _say(number, frame):
    say(f"application got {signal.Signals(number).name}")


async def handles(scope, receive, send):
    """Handle SIGHUP and SIGUSR1, installed in the lifespan."""
    if scope["type"] == "lifespan":
        signal.signal(signal.SIGHUP, _say)
        signal.signal(signal.SIGUSR1, _say)
    await app(scope, receive, send)
