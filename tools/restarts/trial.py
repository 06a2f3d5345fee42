"""One setup: load from the first request to the last, with changes in between."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from tools.restarts import changes, clients
from tools.restarts.changes import Change
from tools.restarts.clients import Peer, Tally
from tools.restarts.faults import FAULTS, lacks_for
from tools.restarts.serving import Failed, Server, free_port, proxied
from tools.web_servers import program

CHANGES: dict[str, Change] = {**changes.CHANGES, **FAULTS}

PROCESSES = ("one", "workers")
PLACES = ("fd", "port")
WAYS = ("direct", "haproxy", "nginx")
CLIENTS = ("http1", "http2", "websocket")
"""Modules with `load`, the coroutines of the clients, and `IN_HAND`, the requests that they wait for at most."""

_LIBRARIES = {"http2": "h2", "websocket": "websockets"}

# Seconds for all of one setup.
_LONGEST = 3600


class Setup(NamedTuple):
    """The processes of the server, the place where it listens, the way to it, the change, and the protocol of clients.

    With `stop` and `fd`, the next server starts on the same socket before the last one ends; with `port`, after it.
    """

    processes: str
    place: str
    way: str
    change: str = changes.STOP
    client: str = "http1"

    def is_possible(self) -> bool:
        """Return whether the change applies, and no request has to fail because of the way.

        Between two servers on one port, a proxy answers 502 or 503. The proxies speak HTTP/1.1.
        """
        if self.client != "http1" and self.way != "direct":
            return False
        if (change := CHANGES.get(self.change)) is not None:
            return self.processes in change.processes and self.client in (change.clients or CLIENTS)
        return self.place == "fd" or self.way == "direct"

    def times(self, asked: int) -> int:
        """The number of changes."""
        change = CHANGES.get(self.change)
        return asked if change is None else min(asked, change.most)

    def may_lose(self, times: int) -> int:
        """The number of requests that may be lost in `times` changes: at most those in hand, each time."""
        change = CHANGES.get(self.change)
        return times * int(_module(self.client).IN_HAND) if change is not None and change.loses else 0


def lacks(setup: Setup) -> str | None:
    """The reason why `setup` cannot run here; None if it can."""
    if setup.way != "direct" and not program(setup.way):
        return f"{setup.way} is not installed"
    if (library := _LIBRARIES.get(setup.client)) and find_spec(library) is None:
        return f"{library} is not installed"
    return lacks_for(setup.change)


async def run(setup: Setup, requests: int, times: int, flags: list[str]) -> Tally:
    """Change the server of `setup` `times` times, during at least `requests` requests. Raises Failed."""
    tally = Tally()
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as sock, tempfile.TemporaryDirectory() as folder:
        place = sock if setup.place == "fd" else free_port()
        port = sock.getsockname()[1] if isinstance(place, socket.socket) else place
        try:
            async with asyncio.timeout(_LONGEST), proxied(setup.way, port, Path(folder)) as asked:
                launch = _launcher(setup, place, flags, Path(folder))
                await _load(setup, requests, times, launch, _peer(setup, asked, flags), tally)
        except TimeoutError:
            raise Failed(f"it took more than {_LONGEST} seconds") from None
    return tally


def _module(client: str) -> Any:
    return import_module(f"tools.restarts.{client}")  # needs a library that not everybody has


def _launcher(setup: Setup, place: socket.socket | int, flags: list[str], folder: Path) -> Callable[[], Server]:
    """A function that makes a server, which is to be started."""
    change = CHANGES.get(setup.change)
    if setup.client == "http2":
        flags = ["--http2", *flags]
    make = partial(Server, 2 if setup.processes == "workers" else 1, place)
    if change is None:
        return partial(make, flags, folder)
    if change.prepare is not None:
        change.prepare(folder)
    flags = [each.replace("{folder}", str(folder)) for each in (*change.flags, *flags)]
    prefix = [each.replace("{folder}", str(folder)) for each in change.prefix]
    return partial(make, flags, folder, prefix=prefix, errors=change.errors)


def _peer(setup: Setup, port: int, flags: list[str]) -> Peer:
    change = CHANGES.get(setup.change)
    protocols = ("h2",) if setup.client == "http2" else ()
    all_flags = flags if change is None else [*change.flags, *flags]
    tls = clients.trusting(*protocols) if "--ssl-certfile" in all_flags else None
    return Peer(port, tls, closes_idle=change is not None and change.closes_idle)


async def _load(
    setup: Setup, requests: int, times: int, launch: Callable[[], Server], peer: Peer, tally: Tally
) -> None:
    change = CHANGES.get(setup.change)
    make = partial(_replace, launch, setup.place == "fd") if change is None else partial(_change, change)
    enough = asyncio.Event()
    server = launch()
    tasks: list[asyncio.Task[None]] = []
    try:
        await server.start()
        tasks += map(asyncio.create_task, _module(setup.client).load(peer, tally, enough))
        for number in range(1, times + 1):
            await _until(tally, requests * number // (times + 1))
            began = time.monotonic()
            server = await make(server)
            tally.seconds.append(time.monotonic() - began)
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


async def _change(change: Change, server: Server) -> Server:
    await change.make(server)
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
