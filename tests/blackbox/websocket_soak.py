"""Many WebSockets at once: idle sockets, broadcasts, mass disconnects, slow readers.

`python -m tests.blackbox.websocket_soak --sockets 10000 --members 1000 --messages 1000` measures them at full size;
test_websocket_load.py runs them at a small size. After each scenario the server answers and has no task left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import socket
import struct
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from tests.support.server import FORMS, Process, process

HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT_HELLO = b"\x81\x85\0\0\0\0hello"
ECHO_HELLO = b"\x81\x05hello"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
RESET = struct.pack("ii", 1, 0)
MIB = 1 << 20

# Concurrent handshakes, few enough for the backlog.
AT_ONCE = 200
PATIENCE = 60


class Client(asyncio.Protocol):
    """A WebSocket that counts the bytes after its handshake."""

    def __init__(self, reads: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self._reads = reads
        self.opened = loop.create_future()
        self.closed = loop.create_future()
        self.received = 0
        self._head: bytes | None = b""
        self._expected = 0
        self._enough: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if not self._reads:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = None
            if head.startswith(b"HTTP/1.1 101 "):
                self.opened.set_result(None)
                if not self._reads:
                    self.transport.pause_reading()
            else:
                self.opened.set_exception(ConnectionError(head[:80]))
        self.received += len(data)
        if self._enough is not None and self.received >= self._expected:
            self._enough.set_result(None)
            self._enough = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
        error = ConnectionError("the stream ended")
        for waited in (self.opened, self._enough):
            if waited is not None and not waited.done():
                waited.set_exception(error)

    async def wait_for(self, size: int) -> None:
        """Wait until `size` bytes have arrived after the handshake."""
        if self.received < size:
            self._expected = size
            self._enough = asyncio.get_running_loop().create_future()
            await self._enough


async def open_sockets(server: Process, target: str, count: int, reads: bool = True) -> list[Client]:
    """Open WebSockets. Without `reads` they read nothing after the handshake."""
    limit = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def open_one() -> Client:
        async with limit:
            _, client = await loop.create_connection(lambda: Client(reads), "127.0.0.1", server.port)
            client.transport.write(HANDSHAKE % target.encode())
            await client.opened
            return client

    return list(await asyncio.gather(*(open_one() for _ in range(count))))


async def ask(server: Process, target: str) -> Any:
    def get() -> Any:
        with urllib.request.urlopen(server.url + target, timeout=PATIENCE) as answer:
            return json.load(answer)

    return await asyncio.to_thread(get)


async def leave(clients: list[Client], how: str) -> None:
    """Disconnect all clients at once: with the closing handshake, with EOF, or with a reset."""
    for client in clients:
        if how == "close":
            client.transport.write(CLOSE)
        elif how == "end":
            client.transport.close()
        else:
            client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.transport.abort()
    await asyncio.gather(*(client.closed for client in clients))


async def settled(server: Process, tasks: int) -> None:
    """Wait until the server runs no more tasks than `tasks`."""
    deadline = time.monotonic() + PATIENCE
    while (now := (await ask(server, "/counts"))["tasks"]) > tasks:
        if time.monotonic() > deadline:
            raise AssertionError(f"{now - tasks} tasks are left")


@contextlib.asynccontextmanager
async def as_it_was(server: Process) -> AsyncIterator[int]:
    """Check that the server ends in its initial state; yield its memory at the start."""
    tasks = (await ask(server, "/counts"))["tasks"]
    yield server.memory()
    await settled(server, tasks)
    (client,) = await open_sockets(server, "/echo", 1)
    client.transport.write(TEXT_HELLO)
    await client.wait_for(len(ECHO_HELLO))
    await leave([client], "close")


async def idle(server: Process, sockets: int) -> dict[str, float]:
    """Idle sockets, then one message on each."""
    async with as_it_was(server) as before:
        start = time.perf_counter()
        clients = await open_sockets(server, "/echo", sockets)
        opened = time.perf_counter()
        weight = server.memory() - before
        for client in clients:
            client.transport.write(TEXT_HELLO)
        await asyncio.gather(*(client.wait_for(len(ECHO_HELLO)) for client in clients))
        echoed = time.perf_counter()
        await leave(clients, "close")
    return {
        "handshakes/s": sockets / (opened - start),
        "KiB/socket": weight / sockets / 1024,
        "seconds for one echo each": echoed - opened,
        "MiB left": (server.memory() - before) / MIB,
    }


async def broadcast(server: Process, members: int, messages: int, size: int = 64) -> dict[str, float]:
    """Messages from one request to all members of a room."""
    async with as_it_was(server) as before:
        clients = await open_sockets(server, "/room?name=soak", members)
        while await ask(server, "/members?name=soak") < members:
            pass
        expected = messages * (size + (2 if size < 126 else 4))
        start = time.perf_counter()
        waiting = asyncio.gather(*(client.wait_for(expected) for client in clients))
        told = await ask(server, f"/broadcast?name=soak&count={messages}&size={size}")
        await waiting
        seconds = time.perf_counter() - start
        assert told == {"failed": 0}
        assert {client.received for client in clients} == {expected}
        await leave(clients, "close")
    return {"messages/s": members * messages / seconds, "MiB left": (server.memory() - before) / MIB}


async def storm(server: Process, sockets: int, rounds: int = 2) -> dict[str, float]:
    """All clients disconnect at once, in each way, while messages are in transit."""
    closed = 0
    async with as_it_was(server) as before:
        start = time.perf_counter()
        for _ in range(rounds):
            for how in ("close", "end", "reset"):
                clients = await open_sockets(server, "/echo", sockets)
                for client in clients:
                    client.transport.write(TEXT_HELLO)
                await leave(clients, how)
                closed += sockets
        seconds = time.perf_counter() - start
    return {"opened and closed/s": closed / seconds, "MiB left": (server.memory() - before) / MIB}


async def storm_in_a_room(server: Process, members: int) -> dict[str, float]:
    """Half of a room's members reset their connections during a broadcast."""
    async with as_it_was(server) as before:
        clients = await open_sockets(server, "/room?name=storm", members)
        while await ask(server, "/members?name=storm") < members:
            pass
        telling = asyncio.create_task(ask(server, "/broadcast?name=storm&count=20&size=64"))
        leaving, staying = clients[::2], clients[1::2]
        await staying[0].wait_for(1)
        await leave(leaving, "reset")
        await telling
        await asyncio.gather(*(client.wait_for(20 * 66) for client in staying))
        await leave(staying, "close")
    return {"MiB left": (server.memory() - before) / MIB}


