"""A raw connection with or without TLS, for honest and hostile clients."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple, Self

# Errors that end a hostile client's connection and are no fault.
LEFT = (OSError, EOFError)

_RESET = struct.pack("ii", 1, 0)
_SHUTDOWN_SECONDS = 5
# Seconds between two looks at a connection that is not read.
_POLL = 0.1


class Unreached(Exception):
    """The server does not take a client that has done nothing wrong yet."""


class Place(NamedTuple):
    """The server's port and write timeout, and the clients' TLS contexts for each version of HTTP if it uses TLS."""

    port: int
    write_timeout: int
    context: ssl.SSLContext | None = None
    http2_context: ssl.SSLContext | None = None

    def over_http2(self) -> Place:
        """The place for clients that begin with the preface of HTTP/2."""
        return self._replace(context=self.http2_context)


class Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


class Link:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, place: Place, *, plain: bool = False, buffer: int = 0) -> Self:
        """Connect. `plain` uses no TLS even if the server does; `buffer` sets `SO_RCVBUF`."""
        sock = socket.socket()
        try:
            sock.setblocking(False)
            if buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", place.port))
            context = None if plain else place.context
            name, seconds = ("127.0.0.1", _SHUTDOWN_SECONDS) if context else (None, None)
            return cls(
                *await asyncio.open_connection(
                    sock=sock,
                    ssl=context,
                    server_hostname=name,
                    ssl_shutdown_timeout=seconds,
                    limit=buffer or 65536,
                )
            )
        except BaseException:
            sock.close()
            raise

    @property
    def is_secure(self) -> bool:
        return self._writer.get_extra_info("sslcontext") is not None

    def write(self, data: bytes) -> None:
        """Send without waiting."""
        self._writer.write(data)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read(self, size: int = 65536) -> bytes:
        """Read the next bytes, b"" at the end of the stream."""
        return await self._reader.read(size)

    async def exactly(self, size: int) -> bytes:
        return await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        """Read up to the end of the stream."""
        return await self._reader.read()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read the status and the fields of the next response."""
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        fields = dict(line.split(": ", 1) for line in lines)
        return int(first.split(" ")[1]), fields

    async def answer(self, without_body: bool = False) -> Answer:
        """Read the next response. Raises EOFError if it is truncated."""
        status, fields = await self.head()
        if without_body or status < 200 or status in (204, 304):
            return Answer(status, fields, b"")
        if "content-length" in fields:
            return Answer(status, fields, await self.exactly(int(fields["content-length"])))
        if fields.get("transfer-encoding") == "chunked":
            return Answer(status, fields, b"".join([chunk async for chunk in self.chunks()]))
        return Answer(status, fields, await self.rest())

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read the chunks of a body."""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield await self.exactly(size)
            if await self.exactly(2) != b"\r\n":
                raise ValueError("no line break behind a chunk")
        if await self.exactly(2) != b"\r\n":
            raise ValueError("no line break behind the last chunk")

    def end(self) -> None:
        """Half-close the TCP connection, below TLS."""
        self._socket().shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset the connection: the peer gets ECONNRESET."""
        self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.drop()

    def drop(self) -> None:
        """Close at once: unsent bytes are lost, and TLS sends no close_notify."""
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()

    async def cut_off(self) -> None:
        """Wait until the server resets the connection, without reading."""
        while not _is_reset(self._socket()):
            await asyncio.sleep(_POLL)

    def _socket(self) -> socket.socket:
        sock: socket.socket | None = self._writer.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            raise ConnectionError("the connection is lost")
        return sock


def _is_reset(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


@contextlib.asynccontextmanager
async def linked(place: Place, *, plain: bool = False, buffer: int = 0) -> AsyncIterator[Link]:
    """Open a connection that is dropped at the end of the block. Raises Unreached."""
    with reaching("connect"):
        link = await Link.open(place, plain=plain, buffer=buffer)
    try:
        yield link
    finally:
        link.drop()


@contextlib.contextmanager
def reaching(step: str) -> Iterator[None]:
    """Raise Unreached if the connection ends in the block."""
    try:
        yield
    except LEFT as error:
        raise Unreached(f"{step}: {error!r}") from error


def get(target: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    """The bytes of a request's head."""
    lines = [f"{method} {target} HTTP/{version}", "host: test", *fields, "", ""]
    return "\r\n".join(lines).encode()


def post(target: str, body: bytes, *fields: str) -> bytes:
    return get(target, f"content-length: {len(body)}", *fields, method="POST") + body


def chunked(target: str, body: bytes, piece: int, *fields: str) -> bytes:
    """The bytes of a request with a body in chunks of `piece` bytes."""
    parts = [get(target, "transfer-encoding: chunked", *fields, method="POST")]
    for start in range(0, len(body), piece):
        data = body[start : start + piece]
        parts.append(b"%x\r\n%s\r\n" % (len(data), data))
    return b"".join([*parts, b"0\r\n\r\n"])
