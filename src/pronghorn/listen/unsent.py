"""A limit on the output that the kernel takes from a connection before it can send it (`TCP_NOTSENT_LOWAT`).

Without one, Linux takes up to 4 MiB of a response, for which the client may never have room: a thousand clients that
ask for much and read nothing cost seconds of copying. Those that have read something are trusted to read on.
"""

from __future__ import annotations

import contextlib
import socket
import sys

# Bytes. The less the kernel takes, the more often must the server give it more.
LIMIT = 64 << 10

TRUST = 1 << 20
"""Bytes that a client has received before the limit is lifted."""


def limit(listening: socket.socket) -> None:
    """Limit the connections of a socket, which inherit it. Has no effect except on TCP and Linux."""
    _set(listening, LIMIT)


def lift(sock: socket.socket) -> None:
    """Lift the limit from a connection."""
    _set(sock, 0)


def _set(sock: socket.socket, size: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # the socket is closed, or does not use TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)
