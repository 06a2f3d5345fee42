"""One setup: load from the first request to the last, with changes in between."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tools.restarts import changes, clients
from tools.restarts.changes import CHANGES
from tools.restarts.clients import CLIENTS, Connection, Tally
from tools.restarts.serving import Failed, Server, free_port, proxied
from tools.web_servers import program

PROCESSES = ("one", "workers")
PLACES = ("fd", "port")
WAYS = ("direct", "haproxy", "nginx")

# Seconds for all of one setup.
_LONGEST = 1800


class Setup(NamedTuple):
    """The processes of the server, the place where it listens, the way to it, and the change that it undergoes.

    With `stop` and `fd`, the next server starts on the same socket before the last one ends; with `port`, after it.
    """

    processes: str
    place: str
    way: str
    change: str = changes.STOP

    def is_possible(self) -> bool:
        """Return whether the change applies, and no request has to fail because of the way.

        Between two servers on one port, a proxy answers 502 or 503.
        """
        if self.change != changes.STOP:
            return self.processes == "workers" or not CHANGES[self.change].needs_workers
        return self.place == "fd" or self.way == "direct"

    def may_lose(self, times: int) -> int:
        """The number of requests that may be lost in `times` changes: at most one for each client and change."""
        loses = self.change != changes.STOP and CHANGES[self.change].loses
        return times * sum(count for _, count in CLIENTS) if loses else 0


def lacks(setup: Setup) -> str | None:
    """The reason why `setup` cannot run here; None if it can."""
    return None if setup.way == "direct" or program(setup.way) else f"{setup.way} is not installed"


async def run(setup: Setup, requests: int, times: int, flags: list[str]) -> Tally:
    """Change the server of `setup` `times` times, during at least `requests` requests. Raises Failed."""
    tally = Tally()
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as sock, tempfile.TemporaryDirectory() as folder:
        place = sock if setup.place == "fd" else free_port()
        port = sock.getsockname()[1] if isinstance(place, socket.socket) else place
        try:
            async with asyncio.timeout(_LONGEST), proxied(setup.way, port, Path(folder)) as asked:
                await _load(setup, requests, times, flags, tally, place, asked)
        except TimeoutError:
            raise Failed(f"it took more than {_LONGEST} seconds") from None
    return tally


async def _load(
    setup: Setup, requests: int, times: int, flags: list[str], tally: Tally, place: socket.socket | int, port: int
) -> None:
    def launch() -> Server:
        return Server(2 if setup.processes == "workers" else 1, place, flags)

    change: Callable[[Server], Awaitable[Server]] = partial(_replace, launch, setup.place == "fd")
    if setup.change != changes.STOP:
        flags = [*CHANGES[setup.change].flags, *flags]
        change = partial(_change, setup.change)
    tls = clients.trusting() if "--ssl-certfile" in flags else None
    enough = asyncio.Event()
    server = launch()
    tasks: list[asyncio.Task[None]] = []
    try:
        await server.start()
        for client in [client for client, count in CLIENTS for _ in range(count)]:
            connection = Connection(port, tls, tally)
            tasks.append(asyncio.create_task(clients.run(client, len(tasks), connection, tally, enough)))
        for number in range(1, times + 1):
            await _until(tally, requests * number // (times + 1))
            server = await change(server)
        await _until(tally, requests)
        enough.set()
        await asyncio.gather(*tasks)
        await server.stop()
    finally:
        enough.set()
        await server.end()
        await asyncio.gather(*tasks)


async def _until(tally: Tally, answered: int) -> None:
    while tally.answered.total() < answered:
        await asyncio.sleep(0.05)


async def _change(name: str, server: Server) -> Server:
    await CHANGES[name].make(server)
    return server


async def _replace(launch: Callable[[], Server], shared: bool, old: Server) -> Server:
    """Start another server in place of `old`: before that stops if the socket is shared, after it otherwise."""
    new = launch()
    try:
        if shared:
            await new.start()
            await old.stop()
        else:
            await old.stop()
            await new.start()
    except BaseException:
        await new.end()
        raise
    finally:
        await old.end()
    return new
