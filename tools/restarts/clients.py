"""Clients that send requests until they are stopped, and record the outcome of each.

They retry only refused connections: any other request may have reached the application.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# Seconds for one response, including the connection.
PATIENCE = 30

# Seconds until a refused client tries again.
_RETRY = 0.02

# Seconds between two requests of one client: less than a server keeps idle connections open at shutdown.
_PAUSES = (0.0, 0.0, 0.0, 0.005, 0.02, 0.1, 0.2)

# Seconds after which an unused connection is replaced, as pools of connections do: less than a server keeps it open.
_FRESH = 0.4

# Seconds between the halves of a head: less and more than a server keeps idle connections open.
_HALVES = (0.05, 0.3, 0.8, 1.5)


@dataclass
class Tally:
    """The outcomes of requests. `lost` counts those without a complete response, by reason."""

    answered: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    lost: Counter[str] = field(default_factory=Counter)


class Lost(Exception):
    """A request got no response of its own. The message is the reason."""


class Connection:
    """A connection to the server or its proxy, with `tls` or plain; `is_open` until a response announces its close."""

    def __init__(self, port: int, tls: ssl.SSLContext | None, tally: Tally) -> None:
        self.is_open = False
        self._port = port
        self._tls = tls
        self._tally = tally
        self._used = 0.0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self, enough: asyncio.Event) -> bool:
        """Connect unless connected lately; return False if `enough` is set before that. Raises Lost."""
        while not self.is_open or time.monotonic() - self._used > _FRESH:
            self.close()
            if enough.is_set():
                return False
            self._used = time.monotonic()
            try:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
                self.is_open = True
            except ConnectionRefusedError:
                self._tally.refused += 1
                await asyncio.sleep(_RETRY)
            except OSError as error:
                raise Lost(f"no connection: {error.strerror or type(error).__name__}") from None
        return True

    async def ask(self, target: str, body: bytes, *, last: bool = False, pause: float = 0.0) -> None:
        """Send a request, with a `pause` in the middle of its head, and read the response. Raises Lost."""
        fields = "connection: close\r\n" if last else ""
        head = f"POST {target} HTTP/1.1\r\nhost: restarts\r\ncontent-length: {len(body)}\r\n{fields}\r\n".encode()
        try:
            if pause:
                self._writer.write(head[:20])
                head = head[20:]
                await asyncio.sleep(pause)
            self._writer.write(head + body)
            await self._read(body, last)
            self._used = time.monotonic()
        except asyncio.IncompleteReadError as error:
            raise Lost("end of the stream within an answer" if error.partial else "end of the stream") from None
        except OSError as error:
            raise Lost(error.strerror or type(error).__name__) from None

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._writer.close()

    async def _read(self, body: bytes, last: bool) -> None:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
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
    await asyncio.sleep(chance.choice(_PAUSES))


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
                    if not await connection.open(enough):
                        break
                    await client(connection, chance, b"%d-%d" % (number, count))
                tally.answered[name] += 1
            except (Lost, TimeoutError) as error:
                tally.lost[f"{name}: {str(error) or 'no answer in time'}"] += 1
                connection.close()
    finally:
        connection.close()


def trusting() -> ssl.SSLContext:
    """A client context that accepts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
