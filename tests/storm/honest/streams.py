"""Long responses: event streams up to their end, and large responses that are read slowly."""

from __future__ import annotations

import asyncio
import random
import time

from tests.storm.content import content
from tests.storm.link import Link, Place, get
from tests.storm.witness import Witness

# Bytes per second of a poor connection: too few to empty the socket buffers within the server's timeout.
_RATE = 300_000
_READ = 15_000
_LONGEST = 40.0
# The receive buffer of such a client.
_BUFFER = 32768


async def events(place: Place, witness: Witness, rng: random.Random) -> None:
    async with witness.exchange("connect"):
        link = await Link.open(place)
    try:
        for _ in range(rng.randint(1, 4)):
            token, count = witness.token(), rng.randint(1, 30)
            async with witness.exchange(f"a stream of {count} events"):
                await link.send(get(f"/events?token={token}&count={count}&pause=0.03"))
                answer = await link.answer()
                expected = b"".join(b"data: %s %d\n\n" % (token.encode(), number) for number in range(count))
                if answer.body != expected:
                    raise AssertionError(f"other events: {answer.body[:200]!r}")
    finally:
        link.drop()


async def steady_readers(place: Place, witness: Witness, rng: random.Random) -> None:
    """Read a large response slowly: the body of one `send`, or a stream."""
    size = int(_RATE * min(max(1.0, witness.end - time.monotonic()), _LONGEST))
    token = witness.token()
    path = rng.choice(["/content", "/stream"])
    await read_steadily(place, witness, f"{path}?token={token}&size={size}", content(token, size))


async def read_steadily(place: Place, witness: Witness, target: str, expected: bytes) -> None:
    """Read this response at the rate of a poor connection up to its end."""
    async with witness.exchange("connect"):
        link = await Link.open(place, buffer=_BUFFER)
    try:
        async with witness.exchange(f"the head of {target}"):
            await link.send(get(target, version="1.0"))
            await link.head()
        came = 0
        while came < len(expected) and not witness.is_over():
            async with witness.exchange(f"{target} of {len(expected)} bytes read at {_RATE} a second, from {came} on"):
                data = await link.exactly(min(_READ, len(expected) - came))
                if data != expected[came : came + len(data)]:
                    raise AssertionError("other bytes")
            came += len(data)
            await asyncio.sleep(len(data) / _RATE)
    finally:
        link.drop()
