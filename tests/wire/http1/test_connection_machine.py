"""A state machine of one connection: client, transport, event loop and applications take any steps.

Hypothesis chooses the steps. After each of them the invariants of `Side.check` hold; at the end, when time has passed
and every application has returned, those of `Side.check_end`. The third test runs both forms side by side.

To run it for longer, with other steps in each run:

    python -m pytest tests/wire/http1/test_connection_machine.py --hypothesis-profile=long --hypothesis-seed=1
"""

from __future__ import annotations

import re
import socket
import sys
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pronghorn._wire.http1.connection import DISCARDING, IDLE
from pronghorn.errors import ClientDisconnected
from pronghorn.logging.access_format import BYTES
from pronghorn.metrics import layout
from tests.support.forms import load_form
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame, served
from tests.support.rig import WAITING, Future, Rig

# Windows has neither.
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

# asyncio's water marks in bytes: a transport calls `pause_writing` above the first, `resume_writing` at the second.
HIGH_WATER, LOW_WATER = 65536, 16384
# Maximum a transport reads at once.
READ_SIZE = 262144
SECONDS_TO_THE_END = 300


class Subject:
    """The connection under test. Only this class knows the names of its interface and of the objects it starts."""

    def __init__(self, rig: Any, wire: Any) -> None:
        self._rig = rig
        self._wire = wire
        self._connection = rig.connection
        self.body_bound = rig.limits.body_buffer_size
        self.discard_bound = rig.limits.discard_size

    # Events

    def receive(self, data: bytes) -> None:
        self._connection.receive(data)

    def end_input(self) -> None:
        self._connection.end_input()

    def lose(self) -> None:
        self._connection.lose()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def drain(self) -> None:
        self._rig.shared.draining = True
        self._connection.drain()

    def pass_second(self) -> None:
        now = self._rig.shared.now + 1
        self._rig.shared.tick(now)
        self._wire.endpoint.sweep([self._connection], now)

    # Observations

    def exchange(self) -> Any:
        exchanges = self._connection.exchanges()
        return exchanges[0] if exchanges else None

    def is_idle(self) -> bool:
        return bool(self._connection.is_idle() and self._connection.reading == IDLE)

    def is_discarding(self) -> bool:
        return bool(self._connection.reading == DISCARDING)

    def is_writable(self) -> bool:
        return bool(self._connection.is_writable())

    def unsent(self) -> list[bytes]:
        return list(self._connection.out)

    def state(self) -> tuple[Any, ...]:
        """Observations that both forms share."""
        connection = self._connection
        return (
            connection.is_idle(),
            connection.reading,
            connection.is_writable(),
            connection.deadline,
            connection.writer.deadline,
        )

    def check_metrics(self) -> None:
        """Every request was counted once, and none is in progress."""
        assert self._rig.counted(layout.ACTIVE_REQUESTS) == 0
        statuses = len(layout.METHODS) * len(layout.STATUSES)
        assert self._rig.counted(layout.REQUESTS, statuses) == self._rig.shared.total_requests

    @staticmethod
    def access_lines(wire: Any, log: Any, at_end: bool) -> Any:
        """Lines for `log` when responses start, or when they are complete."""
        log.pieces = [(BYTES, "")]
        return (wire.access_log.FormattedLines if at_end else wire.access_log.AccessLines)(log, None)

    @staticmethod
    def is_lost(request: Any) -> bool:
        return bool(hasattr(request, "is_lost") and request.is_lost())

    @staticmethod
    def send_has_failed(exchange: Any) -> bool:
        return bool(exchange.send_has_failed())

    def end_http(self, request: Any) -> str:
        """Do what the server does when an application has ended; return "answered", "abandoned" or "failed"."""
        if request.is_complete() and not request.is_lost():
            return "answered"
        if request.is_lost() or request.knows_client_left():
            request.abandon()
            return "abandoned"
        request.fail(500)
        return "failed"

    def end_websocket(self, session: Any, failed: bool) -> str:
        if session.finish(failed):
            return "answered"
        session.fail(500)
        return "failed"


class TaskFuture(Future):
    """A future that a task can cancel."""

    def cancel(self) -> None:
        if not self.done():
            self.set_exception(CancelledError())


