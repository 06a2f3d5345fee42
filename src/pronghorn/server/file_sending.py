"""Files in response bodies: ASGI's `http.response.pathsend` and `http.response.zerocopysend`."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pronghorn.errors import ClientDisconnected
from pronghorn.server import transports

if TYPE_CHECKING:
    from pronghorn._wire.http1.connection import Connection
    from pronghorn._wire.request import Request

# Bytes sent between checks of the client. A slow client that reads takes this much within the write timeout.
_SLICE = 262144

T = TypeVar("T")


class Owner(Protocol):
    """The protocol of the connection that sends the files."""

    connection: Connection
    sending: asyncio.Future[Any] | None
    """The file operation in progress, if any. It must end before the transport is closed."""


async def send_file(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.Transport,
    owner: Owner,
    request: Request,
    message: dict[str, Any],
) -> None:
    """Send the file that `message` names after all previous output. `owner.sending` is the operation in progress.

    Raises before anything is framed if the file or the part of it does not exist, `OSError` if the file becomes shorter
    meanwhile, and `ValueError` if it was shorter than declared. After a disconnect, `request.send` decides what to do.
    """
    try:
        await _send_file(_Sender(loop, transport, owner, request), message)
    except ClientDisconnected:
        await request.send(message)


async def send_as_body(loop: asyncio.AbstractEventLoop, request: Request, message: dict[str, Any]) -> None:
    """Send the file that `message` names through messages of the body. Raises as `send_file` does."""
    await _send_file(_BodySender(loop, request), message)


async def _send_file(sender: _Sender | _BodySender, message: dict[str, Any]) -> None:
    # No await before the head is framed: no other message may come in between.
    if message["type"] == "http.response.pathsend":
        with _open(message["path"]) as file:
            await sender.send(file, 0, None, more=False)
    else:
        file = _file(message["file"])
        await sender.send(file, message.get("offset"), message.get("count"), more=bool(message.get("more_body", False)))


def _open(path: str | bytes | os.PathLike[Any]) -> io.FileIO:
    # `fspath` rejects a number, which `open` would take for a descriptor, and close.
    return open(os.fspath(path), "rb", buffering=0)


def _file(file: Any) -> Any:
    """Return a file object for `file`, which may be a descriptor; that stays open for the application."""
    if isinstance(file, io.TextIOBase):
        raise TypeError("a file to send is opened in binary mode")
    return io.FileIO(file, "rb", closefd=False) if isinstance(file, int) else file


def _part(file: Any, offset: int | None, count: int | None, left: int) -> tuple[int, int]:
    """The start of the part, by default the file's position, and its size: `count` bytes, or up to the end of the file.

    Without a count, it ends after the `left` bytes of the declared length (-1: none), as the file may have grown.
    """
    start = file.tell() if offset is None else offset
    if start < 0 or (count is not None and count < 0):
        raise ValueError(f"not a part of a file: {count} bytes from {start}")
    if count is None and left >= 0:
        count = left
    rest = max(0, os.fstat(file.fileno()).st_size - start)
    return start, rest if count is None else min(count, rest)


class _Sender:
    """Sends parts of files, by sendfile if event loop and transport support it, otherwise by reading in a thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, owner: Owner, request: Request
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._owner = owner
        self._connection = owner.connection
        self._request = request

    async def send(self, file: Any, offset: int | None, count: int | None, more: bool) -> None:
        start, size = _part(file, offset, count, self._request.encoder.left())
        present = self._request.begin_file(size)
        if present:
            self._connection.flush()
            await self._send_present(file, start, start + size)
        self._request.end_file(present, more)

    async def _send_present(self, file: Any, start: int, end: int) -> None:
        # sendfile does not encrypt.
        way = self._by_hand if transports.is_secure(self._transport) else self._by_system
        while start < end:
            await self._wait_writable()
            try:
                sent = await way(file, start, min(end - start, _SLICE))
            except RuntimeError:  # unsupported by the loop (NotImplementedError), transport or file
                if way == self._by_hand:
                    raise
                way = self._by_hand
                continue
            if not sent:
                raise OSError("the file became shorter while it was sent")
            self._request.file_sent(sent)
            start += sent
        await self._wait_writable()
        file.seek(end)

    async def _by_system(self, file: Any, start: int, size: int) -> int:
        """Send through `loop.sendfile`; return the number of bytes, 0 at the end of the file."""
        with transports.flushing(self._transport):
            await self._wait_writable()
        try:
            return await self._held(self._loop.sendfile(self._transport, file, start, size, fallback=False))
        except (ConnectionError, TimeoutError) as error:
            self._request.lose()
            self._transport.abort()
            raise ClientDisconnected("the client has left") from error

    async def _by_hand(self, file: Any, start: int, size: int) -> int:
        """Read in a thread, and write; return as `_by_system`."""
        data = await self._held(self._loop.run_in_executor(None, _read, file, start, size))
        self._connection.writer.put(data)
        return len(data)

    async def _held(self, work: Awaitable[T]) -> T:
        """Await `work`, unless the client disconnects.

        Meanwhile the connection treats its transport as full, so the write timeout applies.
        """
        self._connection.pause_writing()
        gone = self._connection.wait_writable()
        working = asyncio.ensure_future(work)
        self._owner.sending = working
        try:
            await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if working.cancel():
                await asyncio.wait((working,))
            self._owner.sending = None
            self._connection.resume_writing()
            gone.exception()  # retrieved, or asyncio would log that it was not
        if self._request.is_lost() or working.cancelled():
            self._request.lose()
            raise ClientDisconnected("the client has left")
        return working.result()

    async def _wait_writable(self) -> None:
        """Wait until the transport is writable."""
        while not self._connection.is_writable() and not self._request.is_lost():
            await self._connection.wait_writable()
        if self._request.is_lost():
            raise ClientDisconnected("the client has left")


class _BodySender:
    """Sends parts of files as parts of a body, read in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, request: Request) -> None:
        self._loop = loop
        self._request = request

    async def send(self, file: Any, offset: int | None, count: int | None, more: bool) -> None:
        request = self._request
        start, size = _part(file, offset, count, request.encoder.left())
        if request.head.method == "HEAD" or request.encoder.status in (204, 304):
            size = 0  # nothing of it would be sent
        end = start + size
        while start < end and not request.is_lost():
            data = await self._loop.run_in_executor(None, _read, file, start, min(end - start, _SLICE))
            if not data:
                raise OSError("the file became shorter while it was sent")
            start += len(data)
            await request.send({"type": "http.response.body", "body": data, "more_body": more or start < end})
        file.seek(end)
        if not size:
            await request.send({"type": "http.response.body", "body": b"", "more_body": more})


def _read(file: Any, start: int, size: int) -> bytes:
    file.seek(start)
    data: bytes = file.read(size)
    return data
