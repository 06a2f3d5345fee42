"""Clients of WebSocket that send messages in bursts, and record the outcome of each: its echo, or none.

At a restart the server closes with 1012. TCP keeps the order, so all echoes that the server has sent arrive before the
close, and messages that are on their way at that moment are not echoed. These count as `resent`: the next connection
begins with them, in their order. The application writes an error into the log if it has received a message but cannot
send its echo, which ends the trial: no message counts as resent that the application has seen.

Messages without an echo are lost if the stream ends without that close, with another code or another echo; so is one
message if this happens to a connection where none is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Coroutine
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tools.restarts.clients import PATIENCE, PAUSES, RETRY, Peer, Tally

SOCKETS = 24

# Messages that a client sends before it reads the first echo.
_BURSTS = (1, 1, 2, 5, 8)

# Bursts after which a client closes its connection.
_FRESH = 20

_SERVICE_RESTART = 1012

IN_HAND = SOCKETS * max(_BURSTS)
"""The messages that all clients together wait for, at most."""


def load(peer: Peer, tally: Tally, enough: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
    """The clients, each of them to run as a task."""
    return [run(number, peer, tally, enough) for number in range(SOCKETS)]


async def run(number: int, peer: Peer, tally: Tally, enough: asyncio.Event) -> None:
    """Send messages on one connection after the other until `enough` is set."""
    chance = random.Random(number)
    numbers = itertools.count()
    texts: list[str] = []
    while not enough.is_set():
        try:
            async with asyncio.timeout(PATIENCE):
                socket = await _open(peer)
        except ConnectionRefusedError:
            tally.refused += 1
            await asyncio.sleep(RETRY)
            continue
        except (OSError, InvalidHandshake, TimeoutError) as error:
            tally.lost[f"handshake: {str(error) or 'no answer in time'}"] += 1
            continue
        for _ in range(_FRESH):
            while len(texts) < chance.choice(_BURSTS):
                texts.append(f"{number}-{next(numbers)}")
            texts, is_open = await _exchange(socket, texts, tally)
            if not is_open or enough.is_set():
                break
            await asyncio.sleep(chance.choice(PAUSES))
        await socket.close()


async def _open(peer: Peer) -> ClientConnection:
    scheme = "wss" if peer.tls else "ws"
    return await connect(
        f"{scheme}://127.0.0.1:{peer.port}/", ssl=peer.tls, compression=None, proxy=None, ping_interval=None
    )


async def _exchange(socket: ClientConnection, texts: list[str], tally: Tally) -> tuple[list[str], bool]:
    """Send `texts` and read their echoes. Return those that the server has not processed, and if it is still open."""
    sent = echoed = 0
    reason = ""
    try:
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionClosed):  # reading tells why, after the echoes that came before
                for text in texts:
                    await socket.send(text)
                    sent += 1
            while echoed < len(texts):
                if await socket.recv() != texts[echoed]:
                    reason = "another echo"
                    break
                echoed += 1
    except TimeoutError:
        reason = "no echo in time"
    except ConnectionClosed as closed:
        if closed.rcvd is None:
            reason = "end of the stream"
        elif closed.rcvd.code != _SERVICE_RESTART:
            reason = f"closed with {closed.rcvd.code}"
    tally.answered["echo"] += echoed
    if reason:
        tally.lost[f"echo: {reason}"] += max(1, sent - echoed)
        return texts[sent:], False
    tally.resent += sent - echoed
    return texts[echoed:], echoed == len(texts)