class Task:
    """Drives a coroutine as asyncio does: immediately until it waits, then in later iterations."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], soon: list[Callable[[], None]]) -> None:
        self._coroutine = coroutine
        self._soon = soon
        self._is_cancelled = False
        self.result: Any = WAITING
        self.future: Any = None
        self._step()

    def is_waiting(self) -> bool:
        """True until an event wakes it."""
        return self.result is WAITING and self.future is not None and not self.future.done()

    def cancel(self) -> None:
        if self.result is WAITING:
            self._is_cancelled = True
            if self.future is not None:
                self.future.cancel()

    def _step(self) -> None:
        try:
            if self._is_cancelled:
                self._is_cancelled = False
                self.future = self._coroutine.throw(CancelledError())
            else:
                self.future = self._coroutine.send(None)
        except StopIteration as end:
            self.result = end.value
        except (Exception, CancelledError) as error:
            self.result = error
        else:
            if self.future is None:
                self._soon.append(self._step)
            else:
                self.future.add_done_callback(lambda: self._soon.append(self._step))


# The client's side


@dataclass
class Message:
    """A request the client sends. `start`, `body_start` and `end` are positions in its stream."""

    number: int
    start: int
    body_start: int
    end: int
    method: str = "GET"
    http11: bool = True
    content: bytes = b""
    expects: bool = False
    is_websocket: bool = False
    is_malformed: bool = False


@dataclass
class Client:
    """The client's stream: `sent` bytes so far, of which `network` has not arrived. `frames` are the complete
    messages of a WebSocket, each with its end position.
    """

    messages: list[Message] = field(default_factory=list)
    frames: list[tuple[int, str | bytes]] = field(default_factory=list)
    network: bytes = b""
    sent: int = 0
    is_spoilt: bool = False
    has_ended: bool = False

    @property
    def arrived(self) -> int:
        return self.sent - len(self.network)

    @property
    def upgrades(self) -> bool:
        return bool(self.messages) and self.messages[-1].is_websocket

    def send(self, data: bytes) -> None:
        self.network += data
        self.sent += len(data)

    def request(self, head: bytes, body: bytes, before: bytes = b"", **message: Any) -> None:
        """Send a request; `head` has a place for its number."""
        number = len(self.messages)
        head = head.replace(b"/N", b"/%d" % number)
        start = self.sent + len(before)
        self.messages.append(Message(number, start, start + len(head), start + len(head) + len(body), **message))
        self.send(before + head + body)

    def take(self, size: int) -> bytes:
        data, self.network = self.network[:size], self.network[size:]
        return data

    def leave_out_the_rest(self) -> None:
        """Never send the bytes that have not arrived."""
        self.sent = self.arrived
        self.network = b""


@dataclass
class Response:
    """The part of a response received so far. `interim` are the statuses before its own."""

    interim: list[int]
    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    content: bytes = b""
    is_complete: bool = False
    until_close: bool = False

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name]

    def closes(self) -> bool:
        return b"close" in self.values(b"connection")


_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\x20-\x7e]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ ]?([^\r\n\0]*)")


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    fields = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        assert match, line
        fields.append((match[1], match[2]))
    return fields


def read_responses(data: bytes, methods: list[str]) -> tuple[list[Response], bytes]:
    """The responses in `data` to requests with `methods`, and the bytes after a 101. The last one may be incomplete."""
    responses: list[Response] = []
    position = 0
    interim: list[int] = []
    while position < len(data):
        end = data.find(b"\r\n\r\n", position)
        if end < 0:
            responses.append(Response(interim))
            break
        line, *lines = data[position:end].split(b"\r\n")
        match = _STATUS_LINE.fullmatch(line)
        assert match, line
        status = int(match[1])
        fields = _fields(lines)
        position = end + 4
        if status in (100, 103):
            interim.append(status)
            continue
        response = Response(interim, status, fields)
        interim = []
        responses.append(response)
        if status == 101:
            response.is_complete = True
            return responses, data[position:]
        method = methods[len(responses) - 1] if len(responses) <= len(methods) else "GET"
        lengths = response.values(b"content-length")
        codings = response.values(b"transfer-encoding")
        assert len(lengths) + len(codings) <= 1, fields
        if method == "HEAD" or status in (204, 304):
            response.is_complete = True
        elif lengths:
            size = int(lengths[0])
            response.content = data[position : position + size]
            response.is_complete = len(response.content) == size
            position += size
        elif codings:
            assert codings == [b"chunked"]
            position = _read_chunks(data, position, response)
        else:
            response.until_close = True
            response.content = data[position:]
            position = len(data)
        if not response.is_complete:
            break
    else:
        if interim:
            responses.append(Response(interim))
    return responses, b""


def _read_chunks(data: bytes, position: int, response: Response) -> int:
    pieces = []
    while (end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:end], 16)
        position = end + 2
        if size == 0:
            end = position - 2 if data.startswith(b"\r\n", position) else data.find(b"\r\n\r\n", position)
            if end >= 0:
                _fields(data[position:end].split(b"\r\n") if end > position else [])
                response.is_complete = True
                position = end + 4
            break
        pieces.append(data[position : position + size])
        behind = data[position + size : position + size + 2]
        assert b"\r\n".startswith(behind), behind
        position += size + 2
    response.content = b"".join(pieces)
    return position


# The application's side


class Call:
    """One call of the application: the messages it sent and received. The machine starts its tasks and ends it."""

    def __init__(self, side: Side, exchange: Any, number: int) -> None:
        self._side = side
        self.exchange = exchange
        self.number = number
        self.is_websocket = exchange.scope["type"] == "websocket"
        self.tasks: list[Task] = []
        self.in_receive = 0
        self.in_send = 0
        self.end: str | None = None
        self.heard: list[dict[str, Any]] = []
        self.accepted: list[dict[str, Any]] = []

    @property
    def content(self) -> bytes:
        """The response's content that `send()` accepted."""
        return b"".join(message.get("body", b"") for message in self.accepted if message["type"].endswith("body"))

    @property
    def received(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.heard)

    @property
    def received_messages(self) -> list[str | bytes]:
        messages = [message for message in self.heard if message["type"] == "websocket.receive"]
        return [message["text"] if "text" in message else message["bytes"] for message in messages]

    def has_started(self) -> bool:
        return any(message["type"] == "http.response.start" for message in self.accepted)

    def has_all(self) -> bool:
        """True once `receive()` has given the whole body."""
        return any(message.get("more_body") is False for message in self.heard)

    def has_finished(self) -> bool:
        """True once it has sent its whole response."""
        ends = {"http.response.body": "more_body", "http.response.trailers": "more_trailers"}
        ended = {m["type"] for m in self.accepted if m["type"] in ends and not m.get(ends[m["type"]])}
        trailers = any(message.get("trailers") for message in self.accepted)
        return "http.response.body" in ended and (not trailers or "http.response.trailers" in ended)

    def receive(self) -> None:
        self._do(self.receive_message())

    def send(self, message: dict[str, Any]) -> None:
        self._do(self.send_message(message))

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(Task(coroutine, self._side.soon))

    def run(self, application: Callable[[Call], Coroutine[Any, Any, None]]) -> None:
        """Run the whole application as one coroutine."""

        async def whole() -> None:
            try:
                await application(self)
            except (Exception, CancelledError):
                self.finish("raised")
            else:
                self.finish("returned")

        self._do(whole())

    async def receive_message(self) -> dict[str, Any]:
        self.in_receive += 1
        try:
            message: dict[str, Any] = await self.exchange.receive()
        finally:
            self.in_receive -= 1
        self.heard.append(message)
        return message

    async def send_message(self, message: dict[str, Any]) -> None:
        if message["type"].endswith("response.start"):
            own = (b"x-request", b"%d" % self.number)
            message = {**message, "headers": [own, *message.get("headers", ())]}
        message = dict(message)
        self.accepted.append(message)
        self.in_send += 1
        try:
            await self.exchange.send(message)
        except (CancelledError, ClientDisconnected):
            raise  # the message may have been taken
        except Exception:
            self.accepted = [each for each in self.accepted if each is not message]
            raise
        finally:
            self.in_send -= 1

    def finish(self, how: str) -> None:
        """End the call, as the server does when the application returned, raised or was cancelled."""
        if self.end is None:
            self.end = how
            subject = self._side.subject
            if self.is_websocket:
                self.end = subject.end_websocket(self.exchange, how != "returned")
            else:
                self.end = subject.end_http(self.exchange)

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
        self._side.soon.append(lambda: self.finish("cancelled"))

    def cancel_unless_send_failed(self) -> None:
        if not self._side.subject.send_has_failed(self.exchange):
            self.cancel()

    def respond(self, content: bytes, parts: int) -> None:
        """Send the rest of a whole response."""
        if self.is_websocket:
            self.send({"type": "websocket.http.response.start", "status": 403})
            self.send({"type": "websocket.http.response.body", "body": content})
            return
        if not self.has_started():
            self.send({"type": "http.response.start", "status": 200})
        for _ in range(parts):
            self.send({"type": "http.response.body", "body": content, "more_body": True})
        self.send({"type": "http.response.body"})
        self.send({"type": "http.response.trailers"})


