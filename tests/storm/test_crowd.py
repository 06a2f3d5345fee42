"""The acts of hostile clients that count, and those that fail, at servers of a few lines."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from tests.storm.crowd import Record, perform
from tests.storm.harness import lacks_for_storms
from tests.storm.hostile import Act, garbage, http2, pipelines, resets, slow, uploads, websockets
from tests.storm.hostile.leaving import at_most
from tests.storm.link import Link, Place

pytestmark = pytest.mark.skipif(lacks_for_storms() is not None, reason=str(lacks_for_storms()))

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_act_that_ends_counts() -> None:
    assert performed(resets.behind_it, answering(b"")) == Record(acts=1)


def test_act_that_the_server_ends_counts() -> None:
    assert performed(slow.stops_sending, answering(b"HTTP/1.1 408 Request Timeout\r\n\r\n")) == Record(acts=1)


def test_act_without_connection_fails() -> None:
    with socket.socket() as bound:  # does not listen
        bound.bind(("127.0.0.1", 0))
        record = Record()
        asyncio.run(perform(garbage.and_leave, Place(bound.getsockname()[1], 0), random.Random(0), record, 5))
    assert_failed(record, "connect: ConnectionRefusedError")


def test_act_without_tls_handshake_fails() -> None:
    record = performed(
        garbage.and_leave, answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), context=ssl.create_default_context()
    )
    assert_failed(record, "connect: SSLError")


def test_act_without_websocket_handshake_fails() -> None:
    assert_failed(performed(websockets.echoing, answering(b"")), "the handshake: IncompleteReadError")
    refusal = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"
    assert_failed(performed(websockets.echoing, answering(refusal)), "the handshake: .*answered with 503")


def test_act_that_the_server_does_not_end_fails() -> None:
    assert_failed(performed(slow.stops_sending, silent, seconds=0.1), "is not over after 0.1 s")


@pytest.mark.parametrize(
    "act",
    [
        http2.beyond_the_window,
        http2.flood,
        pipelines.left_midway,
        uploads.refused,
        uploads.refused_chunks,
        websockets.unread,
    ],
)
def test_client_that_has_waited_long_enough_leaves(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    left = []
    monkeypatch.setattr(sys.modules[act.__module__], "leave", lambda link, rng: left.append(link))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a handshake, and read nothing behind it."""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        writer.transport.pause_reading()
        async with at_most(5):
            while not left:
                await asyncio.sleep(0.01)
        writer.transport.abort()

    assert performed(act, serve, Last()) == Record(acts=1)
    assert left


def test_client_that_stops_reading_waits_for_a_reset() -> None:
    assert performed(slow.stops_reading, resetting) == Record(acts=1)
    assert_failed(performed(slow.stops_reading, sending, seconds=0.5), "is not over after 0.5 s")


class Last(random.Random):
    """Chooses the last and the most."""

    def choice(self, seq: Any) -> Any:
        return seq[-1]

    def randint(self, a: int, b: int) -> int:
        return b


def performed(
    act: Act, serve: Serve, rng: random.Random | None = None, context: ssl.SSLContext | None = None, seconds: float = 5
) -> Record:
    """The record of one act at a server."""
    record = Record()
    served: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(cast("asyncio.Task[None]", asyncio.current_task()))
        # asyncio before 3.12 logs an error if this is cancelled.
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await serve(reader, writer)
        writer.transport.abort()

    async def run() -> None:
        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            place = Place(server.sockets[0].getsockname()[1], 0, context, context)
            await perform(act, place, rng or random.Random(0), record, seconds)
            for task in served:
                task.cancel()
            await asyncio.gather(*served)

    asyncio.run(run())
    return record


def answering(answer: bytes) -> Serve:
    """A server that sends this to whatever comes, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    return serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def sending(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that sends more than its client reads, and then waits for the client to leave."""
    writer.write(bytes(10_000_000))
    await silent(reader, writer)


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(10_000_000))
    await asyncio.sleep(0.2)
    Link(reader, writer).reset()


def assert_failed(record: Record, reason: str) -> None:
    assert record.acts == 0
    [failure] = record.failures
    assert re.search(reason, failure)
