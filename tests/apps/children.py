"""/daemon and /other fork a child that never ends; /killed?15 reports the exit code of a child after that signal."""

import multiprocessing
import os
import time

from living import live

context = multiprocessing.get_context("fork")


def stay(up):
    up.send_bytes(b"up")
    while True:
        time.sleep(0.1)  # signal.pause() would miss a signal just before it


def launch(daemon):
    ours, theirs = context.Pipe()
    child = context.Process(target=stay, args=(theirs,), daemon=daemon)
    child.start()
    theirs.close()  # a dying child then ends the wait
    ours.recv_bytes()
    return child


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await live(receive, send)
    child = launch(scope["path"] != "/other")
    body = str(child.pid)
    if scope["path"] == "/killed":
        os.kill(child.pid, int(scope["query_string"]))
        child.join(10)
        body = str(child.exitcode)
        child.kill()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    return await send({"type": "http.response.body", "body": body.encode()})