async def echo(call: Call) -> None:
    """Answer with the request's body once all of it has come."""
    if call.is_websocket:
        await call.send_message({"type": "websocket.accept"})
        while (message := await call.receive_message())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                await call.send_message({**message, "type": "websocket.send"})
        return
    while not call.has_all():
        if (await call.receive_message())["type"] == "http.disconnect":
            return
    await call.send_message({"type": "http.response.start", "status": 200})
    await call.send_message({"type": "http.response.body", "body": call.received})


async def answer(call: Call) -> None:
    """Answer immediately."""
    if call.is_websocket:
        await call.send_message({"type": "websocket.close"})
        return
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    await call.send_message(start)
    await call.send_message({"type": "http.response.body", "body": b"ok"})


class Log:
    """An access log that records the numbers of requests."""

    level_prefix = before_request = after_request = ""
    as_json = False

    def __init__(self) -> None:
        self.pieces: list[tuple[int, str]] = []
        self.numbers: list[int] = []

    def batchable(self) -> bool:
        return False

    def record(self, client: str, method: str, target: str, version: str, status: int, line: str | None) -> None:
        self.numbers.append(int(target[1:]))


@dataclass
class Choices:
    """Settings of one connection."""

    direct: bool
    joins: bool
    ignores_lost: bool
    cancels: bool
    logs_at_end: bool
    bounds_bodies: bool


