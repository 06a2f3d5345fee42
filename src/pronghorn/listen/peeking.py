"""Bytes at the start of a connection, looked at before the event loop makes a transport for it."""

from __future__ import annotations

import asyncio
import socket


async def peek(loop: asyncio.AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    """Wait for bytes from a nonblocking `sock`, and return up to `size` of them, which stay there; empty at the end of
    the stream. Raises OSError.
    """
    while True:
        try:
            return sock.recv(size, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(loop, sock)


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)
