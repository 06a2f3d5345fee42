"""Half-closes: the client ends its side of the stream, then waits or leaves."""

from __future__ import annotations

import asyncio
import random

from tests.storm.hostile.leaving import leave
from tests.storm.link import Place, get, linked

_SENT_BEFORE = (
    b"",
    b"GET / HT",
    b"bogus\r\n\r\n",
    get("/content?token=half&size=1000"),
    get("/content?token=half&size=1000") + b"GET /half",
    get("/events?token=half&pause=0.02"),
    get("/file?size=4194304"),
    get("/listen"),
    get("/mirror", "content-length: 10000", method="POST") + bytes(5000),
    get("/mirror", "transfer-encoding: chunked", method="POST") + b"5\r\nhe",
    get("/nap?token=half&size=10&seconds=0.1"),
    get("/poll"),
    get("/wsgi/content?token=half&size=100000"),
)


async def then_leave(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(rng.choice(_SENT_BEFORE))
        link.end()
        leave(link, rng)


async def then_wait(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(rng.choice(_SENT_BEFORE))
        link.end()
        await asyncio.sleep(rng.uniform(0, 0.2))
        leave(link, rng)


async def then_read(place: Place, rng: random.Random) -> None:
    async with linked(place) as link:
        link.write(rng.choice(_SENT_BEFORE))
        link.end()
        for _ in range(rng.randint(1, 5)):
            await link.read()
        leave(link, rng)


ACTS = (then_leave, then_wait, then_read)