class Side(Rig):
    """One form's connection with a simulated client socket, asyncio transport, loop and applications."""

    LIMITS = (*Rig.LIMITS, "queued_messages")

    def __init__(self, form: str, choices: Choices) -> None:
        wire = load_form(form)
        self.form = form
        self.choices = choices
        self.client = Client()
        self.applications: list[Call] = []
        self.plan = "accepts"
        self.log = Log()
        self.ours, self.theirs = socket.socketpair()
        for end in (self.ours, self.theirs):
            end.setblocking(False)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        # The transport.
        self.buffer = bytearray()
        self.is_reading = True
        self.is_full = False
        # Bytes that had arrived when the connection was closed, idle or at a timeout. Later bytes crossed the close and
        # need no answer.
        self.accepted_size = sys.maxsize
        self.drained = False
        self.eof_received = False
        self.eof_written = False
        self.is_closed = False
        self.has_ended = False
        self.final_size: int | None = None
        self.is_lost = False
        self.lost_due = False
        # The client.
        self.output = bytearray()
        self.reads = True
        self.was_reset = False
        self.responses: list[Response] = []
        self.frames = b""
        self._parsed = self._checked = 0

        def make(owner: Any, transport: Any, outbox: Any, shared: Any, client: Any, server: Any) -> Any:
            fd = self.ours.fileno() if choices.direct else -1
            return wire.connection.Connection(owner, transport, outbox, shared, client, server, fd, choices.joins)

        super().__init__(
            wire,
            kind=make,
            create_future=TaskFuture,
            access_log=Subject.access_lines(wire, self.log, choices.logs_at_end),
            ignores_lost=choices.ignores_lost,
            queued_messages=3,
            body_size=100000 if choices.bounds_bodies else 0,
        )
        self.soon = self._soon
        self.subject = Subject(self, wire)

    def dispose(self) -> None:
        self.ours.close()
        self.theirs.close()

    # Interfaces of the owner and the transport

    def on_request(self, request: Any) -> None:
        self._start(request)

    def on_websocket(self, session: Any) -> None:
        self._start(session)

    def _start(self, exchange: Any) -> None:
        assert not self.is_over(), "an application was started after the end"
        assert not self.refused, "an application was started after a refusal"
        number = len(self.applications)
        assert exchange.scope["path"] == f"/{number}", "requests out of order"
        assert number < len(self.client.messages), "a request that was not sent"
        call = Call(self, exchange, number)
        self.applications.append(call)
        if self.plan == "crowded":
            call.end = "failed"
            exchange.fail(503)
        elif self.plan == "answers":
            call.run(answer)
        elif self.plan == "echoes":
            call.run(echo)
        elif self.plan == "returns":
            call.finish("returned")
        elif self.plan == "accepts" and call.is_websocket:
            call.receive()
            call.send({"type": "websocket.accept"})

    def on_upgrade(self, request: Any) -> None:
        assert not self.is_over()

    def on_accepted(self, session: Any) -> None:
        assert not self.is_over()

    def on_denied(self, session: Any, status: int) -> None:
        pass

    def on_closed(self, session: Any) -> None: ...

    def on_left(self, exchange: Any) -> None:
        self.calls.append("left")
        if self.choices.cancels:
            self._cancel_application(self.subject.exchange())

    def on_crash(self, error: Exception) -> None:
        raise error

    def on_log_failed(self, error: Exception) -> None:
        raise error

    def pause(self) -> None:
        assert self.is_reading, "paused twice"
        assert not self.is_lost
        self.is_reading = False
        self.calls.append("pause")

    def resume(self) -> None:
        assert not self.is_reading, "resumed twice"
        assert not self.is_lost
        self.is_reading = True
        self.calls.append("resume")

    def finish_writing(self) -> None:
        assert not self.is_over(), "ended twice"
        self.eof_written = True
        self.calls.append("finish_writing")
        self._note_size()

    def close(self) -> None:
        assert not self.has_ended, "closed twice"
        assert not self.is_lost
        self.calls.append("close")
        self.has_ended = self.is_closed = True
        self._note_size()
        self._lose_soon_if_written()

    def abort(self) -> None:
        assert not self.is_lost
        self.calls.append("abort")
        self.has_ended = self.is_closed = True
        self.buffer.clear()
        self.final_size = None
        self._note_size()
        self._lose_soon_if_written()

    def is_closing(self) -> bool:
        return self.is_closed

    def unsent(self) -> int:
        return len(self.buffer)

    def unread(self) -> int:
        return len(self.buffer) + self._in_socket()

    def delivered(self, handed: int) -> int:
        return len(self.output)

    def has_left(self) -> bool:
        return self.was_reset or (self.client.has_ended and not self.is_closed)

    def write(self, data: bytes) -> None:
        assert not self.is_closed, "written after close"
        assert not self.eof_written, "written after the stream's end"
        self.buffer += data
        self._push()
        if not self.is_full and len(self.buffer) > HIGH_WATER:
            self.is_full = True
            self.subject.pause_writing()

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    # Events

    def arrive(self, size: int) -> None:
        """Some of the client's bytes, or the end of its stream, reach the transport."""
        client = self.client
        if self.is_closed or self.is_lost or not self.is_reading or self.eof_received or self.was_reset:
            return
        if client.network:
            self.subject.receive(client.take(min(size, READ_SIZE)))
        elif client.has_ended:
            self.eof_received = True
            self.subject.end_input()

    def read(self, size: int) -> None:
        """The client reads up to `size` bytes, and the transport writes more."""
        while size > 0 and not self.was_reset:
            try:
                data = self.theirs.recv(min(size, 65536))
            except BlockingIOError:
                data = b""
            self.output += data
            size -= len(data)
            self._push()
            if not data:
                break

    def reset(self) -> None:
        """The client resets. The transport notices when it reads or writes."""
        if not self.was_reset:
            self.was_reset = True
            self.theirs.close()

    def iterate(self) -> None:
        """One iteration of the event loop."""
        if self.reads:
            self.read(1 << 30)
        self.one_turn()
        self._push()
        if self.was_reset and not self.lost_due and (self.buffer or (self.is_reading and not self.eof_received)):
            self.is_closed = True
            self.buffer.clear()
        if self.is_full and len(self.buffer) <= LOW_WATER and not self.is_lost:
            self.is_full = False
            self.subject.resume_writing()
        self._lose_soon_if_written()
        if not self.soon and not self.is_over() and not self.is_closed:
            assert not self.subject.unsent(), "left in the outbox"

    def settle(self) -> None:
        """Iterate until nothing is due."""
        for _ in range(2000):
            self.iterate()
            if not self.soon and not (self.reads and self._has_more_to_read()):
                return
        raise AssertionError("the loop does not come to rest")

    def _has_more_to_read(self) -> bool:
        return not self.was_reset and bool(self.buffer or self._in_socket())

    def pass_seconds(self, count: int) -> None:
        for _ in range(count):
            if self.is_lost:
                break
            self._pass_second()
            self.settle()

    def drain(self) -> None:
        if not self.is_lost:
            if self.subject.is_idle():
                self.accepted_size = min(self.accepted_size, self.client.arrived)
            self.drained = True
            self.subject.drain()

    def pause_writing(self) -> None:
        """The transport reports that it is above its high-water mark."""
        if not self.is_over() and not self.is_full:
            self.is_full = True
            self.subject.pause_writing()

    def is_over(self) -> bool:
        """True once nothing may be written and no application may start."""
        return self.has_ended or self.is_lost or self.eof_written

    # Private

    def _pass_second(self) -> None:
        was_open = not self.subject.is_discarding()
        self.subject.pass_second()
        if was_open and self.subject.is_discarding():
            self.accepted_size = min(self.accepted_size, self.client.arrived)

    def _note_size(self) -> None:
        """Record the size of all output; any more would be a failure."""
        if self.final_size is None:
            self.final_size = len(self.output) + self._in_socket() + len(self.buffer)

    def _in_socket(self) -> int:
        if self.was_reset:
            return 0
        answer = fcntl.ioctl(self.theirs, termios.FIONREAD, bytes(4))
        return int.from_bytes(answer, sys.byteorder)

    def _push(self) -> None:
        """The transport writes as much as the socket accepts."""
        if self.was_reset:
            return
        while self.buffer:
            try:
                sent = self.ours.send(self.buffer)
            except BlockingIOError:
                return
            del self.buffer[:sent]

    def _lose_soon_if_written(self) -> None:
        if self.is_closed and not self.buffer and not self.lost_due:
            self.lost_due = True
            self.soon.append(self._lose)

    def _lose(self) -> None:
        exchange = self.subject.exchange()
        if exchange is not None and self.choices.cancels:
            self._cancel_application(exchange)
        self.subject.lose()
        self.is_lost = True

    def _cancel_application(self, exchange: Any) -> None:
        for call in self.applications:
            if call.exchange is exchange and call.end is None:
                self.soon.append(call.cancel_unless_send_failed)

    # Invariants

    def parse(self) -> list[Response]:
        if self._parsed != len(self.output):
            # The server does not know the method of an incomplete head.
            methods = [message.method for message in self.client.messages[: len(self.applications)]]
            self.responses, self.frames = read_responses(bytes(self.output), methods)
            self._parsed = len(self.output)
        return self.responses

    def check(self) -> None:
        """Invariants after every step."""
        assert not self.failures
        assert len(self.refused) <= 1, "refused twice"
        self._check_output()
        for call in self.applications:
            self._check_input(call)
        assert len(set(self.log.numbers)) == len(self.log.numbers), "logged twice"
        if self.is_lost:
            for call in self.applications:
                assert not any(task.is_waiting() for task in call.tasks), "left waiting"
        elif not self.soon:
            self._check_rest()

    def _check_output(self) -> None:
        """Responses come in the order of requests, one for each, with the content their applications sent."""
        if self._checked == len(self.output):
            return
        responses = self.parse()
        self._checked = len(self.output)
        begun = [message for message in self.client.messages if message.start < self.client.arrived]
        assert len(responses) <= len(begun), "an answer without a request"
        for message, response in zip(begun, responses, strict=False):
            started = message.number < len(self.applications)
            assert response.interim.count(100) <= message.expects, "a 100 that was not asked for"
            if response.values(b"x-request"):
                assert started
                assert response.values(b"x-request") == [b"%d" % message.number], "answers out of order"
                if not message.is_websocket:
                    call = self.applications[message.number]
                    content = b"" if message.method == "HEAD" or response.status in (204, 304) else call.content
                    assert content.startswith(response.content), "content that nobody sent"
            if response is not responses[-1]:
                assert response.is_complete
                assert not response.closes(), "an answer after the last"
        if self.frames:
            self._check_frames()

    def _check_frames(self) -> None:
        call = self.applications[-1]
        frames = served(self._whole_frames())
        kinds = [kind for kind, _, _ in frames]
        if CLOSE in kinds:
            assert set(kinds[kinds.index(CLOSE) + 1 :]) <= {PONG}, "a frame after the close"
        got = [payload for kind, _, payload in frames if kind in (TEXT, BINARY)]
        said = [message for message in call.accepted if message["type"] == "websocket.send"]
        expected = [m["text"].encode() if m.get("text") is not None else m["bytes"] for m in said]
        assert expected[: len(got)] == got, "messages that nobody sent"

    def _whole_frames(self) -> bytes:
        data = self.frames
        position = 0
        while position + 2 <= len(data):
            length = data[position + 1]
            head = 2 if length < 126 else 4 if length == 126 else 10
            if length > 125:
                length = int.from_bytes(data[position + 2 : position + head], "big")
            if position + head + length > len(data):
                break
            position += head + length
        return data[:position]

    def _check_input(self, call: Call) -> None:
        """An application gets every byte its client sent, exactly once."""
        message = self.client.messages[call.number]
        if call.is_websocket:
            sent = [content for end, content in self.client.frames if end <= self.client.arrived]
            got = call.received_messages
            assert sent[: len(got)] == got, "messages that the client did not send"
        else:
            assert sum(each.get("more_body") is False for each in call.heard) <= 1, "a body that ends twice"
            assert message.content.startswith(call.received), "content that the client did not send"
            if call.has_all() and not message.is_malformed:
                assert call.received == message.content, "a body without its end"

    def _check_rest(self) -> None:
        """Invariants while the event loop has nothing to do."""
        if self.is_over() or self.is_closed:
            return
        paused = not self.is_reading
        calls = self.applications
        call = calls[-1] if calls else None
        message = self.client.messages[call.number] if call is not None else None
        arrived = self.client.arrived
        under_way = call is not None and self.subject.exchange() is call.exchange
        if not self.is_full:
            assert self.subject.is_writable(), "nothing is unread"
            assert not any(each.in_send for each in calls), "send() waits for nothing"
        if paused:
            self._check_pause(call if under_way else None, message)
        if not self.is_full and not self._has_unread() and not self.was_reset:
            self._check_progress(call, under_way)
        if not under_way or message is None or call is None:
            return
        if call.is_websocket and call.in_receive and self.parse() and self.responses[-1].status == 101:
            came = sum(end <= arrived for end, _ in self.client.frames)
            assert len(call.received_messages) == came, "receive() waits for a message that has come"
        if call.in_receive and not call.is_websocket and not message.is_malformed and not call.has_all():
            assert arrived < message.end, "receive() waits for what has come"
            if message.expects and arrived == message.body_start and not call.has_started() and not self._has_unread():
                assert 100 in self.parse()[call.number].interim, "the client waits for a 100"

    def _check_progress(self, call: Call | None, under_way: bool) -> None:
        """All output is written, and every request that can start has started."""
        messages = self.client.messages
        arrived = self.client.arrived
        number = len(self.applications)
        if not under_way and number < len(messages) and not messages[number].is_malformed:
            assert arrived < messages[number].body_start, "a request that waits for nothing"
        if call is None or call.is_websocket or self.subject.is_lost(call.exchange):
            return
        message = messages[call.number]
        finished = call.has_finished()
        if not message.is_malformed:
            assert not (under_way and finished and arrived >= message.end), "a request that does not end"
        responses = self.parse()
        if call.has_started():
            assert len(responses) == number, "a response that was not written"
            response = responses[-1]
            if message.method != "HEAD" and response.status == 200:
                assert response.content == call.content, "content that was not written"
            assert response.is_complete or not finished, "an end that was not written"

    def _has_unread(self) -> bool:
        return bool(self.buffer) or self._in_socket() > 0

    def _check_pause(self, call: Call | None, message: Message | None) -> None:
        if self.is_full:
            return
        assert call is not None, "paused for nobody"
        assert message is not None
        if call.is_websocket:
            if not self.parse() or self.responses[-1].status != 101:
                return
            assert not call.in_receive, "paused while the application waits"
            return
        if message.is_malformed or (self.drained and call.has_started()):
            return
        bound = self.subject.body_bound
        kept = self.client.arrived - message.end
        content = len(message.content) - len(call.received)
        assert kept > bound or content > bound, "paused for nothing"

    # The end

    def run_to_the_end(self, comes: bool, reads: bool, stays: int, responds: bool) -> None:
        """Let time pass. With `comes` all of the client's bytes arrive; with `reads` it keeps reading. The applications
        run for `stays` seconds; with `responds` they then answer.
        """
        if not reads:
            self.reads = False
        elif not self.was_reset:
            self.reads = True
        for second in range(SECONDS_TO_THE_END):
            if comes:
                for _ in range(20):
                    self.arrive(READ_SIZE)
                    self.settle()
            else:
                self.settle()
            if second >= stays:
                for call in self.applications:
                    if call.end is None:
                        if responds:
                            call.respond(b"end", 1)
                            self.settle()
                        call.finish("returned")
                self.plan = "answers"
            self.settle()
            self.check()
            if self.is_lost:
                break
            self._pass_second()
        self.check_end()

    def check_end(self) -> None:
        """Every started head was answered or refused, unless there is a valid excuse."""
        assert self.is_lost, "a connection that never ends"
        if not self.was_reset:
            while self._has_more_to_read():
                self.read(1 << 30)
            assert self.final_size == len(self.output), "written after the end"
        responses = self.parse()
        for message in self.client.messages:
            if message.start >= min(self.client.arrived, self.accepted_size):
                break
            response = responses[message.number] if message.number < len(responses) else None
            if response is not None and response.until_close:
                response.is_complete = "abort" not in self.calls
            if response is None or not response.is_complete:
                self._check_excuse(message)
                break
            if response.closes() or response.until_close:
                break
        self._check_log()
        self.subject.check_metrics()

    def _check_excuse(self, message: Message) -> None:
        if self.was_reset or self.cuts:
            return
        call = self.applications[message.number] if message.number < len(self.applications) else None
        if call is not None:
            if call.is_websocket and self.client.has_ended:
                return
            assert call.end in ("abandoned", "failed") or self.refused or not self.reads, "an answer was lost"
            return
        if self.refused:
            return
        # No application was started for it.
        before = self.client.messages[message.number - 1] if message.number else None
        if before is not None and (before.expects or before.end - before.body_start > self.subject.discard_bound):
            return  # its body was not read to its end
        if before is not None and self.applications[before.number].end in ("abandoned", "failed"):
            return
        assert self.client.has_ended, "a head that has begun was dropped"
        assert self.client.arrived < message.end, "a request was dropped"

    def _check_log(self) -> None:
        for call in self.applications[: len(self.responses)]:
            response = self.responses[call.number]
            if self.refused and response is self.responses[-1]:
                continue
            if self.choices.ignores_lost and self.choices.logs_at_end and self.subject.is_lost(call.exchange):
                continue
            if response.is_complete and not call.is_websocket:
                assert call.number in self.log.numbers, "an answer that was not logged"

    def seen(self) -> tuple[Any, ...]:
        """Everything observable, for comparison with the other form."""
        tasks = [[_plain(task.result) for task in call.tasks] for call in self.applications]
        return (
            len(self.output),
            self.responses,
            self.calls,
            self.cuts,
            [str(error) for error in self.refused],
            tasks,
            [(call.end, call.heard) for call in self.applications],
            self.log.numbers,
            len(self.buffer),
            None if self.is_lost else self.subject.state(),
        )


