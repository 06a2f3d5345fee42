"""Clients of HTTP/2 that share connections, and record the outcome of each request.

After GOAWAY they open another connection for new requests, and wait for the answers that are due on the old one. They
send again only what the server has not processed: streams above the last one of a GOAWAY, and those that it has reset
with REFUSED_STREAM (RFC 9113 section 8.7). All other streams without a complete answer are lost.

The frames are hyperframe's, since the state machine of h2 takes no more answers after a GOAWAY.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import hpack
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from tools.restarts.clients import PATIENCE, PAUSES, Lost, Peer, Tally, Unprocessed, connect

CONNECTIONS = 4

# Streams of one connection. Its bodies fit into the first flow-control window, so that no WINDOW_UPDATE is due.
_STREAMS = 2000

# Seconds between the head of a request and its body.
_HALVES = (0.05, 0.3, 0.8, 1.5)

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_REFUSED_STREAM = 7


class _Answer:
    """An answer that is due: its `end` is its content."""

    def __init__(self) -> None:
        self.status = ""
        self.content = b""
        self.end: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        if not self.end.done():
            self.end.set_exception(error)


class Connection:
    """A connection that `is_open` for new streams until a GOAWAY, its end, or its last stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.is_open = True
        self._reader = reader
        self._writer = writer
        self._due: dict[int, _Answer] = {}
        self._number = 1
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._writer.write(_PREFACE + SettingsFrame(0).serialize())
        self._task = asyncio.create_task(self._read())

    async def ask(self, path: str, body: bytes, pause: float = 0.0) -> None:
        """Send a request, with a `pause` before its body, and wait for its echo. Raises Lost, Unprocessed."""
        number = self._number
        self._number += 2
        self.is_open &= self._number < 2 * _STREAMS
        answer = self._due[number] = _Answer()
        try:
            fields = [(":method", "POST"), (":scheme", "http"), (":authority", "restarts"), (":path", path)]
            head = HeadersFrame(number, self._encoder.encode(fields), flags=["END_HEADERS"]).serialize()
            content = DataFrame(number, body, flags=["END_STREAM"]).serialize()
            if pause:
                self._writer.write(head)
                await asyncio.wait([answer.end], timeout=pause)
                head = b""
            if not answer.end.done():
                self._writer.write(head + content)
            if await answer.end != body:
                raise Lost("another answer")
        finally:
            del self._due[number]
            if not self.is_open and not self._due:
                self._writer.close()

    async def close(self) -> None:
        """Close it, and wait for the end of its task."""
        self.is_open = False
        self._writer.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        reason = "end of the stream"
        try:
            while True:
                frame, size = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
                frame.parse_body(memoryview(await self._reader.readexactly(size)))
                self._on_frame(frame)
        except asyncio.IncompleteReadError:
            pass
        except OSError as error:
            reason = error.strerror or type(error).__name__
        except Exception as error:
            reason = repr(error)
        finally:
            self.is_open = False
            self._writer.close()
            for answer in self._due.values():
                answer.fail(Lost(reason))

    def _on_frame(self, frame: Frame) -> None:
        answer = self._due.get(frame.stream_id)
        match frame:
            case HeadersFrame():
                fields = dict(self._decoder.decode(frame.data, raw=True))  # also of a stream that nobody waits for
                if answer is not None:
                    answer.status = fields[b":status"].decode()
            case DataFrame() if answer is not None:
                answer.content += frame.data
            case RstStreamFrame() if answer is not None:
                is_refused = frame.error_code == _REFUSED_STREAM
                answer.fail(Unprocessed() if is_refused else Lost(f"reset with {frame.error_code}"))
            case GoAwayFrame():
                self.is_open = False
                for number, each in self._due.items():
                    if number > frame.last_stream_id:
                        each.fail(Unprocessed())
            case PingFrame() if "ACK" not in frame.flags:
                self._writer.write(PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize())
            case SettingsFrame() if "ACK" not in frame.flags:
                self._writer.write(SettingsFrame(0, flags=["ACK"]).serialize())
        if answer is not None and "END_STREAM" in frame.flags and not answer.end.done():
            if answer.status == "200":
                answer.end.set_result(answer.content)
            else:
                answer.fail(Lost(f"status {answer.status}"))


class Pool:
    """One connection at a time for new requests, and those before it until their answers have come."""

    def __init__(self, peer: Peer, tally: Tally, enough: asyncio.Event) -> None:
        self._peer = peer
        self._tally = tally
        self._enough = enough
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None

    async def open(self) -> Connection | None:
        """The connection for a new request, or None if there was enough before it was open. Raises Lost."""
        async with self._lock:
            if self._connection is None or not self._connection.is_open:
                streams = await connect(self._peer, self._tally, self._enough)
                self._connection = None if streams is None else Connection(*streams)
            return self._connection

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


Client = Callable[[Connection, random.Random, bytes], Awaitable[None]]


async def whole(connection: Connection, chance: random.Random, body: bytes) -> None:
    """Send requests at once, with and without pauses between them."""
    await connection.ask("/", body)
    await asyncio.sleep(chance.choice(PAUSES))


async def halved(connection: Connection, chance: random.Random, body: bytes) -> None:
    """Send the body some time after the head."""
    await connection.ask("/", body, pause=chance.choice(_HALVES))


async def parts(connection: Connection, chance: random.Random, body: bytes) -> None:
    """Read responses in parts; some begin before a stop and end after it."""
    await connection.ask("/parts", body)


# On each connection.
CLIENTS: tuple[tuple[Client, int], ...] = ((whole, 8), (halved, 3), (parts, 2))

IN_HAND = CONNECTIONS * sum(count for _, count in CLIENTS)
"""The requests that all clients together wait for, at most."""


def load(peer: Peer, tally: Tally, enough: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
    """The users of each connection, to run as one task."""
    return [_share(number, Pool(peer, tally, enough), tally, enough) for number in range(CONNECTIONS)]


async def _share(number: int, pool: Pool, tally: Tally, enough: asyncio.Event) -> None:
    clients = [client for client, count in CLIENTS for _ in range(count)]
    try:
        await asyncio.gather(
            *(run(client, 100 * number + each, pool, tally, enough) for each, client in enumerate(clients))
        )
    finally:
        await pool.close()


async def run(client: Client, number: int, pool: Pool, tally: Tally, enough: asyncio.Event) -> None:
    """Send requests until `enough` is set."""
    chance = random.Random(number)
    name = getattr(client, "__name__", "")
    count = 0
    while not enough.is_set():
        count += 1
        try:
            async with asyncio.timeout(PATIENCE):
                if not await _send(client, pool, chance, b"%d-%d" % (number, count), tally):
                    break
            tally.answered[name] += 1
        except (Lost, TimeoutError) as error:
            tally.lost[f"{name}: {str(error) or 'no answer in time'}"] += 1


async def _send(client: Client, pool: Pool, chance: random.Random, body: bytes, tally: Tally) -> bool:
    """Send one request until it is answered; return False if there was enough before that. Raises Lost."""
    while (connection := await pool.open()) is not None:
        try:
            await client(connection, chance, body)
        except Unprocessed:
            tally.resent += 1
        else:
            return True
    return False
