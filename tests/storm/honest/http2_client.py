"""A client of HTTP/2 for many concurrent requests on one connection. The library h2 checks each frame of the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import h2.errors
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings

from tests.storm.link import Answer, Link, Place

# More than all streams of a client: a slow reader of one must not stop the others.
_CONNECTION_WINDOW = 16 << 20

Part = dict[str, str] | bytes | Exception


class StreamBroken(Exception):
    """The server reset the stream."""


class Stream:
    """One request. Content counts as read, for the server's flow control, when `read` returns it."""

    def __init__(self, client: Client, number: int) -> None:
        self.number = number
        self.has_ended = False
        """True once the server sends no more."""
        self._client = client
        self._parts: asyncio.Queue[Part] = asyncio.Queue()

    def put(self, part: Part) -> None:
        """Add the fields, some content, b"" at the end, or the error that ends the stream."""
        if not self.has_ended:
            self.has_ended = part == b"" or isinstance(part, Exception)
            self._parts.put_nowait(part)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read the status and the fields."""
        fields = await self._take()
        if not isinstance(fields, dict):
            raise AssertionError("content before the head")
        return int(fields.pop(":status")), fields

    async def read(self) -> bytes:
        """Read the next part of the content, b"" at the end."""
        content = await self._take()
        if not isinstance(content, bytes):
            raise AssertionError("a second head")
        if content:
            await self._client.acknowledge(self.number, len(content))
        return content

    async def answer(self, pause: float = 0) -> Answer:
        """Read the whole response, with a pause after each part."""
        status, fields = await self.head()
        parts = []
        while part := await self.read():
            parts.append(part)
            await asyncio.sleep(pause)
        return Answer(status, fields, b"".join(parts))

    async def send(self, content: bytes, piece: int = 1 << 20, ends: bool = True) -> None:
        """Send content in frames of at most `piece` bytes. Stop if the server ends the stream early."""
        await self._client.send_content(self, content, piece, ends)

    async def cancel(self) -> None:
        """Reset the stream."""
        await self._client.reset(self.number)

    async def _take(self) -> Part:
        part = await self._parts.get()
        if isinstance(part, Exception):
            raise part
        return part


class Client:
    """A connection whose preface and settings are exchanged."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._scheme = "https" if link.is_secure else "http"
        self._protocol = H2Connection(H2Configuration(header_encoding="latin-1"))
        self._streams: dict[int, Stream] = {}
        self._settled = asyncio.Event()
        # Replaced each time that the server lets us send more, or ends a stream.
        self._changed = asyncio.Event()

    async def start(self, window: int) -> asyncio.Task[None]:
        """Exchange settings: each stream begins with `window`. Return the task that reads, until it is cancelled."""
        settings = {SettingCodes.INITIAL_WINDOW_SIZE: window, SettingCodes.ENABLE_PUSH: 0}
        self._protocol.local_settings = Settings(initial_values=settings)
        self._protocol.initiate_connection()
        self._protocol.increment_flow_control_window(_CONNECTION_WINDOW)
        await self._flush()
        reading = asyncio.create_task(self._read())
        await self._settled.wait()
        return reading

    async def open(self, method: str, target: str, *fields: tuple[str, str], ends: bool = True) -> Stream:
        """Send the head of a request."""
        pseudo = [(":method", method), (":scheme", self._scheme), (":authority", "test"), (":path", target)]
        stream = Stream(self, self._protocol.get_next_available_stream_id())
        self._streams[stream.number] = stream
        self._protocol.send_headers(stream.number, [*pseudo, *fields], ends)
        await self._flush()
        return stream

    async def ask(self, method: str, target: str, body: bytes | None = None, piece: int = 1 << 20) -> Answer:
        """Send a request and read its response."""
        fields = [] if body is None else [("content-length", str(len(body)))]
        stream = await self.open(method, target, *fields, ends=body is None)
        if body is not None:
            await stream.send(body, piece)
        return await stream.answer()

    async def send_content(self, stream: Stream, content: bytes, piece: int, ends: bool) -> None:
        at = 0
        while at < len(content) and not stream.has_ended:
            window = self._protocol.local_flow_control_window(stream.number)
            size = min(piece, window, self._protocol.max_outbound_frame_size, len(content) - at)
            if size > 0:
                self._protocol.send_data(stream.number, content[at : at + size])
                at += size
                await self._flush()
            else:
                await self._changed.wait()
        if ends and not stream.has_ended:
            self._protocol.end_stream(stream.number)
            await self._flush()

    async def acknowledge(self, number: int, size: int) -> None:
        self._protocol.acknowledge_received_data(size, number)
        await self._flush()

    async def reset(self, number: int) -> None:
        if self._streams.pop(number, None) is not None:
            self._protocol.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            await self._flush()

    # Private

    async def _read(self) -> None:
        """Read until the connection ends, and pass the reason on to all streams."""
        reason: Exception = EOFError("the server ended the connection")
        try:
            while data := await self._link.read():
                for event in self._protocol.receive_data(data):
                    self._process(event)
                await self._flush()
        except Exception as error:
            reason = error
        self._settled.set()
        for stream in self._streams.values():
            stream.put(reason)
        self._note_change()

    def _process(self, event: events.Event) -> None:
        match event:
            case events.RemoteSettingsChanged():
                self._settled.set()
                self._note_change()
            case events.WindowUpdated():
                self._note_change()
            case events.ConnectionTerminated():
                raise ConnectionError(f"GOAWAY: {event.error_code!r} {event.additional_data!r}")
            case events.ResponseReceived():
                self._put(event.stream_id, dict(event.headers))  # type: ignore[arg-type]
            case events.DataReceived() if event.stream_id in self._streams and event.data:
                self._put(event.stream_id, event.data)
            case events.DataReceived():
                self._protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case events.StreamEnded():
                self._put(event.stream_id, b"")
            case events.StreamReset():
                self._put(event.stream_id, StreamBroken(f"RST_STREAM: {event.error_code!r}"))
                self._streams.pop(event.stream_id, None)

    def _put(self, number: int | None, part: Part) -> None:
        if number in self._streams:
            self._streams[number].put(part)
            self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _flush(self) -> None:
        if data := self._protocol.data_to_send():
            await self._link.send(data)


@contextlib.asynccontextmanager
async def connected(place: Place, patience: float, window: int = 65535) -> AsyncIterator[Client]:
    """Open a connection within `patience` seconds, whose streams begin with `window`. It is dropped at the end."""
    async with asyncio.timeout(patience):
        link = await Link.open(place.over_http2())
    try:
        client = Client(link)
        async with asyncio.timeout(patience):
            reading = await client.start(window)
        try:
            yield client
        finally:
            reading.cancel()
    finally:
        link.drop()
