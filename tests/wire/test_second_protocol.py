"""A second protocol that multiplexes requests on one connection, built from the same parts as HTTP/1.1.

A frame has a length, a stream, a kind and a payload; heads are JSON. It runs in the server's protocol class, on
sockets.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pronghorn import backend
from pronghorn.config import Config
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.state import ServerState
from tests.support.forms import FORMS

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

PREFIX = struct.Struct("!IIB")
HEAD, DATA, END, RESET = range(4)
PATIENCE = 30


def frame(number: int, kind: int, payload: bytes = b"") -> bytes:
    return PREFIX.pack(len(payload), number, kind) + payload


def second_protocol(wire: Any) -> Any:
    """The protocol's connection class, built from one form of the hot path."""

    class StreamEncoder(wire.encoder.Encoder):  # type: ignore[misc]
        """Frames one response."""

        def __init__(self, number: int, shared: Any) -> None:
            self.begin()
            self.number = number
            self.shared = shared
            self.pending_head = b""

        def start(self, status: int, headers: Any, has_trailers: bool) -> None:
            fields = self.shared.default_fields + wire.encoder.checked_fields(headers)
            block = json.dumps([status, [[name.decode(), value.decode()] for name, value in fields]])
            self.pending_head = frame(self.number, HEAD, block.encode())
            self.status = status

        def head(self, out: list[bytes]) -> int:
            head, self.pending_head = self.pending_head, b""
            out.append(head)
            return len(head)

        def body(self, data: bytes, more: bool, out: list[bytes]) -> int:
            self.body_size += len(data)
            size = self.head(out)
            out.append(frame(self.number, DATA, data) + (b"" if more else frame(self.number, END)))
            return size + len(out[-1])

    class Stream(wire.channel.Channel):  # type: ignore[misc]
        """One request and its response."""

        def __init__(self, connection: Any, number: int, head: Any, has_body: bool) -> None:
            self.shared = shared = connection.shared
            super().__init__(shared, connection.writer.out)
            self.connection = connection
            self.number = number
            self.request = wire.request.new_request(
                head, has_body, StreamEncoder(number, shared), self, shared, connection.scope, connection.peer_text
            )

        def queued(self, size: int) -> None:
            self.connection.queued(size)

        def is_writable(self) -> bool:
            return bool(self.connection.writer.is_ready())

        def need_body(self) -> None:
            self.connection.pace()

        def skip_body(self, request: Any) -> None:
            pass  # frames of a stream that has ended are dropped

        def response_started(self, request: Any, status: int) -> None:
            if not self.shared.logs_at_end:
                self.shared.access_log.log(request, status)

        def exchange_ended(self) -> None:
            self._finish(self.request.encoder.status)

        def fail(self, request: Any, status: int) -> None:
            if request.is_lost():
                return
            if not request.is_refusable():
                self.out.append(frame(self.number, RESET))
                self.queued(len(self.out[-1]))
                self.lose()
                return
            encoder = StreamEncoder(self.number, self.shared)
            encoder.start(status, [], False)
            request.replace(encoder)
            self.response_started(request, status)
            self.queued(encoder.body(b"", False, self.out))
            self._finish(status)

        def abandon(self, request: Any) -> None:
            pass  # the stream has ended with its client

        def lose(self) -> None:
            """Nothing reaches the client from now on."""
            self.request.lose()
            self.disconnect_writers()
            self._finish(self.request.encoder.status)

        def crash(self, error: Exception) -> None:
            self.connection.crash(error)

        def _finish(self, status: int) -> None:
            del self.connection.streams[self.number]
            if self.shared.logs_at_end:
                self.shared.access_log.log(self.request, status)

    class Multiplexer(wire.endpoint.Endpoint):  # type: ignore[misc]
        """The connection: reads and writes frames, with a `Stream` for each running request."""

        def __init__(
            self, owner: Any, transport: Any, outbox: Any, shared: Any, client: Any, server: Any, fd: int, joins: bool
        ) -> None:
            self.writer = wire.writer.Writer(owner, transport, shared, fd, joins)
            self.owner = owner
            self.outbox = outbox
            self.shared = shared
            self.scope = shared.connection_scope(client, server) | {"http_version": "2", "extensions": {}}
            self.peer_text = "{}:{}".format(*client)
            self.streams: dict[int, Any] = {}
            self.buffer = b""
            self.is_paused = False
            self.is_in_outbox = False

        def receive(self, data: bytes) -> None:
            self.buffer += data
            while len(self.buffer) >= PREFIX.size:
                size, number, kind = PREFIX.unpack_from(self.buffer)
                end = PREFIX.size + size
                if len(self.buffer) < end:
                    break
                payload = self.buffer[PREFIX.size : end]
                self.buffer = self.buffer[end:]
                if kind == HEAD:
                    self.open(number, **json.loads(payload))
                elif stream := self.streams.get(number):
                    self.go_on(stream, kind, payload)
            self.pace()

        def open(self, number: int, method: str, path: str, has_body: bool) -> None:
            head = wire.head.new_head(method, "2", [(b"host", b"a")])
            target = path.encode()
            wire.http1_head.accept(head, target, 0, len(target), self.shared.limits)
            self.shared.total_requests += 1
            stream = self.streams[number] = Stream(self, number, head, has_body)
            self.owner.on_request(stream.request)

        def go_on(self, stream: Any, kind: int, payload: bytes) -> None:
            if kind == DATA:
                stream.request.feed(payload)
            elif kind == END:
                stream.request.finish_body()
            else:
                stream.lose()
                self.owner.on_left(stream.request)

        def pace(self) -> None:
            """Pause reading while an application has much of a body to receive."""
            limit = self.shared.limits.body_buffer_size
            is_full = any(stream.request.buffered > limit for stream in self.streams.values())
            if is_full != self.is_paused:
                self.is_paused = is_full
                (self.owner.pause if is_full else self.owner.resume)()

        def queued(self, size: int) -> None:
            if not self.is_in_outbox:
                self.is_in_outbox = True
                self.outbox.add(self)
            self.writer.queued(size)

        def leave_outbox(self) -> None:
            self.is_in_outbox = False
            for stream in self.streams.values():
                self.writer.queued(stream.request.frame_head())
            self.writer.flush()
            if self.writer.end_iteration():
                self.wake_writers()

        def pause_writing(self) -> None:
            self.writer.pause()

        def resume_writing(self) -> None:
            self.writer.deadline = 0
            if self.writer.resume():
                self.wake_writers()

        def wake_writers(self) -> None:
            for stream in self.streams.values():
                stream.wake_writers(None)

        def leave_inbox(self, failed: bool) -> None:
            self.owner.leave_inbox(failed)

        def end_input(self) -> None:
            self.owner.close()

        def lose(self) -> None:
            for stream in list(self.streams.values()):
                stream.lose()
            self.writer.lose()

        def on_tick(self, now: int) -> None:
            if self.writer.is_overdue(now):
                self.owner.on_slow_client("it has read nothing")
                self.owner.abort()

        def crash(self, error: Exception) -> None:
            self.owner.on_crash(error)

        def exchanges(self) -> list[Any]:
            return [stream.request for stream in self.streams.values()]

    return Multiplexer


