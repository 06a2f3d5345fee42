"""WebSocket echoes with the library websockets."""

from __future__ import annotations

import random

import websockets

from tests.storm.content import content
from tests.storm.link import Place
from tests.storm.witness import Witness


async def with_websockets(place: Place, witness: Witness, rng: random.Random) -> None:
    scheme = "wss" if place.context else "ws"
    async with witness.exchange("a handshake"):
        socket = await websockets.connect(
            f"{scheme}://127.0.0.1:{place.port}/echo", ssl=place.context, proxy=None, open_timeout=None
        )
    try:
        for _ in range(rng.randint(1, 30)):
            token, size = witness.token(), rng.choice([0, 10, 1000, 70_000])
            message = content(token, size)
            sent: str | bytes = message.hex() if rng.random() < 0.5 else message
            async with witness.exchange(f"an echo of {len(sent)}"):
                await socket.send(sent)
                if await socket.recv() != sent:
                    raise AssertionError("another message")
        async with witness.exchange("a closing handshake"):
            await socket.close()
            if socket.close_code != 1000:
                raise AssertionError(f"closed with {socket.close_code}")
    finally:
        socket.transport.abort()
