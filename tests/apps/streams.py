"""Answers with the kinds of the process's standard descriptors and streams."""

import os
import stat
import sys


def kind(descriptor):
    status = os.fstat(descriptor)
    null = os.stat(os.devnull)
    return "null" if stat.S_ISCHR(status.st_mode) and status.st_rdev == null.st_rdev else "another"


async def app(scope, receive, send):
    assert scope["type"] == "http"
    print("to be written somewhere", flush=True)
    found = [f"{kind(number)} {stream.fileno()}" for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr))]
    body = ", ".join(found).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