class Client:
    """A client of the second protocol. `frames` are those received, by stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.frames: dict[int, list[tuple[int, bytes]]] = defaultdict(list)

    def ask(self, number: int, path: str, has_body: bool = False) -> None:
        said = {"method": "POST" if has_body else "GET", "path": path, "has_body": has_body}
        self.send(number, HEAD, json.dumps(said).encode())

    def send(self, number: int, kind: int, payload: bytes = b"") -> None:
        self.writer.write(frame(number, kind, payload))

    async def hear(self, number: int) -> tuple[int, bytes]:
        """The next frame of a stream."""
        while not self.frames[number]:
            size, other, kind = PREFIX.unpack(await self._reader.readexactly(PREFIX.size))
            self.frames[other].append((kind, await self._reader.readexactly(size)))
        return self.frames[number].pop(0)

    async def answer(self, number: int) -> tuple[int, bytes, int]:
        """The whole response of a stream: its status, its body and the kind of its last frame."""
        kind, payload = await self.hear(number)
        assert kind == HEAD
        status, fields = json.loads(payload)
        assert fields[0][0] == "date"
        parts = []
        while kind in (HEAD, DATA):
            kind, payload = await self.hear(number)
            parts.append(payload)
        return status, b"".join(parts), kind


@pytest.fixture
def serve(wire: Any, caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    """A function that serves routes while `visit(client, state)` runs, and returns the lines of the access log."""

    async def run(routes: Any, visit: Callable[..., Awaitable[None]], options: dict[str, Any]) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/raises":
                raise RuntimeError("before the response")
            await Starlette(routes=[Route(path, function, methods=["GET", "POST"]) for path, function in routes])(
                scope, receive, send
            )

        loop = asyncio.get_running_loop()
        config = Config(application, log_config=None, **options)
        config.load()
        state = ServerState()
        form = backend.form(FORMS[wire.form], wire.form)._replace(Connection=second_protocol(wire))
        state.prepare(config, form, loop, {})
        server = await loop.create_server(lambda: HTTPProtocol(state), "127.0.0.1", 0)
        client = Client(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        try:
            async with asyncio.timeout(PATIENCE):
                await visit(client, state)
                client.writer.close()
                while state.connections or state.tasks:
                    state.tick(1)
                    await asyncio.sleep(0.01)
        finally:
            client.writer.close()
            server.close()

    def serve(routes: Any, visit: Callable[..., Awaitable[None]], **options: Any) -> list[str]:
        with caplog.at_level(logging.INFO, "pronghorn.access"):
            asyncio.run(run(routes, visit, options))
        assert "Exception in a connection" not in caplog.text
        records = [record for record in caplog.records if record.name == "pronghorn.access"]
        return [getattr(record, "access_line", None) or record.getMessage() for record in records]

    return serve


def test_response_is_sent_and_logged(serve: Any) -> None:
    async def greet(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"hello by {request.scope['http_version']}")

    async def visit(client: Client, state: ServerState) -> None:
        client.ask(1, "/?a=1")
        assert await client.answer(1) == (200, b"hello by 2", END)
        assert state.total_requests == 1

    (line,) = serve([("/", greet)], visit)
    assert line.endswith('"GET /?a=1 HTTP/2" 200')


def test_stream_waits_for_its_client(serve: Any) -> None:
    part = bytes(65536)
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(400):
            sent += 1
            yield part

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    async def visit(client: Client, state: ServerState) -> None:
        client.ask(1, "/")
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        assert 0 < sent < 400
        (protocol,) = state.connections
        assert not protocol.connection.writer.is_ready()
        assert await client.answer(1) == (200, part * 400, END)

    serve([("/", stream)], visit)


def test_upload_is_read_in_parts(serve: Any) -> None:
    parts = [bytes([65 + index]) * 50000 for index in range(40)]
    may_read = asyncio.Event()

    async def upload(request: Request) -> PlainTextResponse:
        await may_read.wait()
        read = [part async for part in request.stream()]
        assert len(read) > 2
        return PlainTextResponse(f"{b''.join(read) == b''.join(parts)}")

    async def visit(client: Client, state: ServerState) -> None:
        client.ask(1, "/", has_body=True)
        for part in parts:
            client.send(1, DATA, part)
        client.send(1, END)
        await asyncio.sleep(0.05)
        (protocol,) = state.connections
        assert protocol.connection.is_paused
        may_read.set()
        assert await client.answer(1) == (200, b"True", END)

    serve([("/", upload)], visit)


def test_requests_run_concurrently(serve: Any) -> None:
    answered = asyncio.Event()

    async def wait(request: Request) -> PlainTextResponse:
        await answered.wait()
        return PlainTextResponse("last")

    async def answer(request: Request) -> PlainTextResponse:
        answered.set()
        return PlainTextResponse("first")

    async def visit(client: Client, state: ServerState) -> None:
        client.ask(1, "/wait")
        client.ask(2, "/answer")
        assert await client.answer(1) == (200, b"last", END)
        assert client.frames[2][1:] == [(DATA, b"first"), (END, b"")]

    lines = serve([("/wait", wait), ("/answer", answer)], visit)
    assert [line.split()[-3:] for line in lines] == [["/answer", 'HTTP/2"', "200"], ["/wait", 'HTTP/2"', "200"]]


def test_failed_application_ends_only_its_stream(serve: Any) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("in the body")

    async def break_off(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    async def visit(client: Client, state: ServerState) -> None:
        client.ask(1, "/raises")
        assert await client.answer(1) == (500, b"", END)
        client.ask(2, "/")
        assert await client.answer(2) == (200, b"begun", RESET)

    lines = serve([("/", break_off)], visit, access_log_format="%(U)s %(s)s %(B)s")
    assert lines == ["/raises 500 0", "/ 200 5"]


@pytest.mark.parametrize("leaves", ["stream", "connection"])
def test_lost_client_is_reported_to_the_application(serve: Any, leaves: str) -> None:
    waiting = asyncio.Event()
    heard: list[Any] = []

    async def wait(request: Request) -> PlainTextResponse:
        assert await request.receive() == {"type": "http.request", "body": b"", "more_body": False}
        waiting.set()
        heard.append(await request.receive())
        return PlainTextResponse("for nobody")

    async def visit(client: Client, state: ServerState) -> None:
        client.ask(1, "/")
        await waiting.wait()
        if leaves == "connection":
            client.writer.transport.abort()
            return
        client.send(1, RESET)
        client.ask(2, "/raises")
        assert (await client.answer(2))[0] == 500
        assert not client.frames[1]

    serve([("/", wait)], visit)
    assert heard == [{"type": "http.disconnect"}]