def _plain(result: Any) -> Any:
    return (type(result), str(result)) if isinstance(result, BaseException) else result


HEADERS: list[list[tuple[bytes, bytes]]] = [
    [],
    [],
    [(b"content-length", b"2")],
    [(b"Content-Length", b"70000")],
    [(b"content-length", b"0")],
    [(b"connection", b"close")],
    [(b"transfer-encoding", b"chunked")],
    [(b"a b", b"")],
]
STARTS = st.builds(
    lambda status, headers, trailers: {
        "type": "http.response.start",
        "status": status,
        "headers": headers,
        "trailers": trailers,
    },
    st.sampled_from([200, 200, 200, 204, 304, 500]),
    st.sampled_from(HEADERS),
    st.sampled_from([False, False, False, True]),
)
BODIES = st.builds(
    lambda size, more: {"type": "http.response.body", "body": b"o" * size, "more_body": more},
    st.sampled_from([0, 0, 1, 2, 2, 70000, 600000]),
    st.booleans(),
)
OTHERS = st.sampled_from(
    [
        {"type": "http.response.trailers", "headers": [(b"x-a", b"1")]},
        {"type": "http.response.trailers", "headers": [(b"x-a", b"1")], "more_trailers": True},
        {"type": "http.response.early_hint", "links": [b"<a>"]},
        {"type": "http.response.pathsend", "path": "/a"},
    ]
)
SOCKET_MESSAGES = st.one_of(
    st.just({"type": "websocket.accept"}),
    st.just({"type": "websocket.accept"}),
    st.just({"type": "websocket.send", "text": "text"}),
    st.builds(lambda size: {"type": "websocket.send", "bytes": b"b" * size}, st.sampled_from([0, 70000])),
    st.builds(lambda code: {"type": "websocket.close", "code": code}, st.sampled_from([1000, 1006])),
    st.just({"type": "websocket.http.response.start", "status": 404}),
    st.builds(lambda more: {"type": "websocket.http.response.body", "body": b"no", "more_body": more}, st.booleans()),
)
SIZES = st.sampled_from([1 << 30, 1 << 30, 1 << 30, 1, 2, 5, 30, 65536, 70000])
GARBAGE = {
    "no request": b"bad\r\n\r\n",
    "LF": b"\n",
    "no Host": b"GET /N HTTP/1.1\r\n\r\n",
    "another version": b"GET /N HTTP/2.0\r\nhost: a\r\n\r\n",
    "bare CR": b"GET /N HTTP/1.1\r\nhost: a\rb\r\n\r\n",
    "no length": b"GET /N HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    "long": b"GET /N HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 70000,
    "unknown coding": b"POST /N HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    "TLS": b"\x16\x03\x01",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "half": b"GET /N HTTP/1.1\r\nhost:",
}
FRAMES: dict[str, tuple[bytes, str | bytes | None]] = {
    "text": (frame(TEXT, b"a"), "a"),
    "long": (frame(BINARY, b"b" * 40000), b"b" * 40000),
    "fragments": (frame(TEXT, b"c", fin=False) + frame(CONTINUATION, b"d"), "cd"),
    "ping between": (frame(TEXT, b"e", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"f"), "ef"),
    "ping": (frame(PING, b"ping"), None),
    "pong": (frame(PONG), None),
}
LAST_FRAMES = {
    "close": close(1000),
    "close with a reason": close(1001, b"bye"),
    "no UTF-8": frame(TEXT, b"\xff"),
    "unknown opcode": frame(3, b""),
    "unmasked": frame(TEXT, b"unmasked", mask=None),
    "continuation": frame(CONTINUATION, b"of nothing"),
    "half": frame(BINARY, b"half of it")[:9],
}


