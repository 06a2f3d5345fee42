"""The interface between a worker process and its parent: messages through a pipe, and the timing that both rely on.

Only the worker sends. The parent never writes: for the worker, the end of the stream means that the parent has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.process.limits import Limit

# Seconds between two `Alive` messages.
HEARTBEAT = 1.0

# Maximum bytes of an encoded message. A longer one is garbage, and the parent refuses it.
MAX_SIZE = 16

# Runs in a worker instead of our server: called as `target(sockets=sockets)`.
Target: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Alive:
    """The process runs, however busy its event loop is."""


@dataclass(frozen=True)
class Serving:
    """The server accepts connections."""


@dataclass(frozen=True)
class LimitReached:
    """The server has reached a limit. It continues to serve until the parent stops it."""

    limit: Limit


Message: TypeAlias = Alive | Serving | LimitReached

# An encoded message is the byte of its type, followed by its field.
_MESSAGES: dict[bytes, Message] = {
    b"A": Alive(),
    b"S": Serving(),
    **{b"L" + limit.encode(): LimitReached(limit) for limit in Limit},
}
_BYTES = {message: data for data, message in _MESSAGES.items()}


def encode(message: Message) -> bytes:
    return _BYTES[message]


def decode(data: bytes) -> Message:
    """Decode a message. Raises ValueError for data that `encode` does not produce."""
    if data not in _MESSAGES:
        raise ValueError(f"unknown message {data!r}")
    return _MESSAGES[data]


def max_stop_time(config: Config) -> float:
    """The maximum seconds for a stop: the graceful timeout for requests, the same for the lifespan, and a margin."""
    timeout = config.timeout_graceful_shutdown
    return FOREVER if timeout is None else 2 * timeout + 5
