"""Hostile clients: each act is one thing that the RFCs do not have, on connections of its own, and then it is gone."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tests.storm.hostile import (
    bridges,
    downloads,
    events,
    garbage,
    half_closes,
    pipelines,
    resets,
    slow,
    tls,
    uploads,
    websockets,
)
from tests.storm.link import Place

Act = Callable[[Place, random.Random], Awaitable[None]]

# The acts of a kind, and how many clients choose among them at once.
ACTS: dict[str, tuple[tuple[Act, ...], int]] = {
    "resets": (resets.ACTS, 4),
    "half-closes": (half_closes.ACTS, 3),
    "garbage": (garbage.ACTS, 4),
    "pipelines": (pipelines.ACTS, 2),
    "uploads": (uploads.ACTS, 3),
    "downloads": (downloads.ACTS, 3),
    "WSGI": (bridges.ACTS, 3),
    "WSGI, mounted": (bridges.MOUNTED_ACTS, 2),
    "websockets": (websockets.ACTS, 3),
    "events": (events.ACTS, 3),
    "slow": (slow.ACTS, 12),
}
# Where the server speaks TLS.
TLS_ACTS: dict[str, tuple[tuple[Act, ...], int]] = {"tls": (tls.ACTS, 3)}
