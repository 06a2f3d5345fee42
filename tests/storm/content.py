"""The bytes that the application sends and an honest client expects, made from a token that no other request bears."""

from __future__ import annotations

import functools
import hashlib

SMALL_FILE = 64 << 10
MEDIUM_FILE = 256 << 10
LARGE_FILE = 4 << 20

# What a request of an application that fails on purpose leaves in the log.
ON_PURPOSE = "on purpose"

# Larger bodies are refused. A flag of the server.
BODY_LIMIT = 1_000_000


# A prime, so that a body out of which a buffer's worth is lost, or in which it comes twice, is another one.
_PERIOD = 4093


def content(token: str, size: int) -> bytes:
    period = hashlib.shake_128(token.encode()).digest(_PERIOD)
    return (period * (size // _PERIOD + 1))[:size]


@functools.cache
def file_content(size: int) -> bytes:
    return content(f"file-{size}", size)
