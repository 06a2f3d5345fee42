"""Ways to disconnect, and to stop before."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from tests.storm.link import Link


def leave(link: Link, rng: random.Random) -> None:
    """Disconnect at once in a random way. The server may read the last bytes together with the end."""
    rng.choice([link.reset, link.drop, link.close])()


@contextlib.asynccontextmanager
async def at_most(seconds: float) -> AsyncIterator[None]:
    """Break the block off after `seconds`, and go on behind it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            yield
