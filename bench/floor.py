"""The floor: a uvloop protocol that parses nothing and writes one fixed reply for whatever arrives.

No server built on an `asyncio.Protocol` can be faster; the reply has the bytes that pronghorn sends for `apps.plain`.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

import uvloop

REPLY = (
    b"HTTP/1.1 200 OK\r\n"
    b"date: Sat, 22 Nov 2025 12:00:00 GMT\r\n"
    b"server: pronghorn\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: 13\r\n"
    b"\r\n"
    b"Hello, world!"
)


class Floor(asyncio.Protocol):
    """One read, one write."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        self.write(REPLY)


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