async def slow(server: Process, readers: int) -> dict[str, float]:
    """Clients that stop reading while the application sends endlessly, beside one that reads on."""
    async with as_it_was(server) as before:
        stuck = await open_sockets(server, "/flood?name=slow", readers, reads=False)
        (lively,) = await open_sockets(server, "/echo", 1)
        for turn in range(1, 101):
            lively.transport.write(TEXT_HELLO)
            await lively.wait_for(turn * len(ECHO_HELLO))
        weight = server.memory() - before
        await leave(stuck, "reset")
        await leave([lively], "close")
    return {"KiB/slow reader": weight / readers / 1024, "MiB left": (server.memory() - before) / MIB}


SCENARIOS: dict[str, Callable[[Process, argparse.Namespace], Coroutine[Any, Any, dict[str, float]]]] = {
    "idle": lambda server, asked: idle(server, asked.sockets),
    "broadcast": lambda server, asked: broadcast(server, asked.members, asked.messages),
    "storm": lambda server, asked: storm(server, asked.members),
    "storm in a room": lambda server, asked: storm_in_a_room(server, asked.members),
    "slow readers": lambda server, asked: slow(server, asked.slow),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.blackbox.websocket_soak", description=__doc__.split("\n")[0])
    parser.add_argument("--form", choices=list(FORMS), default="compiled")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    parser.add_argument("--sockets", type=int, default=1000, help="that are idle")
    parser.add_argument("--members", type=int, default=200, help="of a room, or of a storm")
    parser.add_argument("--messages", type=int, default=100, help="to a room")
    parser.add_argument("--slow", type=int, default=20, help="readers that do not read")
    parser.add_argument(
        "--rounds", type=int, default=2, help="of everything: what a second one leaves behind is a leak"
    )
    asked = parser.parse_args()
    allow_sockets()
    with process("websocket_app:app", *flags(asked.loop), form=asked.form) as server:
        for number in range(asked.rounds):
            for name, scenario in SCENARIOS.items():
                told = asyncio.run(asyncio.wait_for(scenario(server, asked), PATIENCE * 10))
                figures = ", ".join(f"{value:,.1f} {what}" for what, value in told.items())
                print(f"{number + 1} {name}: {figures}", flush=True)


def flags(loop: str) -> tuple[str, ...]:
    """The server's options: no pings, because these clients do not answer them."""
    return ("--loop", loop, "--no-access-log", "--ws-ping-interval", "0", "--backlog", "4096")


def allow_sockets() -> None:
    """Raise the limit of descriptors to its maximum, here and in the server."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
