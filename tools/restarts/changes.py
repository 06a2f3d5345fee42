"""Changes to a server that goes on serving: its workers are replaced, added, removed or killed, or all of it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tools.restarts.serving import Server

STOP = "stop"
"""No such change: the server stops, and another one takes its place."""

FINISHED = "Finished server process"
SERVES = r"\] serves"


class Change(NamedTuple):
    """A change: `make` it and wait until it is complete. `what` it is, in a few words. `prepare` writes the files that
    the server needs into its folder.

    `flags` are those that the server needs for it, and `prefix` the command that runs the server; `{folder}` in them is
    the server's. `processes` are the numbers of processes that can undergo it, and `clients` those that make sense, all
    if empty. `most` is the greatest number of times. `loses` is True if the requests in hand may be lost. `closes_idle`
    is True if idle connections are closed without notice. `errors` matches the errors that the log may have.
    """

    what: str
    make: Callable[[Server], Awaitable[None]]
    flags: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    processes: tuple[str, ...] = ("workers",)
    clients: tuple[str, ...] = ()
    most: int = 1000
    loses: bool = False
    closes_idle: bool = False
    errors: str = ""
    prepare: Callable[[Path], object] | None = None


async def restart(server: Server) -> None:
    finished = server.count(FINISHED)
    server.signal(signal.SIGHUP)
    await server.wait_for(FINISHED, finished + 2)


async def _add_and_remove(server: Server) -> None:
    serving, finished = server.count(SERVES), server.count(FINISHED)
    server.signal(signal.SIGTTIN)
    await server.wait_for(SERVES, serving + 1)
    server.signal(signal.SIGTTOU)
    await server.wait_for(FINISHED, finished + 1)


async def _upgrade(server: Server) -> None:
    await server.upgrade()


async def _reach_limit(server: Server) -> None:
    await server.wait_for(FINISHED, server.count(FINISHED) + 1)


async def _kill(server: Server) -> None:
    serving = server.count(SERVES)
    os.kill(server.workers()[0], signal.SIGKILL)
    await server.wait_for(SERVES, serving + 1)


async def _change_file(server: Server) -> None:
    serving, file = server.count(SERVES), server.folder / "watched.py"
    file.write_text(f"times = {serving}\n")
    await server.wait_for(SERVES, serving + 1)


CHANGES = {
    "restart": Change("SIGHUP replaces the workers", restart),
    "number": Change("SIGTTIN and SIGTTOU add a worker and remove one", _add_and_remove),
    "upgrade": Change("SIGUSR2 replaces the program", _upgrade, processes=("one", "workers")),
    "requests": Change("`--limit-max-requests 100`", _reach_limit, ("--limit-max-requests", "100")),
    "rss": Change("`--limit-max-rss 1`", _reach_limit, ("--limit-max-rss", "1")),
    "lifetime": Change(
        "`--limit-worker-lifetime 1`",
        _reach_limit,
        ("--limit-worker-lifetime", "1", "--limit-worker-lifetime-jitter", "1"),
    ),
    "reload": Change(
        "`--reload`, and a file changes",
        _change_file,
        ("--reload", "--reload-dir", "{folder}"),
        processes=("one",),
        closes_idle=True,
    ),
    "kill": Change("a worker is killed with SIGKILL", _kill, loses=True),
}
