"""A WebSocket session: one application's messages in both directions (RFC 6455 sections 5 to 7, ASGI WebSocket 2.5).

It uses a negotiated handshake and a channel for bytes, and HTTP only through the `Request` that sends a denial. The
channel feeds it, calls `on_tick` once a second, and calls `end_input` when the client has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import (
    BINARY,
    CLOSE,
    COMPRESSED,
    ENOUGH,
    INTERNAL_ERROR,
    LOST,
    NORMAL,
    NOTHING,
    PING,
    PONG,
    SERVICE_RESTART,
    TEXT,
)
from pronghorn.errors import ClientDisconnected, FrameError
from pronghorn.metrics import layout

from ..encoder import checked_fields
from ..exchange import Exchange, as_bytes
from .deflate import WORTHWHILE
from .frames import Reader, close_payload, frame, is_close_code, text_frame

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from _typeshed import MaybeNone

    from ..channel import Channel
    from ..request import Request
    from ..shared import Shared
    from .deflate import Deflate
    from .handshake import Handshake

# The state of the session, in order.
CONNECTING = 0  # the application has not answered the handshake
DENYING = 1  # the application is answering the handshake with an HTTP response
OPEN = 2
LEAVING = 3  # the server is stopping; the application first receives the messages that have arrived
FAILING = 4  # the client has violated the protocol; the application first receives the earlier messages
CLOSING = 5  # our close frame is sent, the client's is due
LEFT = 6  # the client has left; the application first receives the messages that have arrived
CLOSED = 7

# Seconds for the application to take the next message in LEAVING: it may never call `receive()`.
LEAVE_TIMEOUT = 2


class WebSocket(Exchange):
    """One session. `scope` is the application's; `handshake` is None once it was accepted.

    `is_held` is true while reading is paused, because of too many messages, much to decompress, a violation or the
    server's stop; `client_closed` is true once the client's close frame has arrived.

    Transitions: CONNECTING -> OPEN by 'websocket.accept', or -> DENYING -> CLOSED; OPEN -> LEAVING by `restart`; OPEN
    or LEAVING -> FAILING by a violation; OPEN, LEAVING or FAILING -> CLOSING by `close`; OPEN, LEAVING, FAILING or
    CLOSING -> CLOSED by `_finish_closing`; OPEN or LEAVING -> LEFT by `end_input` if input is unread, LEFT -> CLOSED
    once it is read; any other -> CLOSED by `end_input`.
    """

    __slots__ = (
        "_answering",
        "_close_by",
        "_code",
        "_connected",
        "_deflate",
        "_denial",
        "_denial_parts",
        "_failure",
        "_heard",
        "_lost_by",
        "_messages",
        "_ping_at",
        "_pong_due",
        "_queued",
        "_reader",
        "_reason",
        "_request",
        "_state",
        "_waits_for_turn",
        "client_closed",
        "handshake",
        "is_held",
    )

    handshake: Handshake | MaybeNone
    _request: Request | MaybeNone
    _state: int

    _denial: dict[str, Any] | MaybeNone
    _denial_parts: list[bytes] | MaybeNone

    is_held: bool
    _waits_for_turn: bool
    _reader: Reader
    _messages: list[str | bytes] | MaybeNone
    _queued: int
    _connected: bool

    _deflate: Deflate | None
    _pong_due: bytes | None

    client_closed: bool
    _answering: bool
    _heard: bool
    _failure: FrameError | MaybeNone
    _ping_at: int
    _lost_by: int
    _close_by: int
    _code: int
    _reason: str

    def __init__(self, handshake: Handshake, request: Request, channel: Channel, shared: Shared) -> None:
        self.begin(shared, channel, request.client_text)
        self._request = request
        self._deflate = handshake.deflate
        self._denial = None
        self._denial_parts = None
        self._reader = Reader(shared.limits.message_size, handshake.deflate)
        self._state = CONNECTING
        self._connected = False
        self._messages = None
        self._queued = 0
        self._pong_due = None
        # For the 'websocket.disconnect' message. The code is 0 until the session ends.
        self._code = 0
        self._reason = ""
        # True while the application handles a message: it has not called `receive()` again.
        self._answering = False
        # The protocol violation in FAILING.
        self._failure = None
        # True if data has arrived since the last ping; deadlines are seconds of `Shared.now`, 0 for none.
        self._heard = False
        self._ping_at = 0
        self._lost_by = 0
        self._close_by = 0
        self.is_held = False
        self._waits_for_turn = False
        self.client_closed = False
        self.handshake = handshake
        self.scope = _scope(request.scope, handshake)

    # Called for the application

    def take(self) -> dict[str, Any] | None:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        if self._messages:
            self._answering = True
            return self._take_message()
        self._answering = False
        if self._state == FAILING:
            self._fail(self._failure)
        elif self._state == LEAVING and not self._waits_for_turn:
            self._start_closing(SERVICE_RESTART, "")
        if self._code:
            return {"type": "websocket.disconnect", "code": self._code, "reason": self._reason}
        return None

    def deliver(self, message: dict[str, Any]) -> Awaitable[Any] | None:
        kind = message["type"]
        state = self._state
        if state in (OPEN, LEAVING, FAILING):
            if kind == "websocket.send":
                return self._send(message)
            if kind == "websocket.close":
                self.close(_close_code(message.get("code")), message.get("reason") or "")
                return None
        elif state in (CLOSING, LEFT, CLOSED):
            raise _closed()
        elif state == CONNECTING and kind == "websocket.accept":
            self._accept(message)
            return None
        elif state == CONNECTING and kind == "websocket.close":
            self._begin_denial({"status": 403})
            self._continue_denial({})
            return None
        elif state == CONNECTING and kind == "websocket.http.response.start":
            self._begin_denial(message)
            return None
        elif state == DENYING and kind == "websocket.http.response.body":
            self._continue_denial(message)
            return None
        raise RuntimeError(f"{kind!r} is not expected {_STATES[state]}")

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, unless it has begun, and drop the messages that are not taken."""
        if OPEN <= self._state < CLOSING:
            self._messages = None
            self._queued = 0
            self._start_closing(code, reason)

    def finish(self, failed: bool) -> bool:
        """Close the session after the application's return or failure. Return false if the handshake is unanswered."""
        self.close(INTERNAL_ERROR if failed else NORMAL, "")
        return self._state > DENYING

    def fail(self, status: int) -> None:
        if self._request is not None:
            self._channel.fail(self._request, status)

    def awaits_answer(self) -> bool:
        return self._state <= DENYING

    def is_over(self) -> bool:
        """Return whether the session is over for the application: `receive()` reports or will report a disconnect."""
        return self._code != 0 or self._state == LEFT

    # Called by the channel

    def feed(self, data: bytes) -> None:
        """Process bytes from the client."""
        self._heard = True
        self._reader.feed(data)
        if not self.is_held:
            self._read(False)

    def end_input(self) -> None:
        """End the session: the client has ended its stream, or is gone. What has arrived before, including a close
        frame, still goes to the application.
        """
        if self._state == FAILING:
            self._fail(self._failure)
        elif self._state in (OPEN, LEAVING) and self.is_held:
            self._state = LEFT
            self._channel.wake_writers(_closed())
            self.wake()
            self._maybe_resume_reading(False)
        elif self._state < LEFT:
            self._state = CLOSED
            self._request = None
            self._end(LOST, "")

    def take_turn(self) -> int:
        """Decompress more of what has arrived. Return the number of bytes that this gave."""
        self._waits_for_turn = False
        self._reader.begin_turn()
        self._maybe_resume_reading(True)
        return self._reader.inflated()

    def restart(self) -> None:
        """Close because the server is stopping, once the application has taken the messages that have arrived, and has
        answered them.
        """
        if self._state == OPEN and (self._messages or self._waits_for_turn):
            self._state = LEAVING
            self._close_by = self._shared.deadline(LEAVE_TIMEOUT)
            if not self.is_held:
                self._hold()
        elif self._state == OPEN or self._state == FAILING:
            self._start_closing(SERVICE_RESTART, "")

    def on_tick(self, now: int) -> None:
        """Act on deadlines that have passed. Called once a second."""
        if self._state == OPEN:
            if self._ping_at:
                self._keep_alive(now)
        elif self._state == LEAVING:
            if now >= self._close_by:
                self._start_closing(SERVICE_RESTART, "")
        elif self._state == FAILING:
            if now >= self._close_by:
                self._fail(self._failure)
        elif self._state == CLOSING and self._close_by and now >= self._close_by:
            self._finish_closing()

    def on_writable(self) -> None:
        """Send a pong that waited for the client to read."""
        payload = self._pong_due
        if payload is not None and self._state != CLOSED:
            self._pong_due = None
            self._send_frame(PONG, payload)

    # Private: receiving

    def _read(self, is_turn: bool) -> None:
        """Read frames until bytes are missing, the message queue is full, or others have their turn."""
        reader = self._reader
        if self._deflate is not None:
            reader.waits = not is_turn and self._shared.turns.is_busy()
        try:
            while True:
                opcode = reader.next()
                if opcode in (TEXT, BINARY):
                    if self._state in (OPEN, LEAVING, LEFT):
                        self._queue(reader.payload)
                        if self.is_held:
                            return
                elif opcode == NOTHING:
                    if self._state == LEFT:
                        self._close_at_once(LOST, "")
                    return
                elif opcode == ENOUGH:
                    self._wait_for_turn()
                    return
                elif opcode == PING:
                    if self._state != LEFT:
                        self._pong(reader.payload)
                elif opcode == CLOSE:
                    self._close_with(reader.code, reader.reason)
                    return
        except FrameError as error:
            if self._state in (OPEN, LEAVING) and (self._messages or self._answering):
                self._to_failing(error)
            else:
                self._fail(error)

    def _queue(self, payload: str | bytes) -> None:
        awaited = self.is_waiting()
        if self._messages is None:
            self._messages = []
        self._messages.append(payload)
        self._queued += len(payload)
        # A waiting application takes the message before more can arrive.
        if awaited:
            self.wake()
        elif self._is_full():
            self._hold()

    def _is_full(self) -> bool:
        if self._messages is None:
            return False
        limits = self._shared.limits
        count = len(self._messages)
        return count >= limits.queued_messages or (count > 1 and self._queued > limits.body_buffer_size)

    def _take_message(self) -> dict[str, Any]:
        payload = self._messages.pop(0)
        self._queued -= len(payload)
        if self._state == LEAVING:
            self._close_by = self._shared.deadline(LEAVE_TIMEOUT)
        self._maybe_resume_reading(False)
        if type(payload) is str:
            return {"type": "websocket.receive", "text": payload}
        return {"type": "websocket.receive", "bytes": payload}

    def _hold(self) -> None:
        self.is_held = True
        if self._state != LEFT:
            self._channel.pause_reading()

    def _wait_for_turn(self) -> None:
        self._waits_for_turn = True
        self._hold()
        self._shared.turns.ask(self, self._reader.has_begun())

    def _maybe_resume_reading(self, is_turn: bool) -> None:
        state = self._state
        if not self.is_held or self._waits_for_turn or state in (FAILING, CLOSED):
            return
        if state != CLOSING and self._is_full():
            return
        self.is_held = False
        self._read(is_turn)
        if self._state == LEAVING:
            self.is_held = True  # the rest was read, and no more is
            self.wake()
        elif not self.is_held and self._state != LEFT:
            self._channel.need_body()

    def _pong(self, payload: bytes) -> None:
        # If the client does not read, only its last ping is answered (RFC 6455 section 5.5.3).
        if self._channel.is_writable():
            self._send_frame(PONG, payload)
        else:
            self._pong_due = payload

    # Private: sending

    def _send(self, message: dict[str, Any]) -> Awaitable[Any] | None:
        channel = self._channel
        text = message.get("text")
        if text is not None:
            if type(text) is not str:
                text = _as_text(text)
            if self._deflate is None or len(text) < WORTHWHILE:
                channel.queued(text_frame(text, channel.out))
            else:
                self._send_frame(TEXT | COMPRESSED, self._deflate.deflate(text.encode()))
        else:
            data = message.get("bytes")
            if type(data) is not bytes:
                data = as_bytes(data)
            if self._deflate is None or len(data) < WORTHWHILE:
                self._send_frame(BINARY, data)
            else:
                self._send_frame(BINARY | COMPRESSED, self._deflate.deflate(data))
        return None if channel.is_writable() else channel.wait_writable()

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        self._channel.queued(frame(opcode, payload, self._channel.out))

    # Private: handshake and closing

    def _accept(self, message: dict[str, Any]) -> None:
        fields = self.handshake.answer(message.get("subprotocol"), message.get("headers") or ())
        fields += self._request.own_fields(fields)
        self._state = OPEN
        self._request = None
        self._ping_at = self._shared.deadline(self._shared.limits.ping_interval)
        self._channel.accept(self, fields)
        self.handshake = None
        if self._shared.draining:
            self.restart()

    def _begin_denial(self, message: dict[str, Any]) -> None:
        """Keep the head of an HTTP response until the whole body is known, to send its length: many WebSocket clients
        cannot read chunks.
        """
        status = message["status"]
        fields = checked_fields(message.get("headers") or ())
        # Only to raise at once if the head is invalid.
        self._request.encoder.start(status, fields, False)
        self._denial = {"type": "http.response.start", "status": status, "headers": fields}
        self._denial_parts = []
        self._state = DENYING

    def _continue_denial(self, message: dict[str, Any]) -> None:
        data = message.get("body", b"")
        self._denial_parts.append(data if type(data) is bytes else as_bytes(data))
        if message.get("more_body", False):
            return
        body = b"".join(self._denial_parts)
        fields = self._denial["headers"]
        names = [name.lower() for name, _ in fields]
        if b"content-length" not in names and b"transfer-encoding" not in names:
            fields.append((b"content-length", b"%d" % len(body)))
        self._request.deliver(self._denial)
        self._request.deliver({"type": "http.response.body", "body": body})
        self.end_input()

    def _start_closing(self, code: int, reason: str) -> None:
        """Send a close frame. A client that has violated the protocol is not waited for."""
        has_failed = self._state == FAILING
        self._send_frame(CLOSE, close_payload(code, reason))
        self._state = CLOSING
        self._close_by = self._shared.deadline(self._shared.limits.close_timeout)
        self._end(code, reason)
        if has_failed:
            self._finish_closing()
        else:
            self._maybe_resume_reading(False)

    def _close_with(self, code: int, reason: str) -> None:
        """Answer the client's close frame, and close."""
        self.client_closed = True
        self._close_at_once(code, reason)

    def _to_failing(self, error: FrameError) -> None:
        """Fail the session for `error` once the application has taken the earlier messages, or after a timeout."""
        self._state = FAILING
        self._failure = error
        self._close_by = self._shared.deadline(self._shared.limits.close_timeout)
        self._hold()

    def _fail(self, error: FrameError) -> None:
        """Fail the session (RFC 6455 section 7.1.7)."""
        self._close_at_once(error.code, error.reason)

    def _close_at_once(self, code: int, reason: str) -> None:
        """Close without waiting for the client's close frame. Send ours unless it was sent before."""
        if self._state == LEFT:
            self._state = CLOSED
            self._end(code, reason)
            return
        if self._state < CLOSING:
            self._send_frame(CLOSE, close_payload(code, reason))
            self._end(code, reason)
        self._finish_closing()

    def _finish_closing(self) -> None:
        self._state = CLOSED
        self._channel.exchange_ended()

    def _end(self, code: int, reason: str) -> None:
        if not self._code:
            self._code = code
            self._reason = reason
            self._channel.wake_writers(_closed())
        self.wake()

    def _keep_alive(self, now: int) -> None:
        """Send a ping if it is due, and close if the client is silent, unless we have paused reading."""
        if self._lost_by:
            if self._heard or self.is_held:
                self._lost_by = 0
            elif now >= self._lost_by:
                self._shared.timed_out(layout.PING)
                self._channel.report_slow_client(
                    "it has not answered a ping for %d s" % self._shared.limits.ping_timeout
                )
                self._close_at_once(INTERNAL_ERROR, "keepalive ping timeout")
                return
        if now >= self._ping_at:
            limits = self._shared.limits
            self._ping_at = self._shared.deadline(limits.ping_interval)
            if not self._lost_by:
                self._heard = False
                self._lost_by = self._shared.deadline(limits.ping_timeout)
            self._send_frame(PING, b"")


_STATES = (
    "before the handshake is answered",
    "after 'websocket.http.response.start'",
    "after 'websocket.accept'",
    "after 'websocket.accept'",
    "after 'websocket.accept'",
)


def _scope(scope: dict[str, Any], handshake: Handshake) -> dict[str, Any]:
    """Turn a request's scope into a WebSocket's."""
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = list(handshake.subprotocols)
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    if "tls" in scope["extensions"]:
        extensions["tls"] = scope["extensions"]["tls"]
    scope["extensions"] = extensions
    scope["asgi"]["spec_version"] = "2.5"
    del scope["method"]
    return scope


def _closed() -> ClientDisconnected:
    return ClientDisconnected("the WebSocket is closed")


def _close_code(code: object) -> int:
    """Check an application's close code, before it becomes a C integer."""
    if code is None:
        return NORMAL
    if not isinstance(code, int) or not 1000 <= code <= 4999 or not is_close_code(code):
        raise ValueError(f"not a close code: {code!r}")
    return int(code)


def _as_text(text: object) -> str:
    """Convert an instance of a subclass of `str` to a plain `str`."""
    if isinstance(text, str):
        return "".join([text])
    raise TypeError(f"text is str, not {type(text).__name__}")
