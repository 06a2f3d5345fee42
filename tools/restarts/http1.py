"""Clients of HTTP/1.1 that send requests until they are stopped, and record the outcome of each.

They retry only refused connections: any other request may have reached the application. If the peer closes idle
connections without notice, they also send again what a used connection ended on before the answer began, as browsers
and pools of connections do (RFC 9112 section 9.3.1).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tools.restarts.clients import PATIENCE, PAUSES, Lost, Peer, Tally, Unprocessed, connect

# Seconds after which an unused connection is replaced, as pools of connections do: less than a server keeps it open.
_FRESH = 0.4

# Seconds between the halves of a head: less and more than a server keeps idle connections open.
_HALVES = (0.05, 0.3, 0.8, 1.5)


class Connection:
    """A connection that `is_open` until a response announces its close."""

    def __init__(self, peer: Peer, tally: Tally) -> None:
        self.is_open = False
        self._peer = peer
        self._tally = tally
        self._used = 0.0
        self._was_used = False
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self, enough: asyncio.Event) -> bool:
        """Connect unless connected lately; return False if `enough` is set before that. Raises Lost."""
        if self.is_open and not self._has_ended() and time.monotonic() - self._used <= _FRESH:
            return True
        self.close()
        streams = await connect(self._peer, self._tally, enough)
        if streams is None:
            return False
        self._reader, self._writer = streams
        self.is_open = True
        self._was_used = False
        return True

    async def ask(self, target: str, body: bytes, *, last: bool = False, pause: float = 0.0) -> None:
        """Send a request, with a `pause` in the middle of its head, and read the response. Raises Lost, Unprocessed."""
        fields = "connection: close\r\n" if last else ""
        head = f"POST {target} HTTP/1.1\r\nhost: restarts\r\ncontent-length: {len(body)}\r\n{fields}\r\n".encode()
        may_be_closed = self._peer.closes_idle and self._was_used
        try:
            if pause:
                self._writer.write(head[:20])
                head = head[20:]
                await asyncio.sleep(pause)
            self._writer.write(head + body)
            head = await self._reader.readuntil(b"\r\n\r\n")
            may_be_closed = False
            await self._read(head.lower(), body, last)
            self._used = time.monotonic()
            self._was_used = True
        except asyncio.IncompleteReadError as error:
            if may_be_closed and not error.partial:
                raise Unprocessed from None
            raise Lost("end of the stream within an answer" if error.partial else "end of the stream") from None
        except OSError as error:
            if may_be_closed:
                raise Unprocessed from None
            raise Lost(error.strerror or type(error).__name__) from None

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._writer.close()

    def _has_ended(self) -> bool:
        """Return whether the end of the connection is known, before a request is sent on it."""
        return self._reader.at_eof() or self._reader.exception() is not None

    async def _read(self, head: bytes, body: bytes, last: bool) -> None:
        status = head.split(b" ", 2)[1].decode()
        if status != "200":
            raise Lost(f"status {status}")
        if await self._reader.readexactly(len(body)) != body:
            raise Lost("another answer")
        is_end = b"\r\nconnection: close\r\n" in head
        if last and await self._reader.read(1):
            raise Lost("more than an answer")
        if is_end or last:
            self.close()


Client = Callable[[Connection, random.Random, bytes], Awaitable[None]]


async def kept(connection: Connection, chance: random.Random, body: bytes) -> None:
    """Send requests on one connection, with and without pauses."""
    await connection.ask("/", body)
    await asyncio.sleep(chance.choice(PAUSES))


async def short(connection: Connection, chance: random.Random, body: bytes) -> None:
    """Send each request on a new connection."""
    await connection.ask("/", body, last=True)


async def halved(connection: Connection, chance: random.Random, body: bytes) -> None:
    """Send requests on one connection, with their heads in halves."""
    await connection.ask("/", body, pause=chance.choice(_HALVES))


async def parts(connection: Connection, chance: random.Random, body: bytes) -> None:
    """Read responses in parts on one connection; some begin before a stop and end after it."""
    await connection.ask("/parts", body)


CLIENTS: tuple[tuple[Client, int], ...] = ((kept, 16), (short, 8), (halved, 8), (parts, 4))

IN_HAND = sum(count for _, count in CLIENTS)
"""The requests that all clients together wait for, at most."""


def load(peer: Peer, tally: Tally, enough: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
    """The clients, each of them to run as a task."""
    clients = [client for client, count in CLIENTS for _ in range(count)]
    return [run(client, number, Connection(peer, tally), tally, enough) for number, client in enumerate(clients)]


async def run(client: Client, number: int, connection: Connection, tally: Tally, enough: asyncio.Event) -> None:
    """Send requests until `enough` is set."""
    chance = random.Random(number)
    name = getattr(client, "__name__", "")
    count = 0
    try:
        while not enough.is_set():
            count += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    if not await _send(client, connection, chance, b"%d-%d" % (number, count), tally, enough):
                        break
                tally.answered[name] += 1
            except (Lost, TimeoutError) as error:
                tally.lost[f"{name}: {str(error) or 'no answer in time'}"] += 1
                connection.close()
    finally:
        connection.close()


async def _send(
    client: Client, connection: Connection, chance: random.Random, body: bytes, tally: Tally, enough: asyncio.Event
) -> bool:
    """Send one request until it is answered; return False if `enough` is set before that. Raises Lost."""
    while await connection.open(enough):
        try:
            await client(connection, chance, body)
        except Unprocessed:
            tally.resent += 1
            connection.close()
        else:
            return True
    return False
