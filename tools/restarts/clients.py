"""The parts that the clients of all protocols share: the peer, the connection to it, the outcomes of requests."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

# Seconds for one response, including the connection.
PATIENCE = 30

PAUSES = (0.0, 0.0, 0.0, 0.005, 0.02, 0.1, 0.2)
"""Seconds between two requests of one client: less than a server keeps idle connections open at shutdown."""

# Seconds until a refused client tries again.
RETRY = 0.02


@dataclass
class Tally:
    """The outcomes of requests. `lost` counts those without a complete response, by reason.

    `refused` counts refused connections, and `resent` the requests that were sent again on another connection, because
    the protocol says that the server has not processed them. `seconds` are those of each change.
    """

    answered: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    resent: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


class Lost(Exception):
    """A request got no response of its own. The message is the reason."""


class Unprocessed(Exception):
    """The server has not processed a request, so that it may be sent again."""


class Peer(NamedTuple):
    """The server or its proxy, with `tls` or plain.

    With `closes_idle` it may close an idle connection without notice; a request that crosses this is sent again.
    """

    port: int
    tls: ssl.SSLContext | None = None
    closes_idle: bool = False


async def connect(
    peer: Peer, tally: Tally, enough: asyncio.Event
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Connect, again after each refusal; return None if `enough` is set before that. Raises Lost."""
    while not enough.is_set():
        try:
            return await asyncio.open_connection("127.0.0.1", peer.port, ssl=peer.tls)
        except ConnectionRefusedError:
            tally.refused += 1
            await asyncio.sleep(RETRY)
        except OSError as error:
            raise Lost(f"no connection: {error.strerror or type(error).__name__}") from None
    return None


def trusting(*protocols: str) -> ssl.SSLContext:
    """A client context that accepts any certificate, and offers `protocols` by ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
