"""Each request logs a long line to the error log and is answered with the process id."""

import logging
import os

LINE = "e" * 8000


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("only HTTP is served here")
    if scope["path"].startswith("/l"):
        logging.getLogger("pronghorn.error").error(LINE)
    body = b"%d" % os.getpid()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
