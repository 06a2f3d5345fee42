"""Hostile clients: each act breaks the RFCs in one way, on its own connections, and disconnects."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tests.storm.hostile import (
    bridges,
    downloads,
    events,
    garbage,
    half_closes,
    http2,
    pipelines,
    resets,
    slow,
    tls,
    uploads,
    websockets,
)
from tests.storm.link import Place

Act = Callable[[Place, random.Random], Awaitable[None]]

# The acts of a kind, and the number of concurrent clients that choose among them.
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
    "HTTP/2": (http2.ACTS, 4),
    "slow": (slow.ACTS, 12),
}
# For a server with TLS.
TLS_ACTS: dict[str, tuple[tuple[Act, ...], int]] = {"tls": (tls.ACTS, 3)}
