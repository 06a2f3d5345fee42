"""Changes to a server that goes on serving: its workers are replaced, added, removed or killed, or all of it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tools.restarts.serving import Server

STOP = "stop"
"""No such change: the server stops, and another one takes its place."""

_FINISHED = "Finished server process"


class Change(NamedTuple):
    """A change: `make` it and wait until it is complete. `flags` are those that the server needs for it.

    `loses` is True if the requests in hand may be lost.
    """

    make: Callable[[Server], Awaitable[None]]
    flags: tuple[str, ...] = ()
    needs_workers: bool = True
    loses: bool = False


async def _restart(server: Server) -> None:
    finished = server.count(_FINISHED)
    server.signal(signal.SIGHUP)
    await server.wait_for(_FINISHED, finished + 2)


async def _add_and_remove(server: Server) -> None:
    serving, finished = server.count(r"\] serves"), server.count(_FINISHED)
    server.signal(signal.SIGTTIN)
    await server.wait_for(r"\] serves", serving + 1)
    server.signal(signal.SIGTTOU)
    await server.wait_for(_FINISHED, finished + 1)


async def _upgrade(server: Server) -> None:
    await server.upgrade()


async def _reach_limit(server: Server) -> None:
    await server.wait_for(_FINISHED, server.count(_FINISHED) + 1)


async def _kill(server: Server) -> None:
    serving = server.count(r"\] serves")
    os.kill(server.workers()[0], signal.SIGKILL)
    await server.wait_for(r"\] serves", serving + 1)


CHANGES = {
    "restart": Change(_restart),
    "number": Change(_add_and_remove),
    "upgrade": Change(_upgrade, needs_workers=False),
    "requests": Change(_reach_limit, ("--limit-max-requests", "100")),
    "rss": Change(_reach_limit, ("--limit-max-rss", "1")),
    "lifetime": Change(_reach_limit, ("--limit-worker-lifetime", "1", "--limit-worker-lifetime-jitter", "1")),
    "kill": Change(_kill, loses=True),
}