class Machine(RuleBasedStateMachine):
    """Takes every step with each of `forms`, which must behave the same."""

    def __init__(self, forms: tuple[str, ...]) -> None:
        super().__init__()
        self.forms = forms
        self.sides: list[Side] = []
        self.ending = (True, True, 0, True)

    @initialize(
        choices=st.builds(Choices, *[st.booleans()] * 6),
        ending=st.tuples(st.booleans(), st.booleans(), st.sampled_from([0, 3, 40]), st.booleans()),
    )
    def begin(self, choices: Choices, ending: tuple[bool, bool, int, bool]) -> None:
        self.sides = [Side(form, choices) for form in self.forms]
        self.ending = ending

    def teardown(self) -> None:
        try:
            for side in self.sides:
                side.run_to_the_end(*self.ending)
            self._compare()
        finally:
            for side in self.sides:
                side.dispose()

    # The client

    def _may_send(self) -> bool:
        client = self.sides[0].client
        return not (client.is_spoilt or client.has_ended or self.sides[0].was_reset)

    def _may_send_request(self) -> bool:
        return self._may_send() and not self.sides[0].client.upgrades

    @precondition(_may_send_request)
    @rule(
        method=st.sampled_from(["GET", "GET", "HEAD", "POST"]),
        fields=st.sampled_from([b"", b"", b"", b"connection: close\r\n", b"connection: keep-alive\r\n"]),
        http11=st.sampled_from([True, True, True, False]),
        before=st.sampled_from([b"", b"", b"", b"\r\n"]),
        arrives=SIZES,
    )
    def send_request(self, method: str, fields: bytes, http11: bool, before: bytes, arrives: int) -> None:
        version = b"HTTP/1.1\r\nhost: a" if http11 else b"HTTP/1.0"
        head = b"%b /N %b\r\n%b\r\n" % (method.encode(), version, fields)
        for side in self.sides:
            side.client.request(head, b"", before, method=method, http11=http11)
            side.arrive(arrives)

    @precondition(_may_send_request)
    @rule(count=st.sampled_from([2, 5, 40]), arrives=SIZES)
    def send_many_requests(self, count: int, arrives: int) -> None:
        for side in self.sides:
            for _ in range(count):
                side.client.request(b"GET /N HTTP/1.1\r\nhost: a\r\n\r\n", b"")
            side.arrive(arrives)

    @precondition(_may_send_request)
    @rule(
        size=st.sampled_from([0, 3, 70000, 300000]),
        chunk=st.sampled_from([0, 0, 2, 65536]),
        expects=st.sampled_from([False, False, True]),
        http11=st.sampled_from([True, True, True, False]),
        alone=st.booleans(),
        arrives=SIZES,
    )
    def send_upload(self, size: int, chunk: int, expects: bool, http11: bool, alone: bool, arrives: int) -> None:
        """A request with a body, of which the head may arrive `alone`."""
        head = b"POST /N HTTP/1.1\r\nhost: a\r\n"
        content = body = b"c" * size
        if not http11:
            head = b"POST /N HTTP/1.0\r\nconnection: keep-alive\r\n"
        if chunk and http11:
            head += b"transfer-encoding: chunked\r\n"
            chunk = max(chunk, size // 4)
            pieces = [content[at : at + chunk] for at in range(0, size, chunk)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        else:
            head += b"content-length: %d\r\n" % size
        if expects:
            head += b"expect: 100-continue\r\n"
        expects = expects and http11 and bool(body)
        for side in self.sides:
            side.client.request(head + b"\r\n", body, method="POST", http11=http11, content=content, expects=expects)
            if not alone:
                side.arrive(arrives)
            elif body:
                side.arrive(len(side.client.network) - len(body))

    @precondition(_may_send_request)
    @rule(body=st.sampled_from([b"3\r\nabcd", b"3\r\nabc\r\nx", b"3\r\nabc\r\n0\r\nx y\r\n\r\n"]), arrives=SIZES)
    def send_malformed_body(self, body: bytes, arrives: int) -> None:
        head = b"POST /N HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        for side in self.sides:
            side.client.request(head, body, method="POST", content=b"abc", is_malformed=True)
            side.client.is_spoilt = True
            side.arrive(arrives)

    @precondition(_may_send_request)
    @rule(kind=st.sampled_from(list(GARBAGE)), arrives=SIZES)
    def send_garbage(self, kind: str, arrives: int) -> None:
        for side in self.sides:
            side.client.request(GARBAGE[kind], b"", is_malformed=True)
            side.client.is_spoilt = True
            side.arrive(arrives)

    @precondition(_may_send_request)
    @rule(version=st.sampled_from([b"13", b"13", b"13", b"12"]), arrives=SIZES)
    def send_handshake(self, version: bytes, arrives: int) -> None:
        head = b"GET /N HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        head += b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: %b\r\n\r\n" % version
        for side in self.sides:
            side.client.request(head, b"", is_websocket=True, is_malformed=version != b"13")
            side.arrive(arrives)

    @precondition(_may_send_request)
    @rule(upgrade=st.sampled_from([b"foo", b"h2c"]), arrives=SIZES)
    def send_other_upgrade(self, upgrade: bytes, arrives: int) -> None:
        head = b"GET /N HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: %b\r\n\r\n" % upgrade
        for side in self.sides:
            side.client.request(head, b"")
            side.arrive(arrives)

    @precondition(lambda self: self._may_send() and self.sides[0].client.upgrades)
    @rule(kinds=st.lists(st.sampled_from(list(FRAMES)), min_size=1, max_size=5), arrives=SIZES)
    def send_frames(self, kinds: list[str], arrives: int) -> None:
        for side in self.sides:
            for kind in kinds:
                each, content = FRAMES[kind]
                side.client.send(each)
                if content is not None:
                    side.client.frames.append((side.client.sent, content))
            side.arrive(arrives)

    @precondition(lambda self: self._may_send() and self.sides[0].client.upgrades)
    @rule(kind=st.sampled_from(list(LAST_FRAMES)), arrives=SIZES)
    def send_last_frame(self, kind: str, arrives: int) -> None:
        for side in self.sides:
            side.client.send(LAST_FRAMES[kind])
            side.client.is_spoilt = True
            side.arrive(arrives)

    @precondition(lambda self: self.sides[0].client.network or self.sides[0].client.has_ended)
    @rule(size=SIZES)
    def arrive(self, size: int) -> None:
        for side in self.sides:
            side.arrive(size)

    @precondition(_may_send)
    @rule(whole=st.booleans())
    def end_stream(self, whole: bool) -> None:
        for side in self.sides:
            if not whole:
                side.client.leave_out_the_rest()
            side.client.has_ended = True

    @rule(reads=st.booleans(), size=SIZES)
    def read(self, reads: bool, size: int) -> None:
        for side in self.sides:
            side.reads = reads
            side.read(size)

    @precondition(lambda self: not self.sides[0].was_reset)
    @rule(really=st.sampled_from([False, False, True]))
    def reset(self, really: bool) -> None:
        for side in self.sides:
            if really:
                side.reset()

    # The loop

    @rule(times=st.sampled_from([1, 1, 2, 0]))
    def iterate(self, times: int) -> None:
        for side in self.sides:
            for _ in range(times):
                side.iterate()
            if not times:
                side.settle()

    @rule(seconds=st.sampled_from([1, 2, 6, 32]))
    def pass_seconds(self, seconds: int) -> None:
        for side in self.sides:
            side.pass_seconds(seconds)

    @rule()
    def pause_writing(self) -> None:
        for side in self.sides:
            side.pause_writing()

    @rule(really=st.booleans())
    def drain(self, really: bool) -> None:
        for side in self.sides:
            if really:
                side.drain()

    # The applications

    @rule(plan=st.sampled_from(["waits", "accepts", "accepts", "answers", "echoes", "returns", "crowded"]))
    def plan(self, plan: str) -> None:
        for side in self.sides:
            side.plan = plan

    def _calls(self, back: int = 0) -> list[Call]:
        return [side.applications[-1 - back] for side in self.sides if len(side.applications) > back]

    def _has_call(self) -> bool:
        return bool(self.sides[0].applications) and self.sides[0].applications[-1].end is None

    def _has_request(self) -> bool:
        return self._has_call() and not self.sides[0].applications[-1].is_websocket

    def _has_websocket(self) -> bool:
        return self._has_call() and self.sides[0].applications[-1].is_websocket

    @precondition(lambda self: self.sides[0].applications)
    @rule(back=st.sampled_from([0, 0, 0, 1]), times=st.sampled_from([1, 1, 2, 5]))
    def call_receive(self, back: int, times: int) -> None:
        for call in self._calls(back):
            for _ in range(times):
                call.receive()

    @precondition(_has_request)
    @rule(message=st.one_of(STARTS, BODIES, BODIES, OTHERS))
    def call_send(self, message: dict[str, Any]) -> None:
        for call in self._calls():
            call.send(message)

    @precondition(_has_request)
    @rule(size=st.sampled_from([0, 2, 100000]), parts=st.sampled_from([0, 1, 1, 3]))
    def respond(self, size: int, parts: int) -> None:
        for call in self._calls():
            call.respond(b"w" * size, parts)

    @precondition(_has_websocket)
    @rule(message=SOCKET_MESSAGES)
    def call_send_frame(self, message: dict[str, Any]) -> None:
        for call in self._calls():
            call.send(message)

    @precondition(lambda self: len(self.sides[0].applications) > 1)
    @rule(message=BODIES)
    def send_late(self, message: dict[str, Any]) -> None:
        """An application sends after its whole response."""
        for call in self._calls(1):
            call.send(message)

    @precondition(_has_call)
    @rule(how=st.sampled_from(["returned", "returned", "raised", "cancelled"]))
    def call_ends(self, how: str) -> None:
        for call in self._calls():
            if how == "cancelled":
                call.cancel()
            else:
                call.finish(how)

    @precondition(_has_call)
    @rule(index=st.integers(0, 3))
    def cancel_step(self, index: int) -> None:
        for call in self._calls():
            if call.tasks:
                call.tasks[index % len(call.tasks)].cancel()

    # Invariants

    @invariant()
    def holds(self) -> None:
        for side in self.sides:
            side.check()
        self._compare()

    def _compare(self) -> None:
        for side in self.sides[1:]:
            assert side.seen() == self.sides[0].seen()


@pytest.mark.parametrize("forms", [("interpreted",), ("compiled",), ("interpreted", "compiled")], ids=" and ".join)
def test_invariants_hold_after_any_steps(forms: tuple[str, ...]) -> None:
    for form in forms:
        load_form(form)  # or skip
    # Steps are cheap: more of them than of the examples of other tests.
    bounded = settings(max_examples=3 * settings.default.max_examples)
    run_state_machine_as_test(lambda: Machine(forms), settings=bounded)
