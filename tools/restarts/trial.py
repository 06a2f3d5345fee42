"""One setup: load from the first request to the last, with stops in between."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from pathlib import Path
from typing import NamedTuple

from tools.restarts import clients
from tools.restarts.clients import CLIENTS, Connection, Tally
from tools.restarts.serving import Failed, Server, free_port, proxied
from tools.web_servers import program

PROCESSES = ("one", "workers")
PLACES = ("fd", "port")
WAYS = ("direct", "haproxy", "nginx")

# Seconds for all of one setup.
_LONGEST = 1800


class Setup(NamedTuple):
    """The processes of the server, the place where it listens, and the way to it.

    With `fd`, the next server starts on the same socket before the last one ends; with `port`, after it.
    """

    processes: str
    place: str
    way: str

    def is_possible(self) -> bool:
        """Return whether no request has to fail. Between two servers on one port, a proxy answers 502 or 503."""
        return self.place == "fd" or self.way == "direct"


def lacks(setup: Setup) -> str | None:
    """The reason why `setup` cannot run here; None if it can."""
    return None if setup.way == "direct" or program(setup.way) else f"{setup.way} is not installed"


async def run(setup: Setup, requests: int, stops: int, flags: list[str]) -> Tally:
    """Stop the server of `setup` `stops` times, during at least `requests` requests. Raises Failed."""
    tally = Tally()
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as sock, tempfile.TemporaryDirectory() as folder:
        place = sock if setup.place == "fd" else free_port()
        port = sock.getsockname()[1] if isinstance(place, socket.socket) else place
        try:
            async with asyncio.timeout(_LONGEST), proxied(setup.way, port, Path(folder)) as asked:
                await _load(setup, requests, stops, flags, tally, place, asked)
        except TimeoutError:
            raise Failed(f"it took more than {_LONGEST} seconds") from None
    return tally


async def _load(
    setup: Setup, requests: int, stops: int, flags: list[str], tally: Tally, place: socket.socket | int, port: int
) -> None:
    def launch() -> Server:
        return Server(2 if setup.processes == "workers" else 1, place, flags)

    tls = clients.trusting() if "--ssl-certfile" in flags else None
    enough = asyncio.Event()
    server = launch()
    tasks: list[asyncio.Task[None]] = []
    try:
        await server.start()
        for client in [client for client, count in CLIENTS for _ in range(count)]:
            connection = Connection(port, tls, tally)
            tasks.append(asyncio.create_task(clients.run(client, len(tasks), connection, tally, enough)))
        for stopped in range(1, stops + 1):
            await _until(tally, requests * stopped // (stops + 1))
            old, server = server, launch()
            await _replace(old, server, setup.place == "fd")
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


async def _replace(old: Server, new: Server, shared: bool) -> None:
    try:
        if shared:
            await new.start()
            await old.stop()
        else:
            await old.stop()
            await new.start()
    finally:
        await old.end()
