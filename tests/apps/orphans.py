"""An application with child processes of its own, of which one leaves an orphan behind."""

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import time

from living import live


async def app(scope, receive, send):
    """Answer with the exit codes of all children, collected once the orphan is gone, and whether it is."""
    if scope["type"] == "lifespan":
        return await live(receive, send)
    first = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(7)"])  # noqa: ASYNC220 - it ends at once
    second = await asyncio.create_subprocess_exec("sh", "-c", "exit 9")
    third = multiprocessing.get_context("fork").Process(target=os._exit, args=(5,))
    third.start()
    fourth = os.fork()
    if not fourth:
        os._exit(3)
    leaver = await asyncio.create_subprocess_exec("sh", "-c", "(exit 1) & echo $!", stdout=subprocess.PIPE)
    orphan = int((await leaver.communicate())[0])
    found = {
        "orphan": await _end(orphan),
        "subprocess": first.wait(),
        "asyncio": await second.wait(),
        "fork": os.waitstatus_to_exitcode(os.waitpid(fourth, 0)[1]),  # noqa: ASYNC222 - it has ended
    }
    third.join()
    body = json.dumps({**found, "multiprocessing": third.exitcode}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    return await send({"type": "http.response.body", "body": body})


async def _end(pid):
    """Wait until nothing is left of a process."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not os.path.exists(f"/proc/{pid}"):  # noqa: ASYNC240 - no file of a disk
            return "gone"
        await asyncio.sleep(0.02)
    return "left"
