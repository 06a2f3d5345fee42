"""The bytes that the application sends and an honest client expects, derived from the request's unique token."""

from __future__ import annotations

import functools
import hashlib

SMALL_FILE = 64 << 10
MEDIUM_FILE = 256 << 10
LARGE_FILE = 4 << 20

# Marks the log records of deliberate failures.
ON_PURPOSE = "on purpose"

# The server refuses larger bodies.
BODY_LIMIT = 1_000_000


# A prime, so that a body with a lost or repeated buffer differs.
_PERIOD = 4093


def content(token: str, size: int) -> bytes:
    period = hashlib.shake_128(token.encode()).digest(_PERIOD)
    return (period * (size // _PERIOD + 1))[:size]


@functools.cache
def file_content(size: int) -> bytes:
    return content(f"file-{size}", size)
