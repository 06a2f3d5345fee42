"""A WebSocket session: the application's messages, flow control, pings and the end by either side."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import zlib
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from pronghorn import backend
from pronghorn.application import calls
from pronghorn.errors import ClientDisconnected
from tests.support.forms import FORMS
from tests.support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    RSV1,
    TEXT,
    close,
    fragments,
    frame,
    served,
)
from tests.support.rig import BAD_REQUEST, GET, OK, WAITING, Rig, drive, ok, refusal

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
DENIED = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
CONNECT = {"type": "websocket.connect"}
KIB = 1024


def request(
    *fields: bytes, target: bytes = b"/", method: bytes = b"GET", version: bytes = b"13", key: bytes = KEY
) -> bytes:
    """A handshake."""
    lines = (
        b"%b %b HTTP/1.1" % (method, target),
        b"Host: a",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: " + version,
        key,
        *fields,
    )
    return b"\r\n".join([*lines, b"", b""])


class Socket(Rig):
    """A connection that received a handshake, and the calls to its owner."""

    def __init__(self, wire: Any, data: bytes | None = None, **options: Any) -> None:
        super().__init__(wire, **options)
        self.receive(request() if data is None else data)

    @property
    def session(self) -> Any:
        [session] = self.sessions
        return session

    def sent(self) -> list[tuple[int, int, bytes]]:
        """The frames written since the last call: opcode, reserved bits, payload."""
        return served(self.take())

    def say(self, kind: str, **more: Any) -> Any:
        """The application sends `websocket.` and `kind`."""
        return drive(self.session.send({"type": f"websocket.{kind}", **more}))

    def hear(self) -> Any:
        """The message the application receives immediately, or WAITING."""
        return drive(self.session.receive())

    def seconds(self, count: int) -> None:
        """Let the clock tick `count` times."""
        for _ in range(count):
            self.tick(self.shared.now + 1)


class Under:
    """A running `receive()` or `send()`. It resumes only when its future is done, as a task does."""

    def __init__(self, step: Any) -> None:
        self.step = step
        self.result = WAITING
        self._go_on()
        assert self.result is WAITING

    def goes_on(self) -> Any:
        """Its result, or WAITING if it waits again."""
        assert self.future.done(), "nobody has woken it"
        self._go_on()
        return self.result

    def _go_on(self) -> None:
        try:
            self.future = self.step.send(None)
        except StopIteration as end:
            self.result = end.value


def opened(wire: Any, data: bytes | None = None, **options: Any) -> Socket:
    """An accepted session. Its connect message was received, its 101 written."""
    socket = Socket(wire, data, **options)
    assert socket.hear() == CONNECT
    socket.say("accept")
    assert socket.take().startswith(SWITCH)
    return socket


def text(content: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": content}


def data(content: bytes) -> dict[str, Any]:
    return {"type": "websocket.receive", "bytes": content}


def disconnect(code: int, reason: str = "") -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def close_sent(code: int, reason: bytes = b"") -> list[tuple[int, int, bytes]]:
    return [(CLOSE, 0, code.to_bytes(2, "big") + reason)]


# The scope


def test_scope_has_every_key_with_its_value(wire: Any) -> None:
    socket = Socket(
        wire,
        request(b"Sec-WebSocket-Protocol: chat, superchat", b"X-A: 1", target=b"/a%20b?q=%41"),
        state={"a": 1},
        root_path="/root",
    )
    assert socket.session.scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "ws",
        "root_path": "/root",
        "path": "/root/a b",
        "raw_path": b"/root/a%20b",
        "query_string": b"q=%41",
        "headers": [
            (b"host", b"a"),
            (b"connection", b"Upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"sec-websocket-protocol", b"chat, superchat"),
            (b"x-a", b"1"),
        ],
        "subprotocols": ["chat", "superchat"],
        "state": {"a": 1},
        "extensions": {"websocket.http.response": {}},
    }


def test_scheme_is_wss_over_https(wire: Any) -> None:
    assert Socket(wire, scheme="https").session.scope["scheme"] == "wss"


def test_changes_of_the_scope_do_not_leak(wire: Any) -> None:
    socket = Socket(wire, request(b"Sec-WebSocket-Protocol: chat"), state={"a": 1})
    scope = socket.session.scope
    scope["subprotocols"].clear()
    scope["extensions"].clear()
    scope["state"]["b"] = 2
    socket.say("accept", subprotocol="chat")
    socket.connection.lose()
    assert socket.shared.state == {"a": 1}
    assert Socket(wire).session.scope["extensions"] == {"websocket.http.response": {}}


# Handshakes without a session


@pytest.mark.parametrize(
    ("handshake", "answer"),
    [
        (request(version=b"8"), None),
        (request(key=b"Sec-WebSocket-Key: x"), BAD_REQUEST),
        (request(method=b"POST"), BAD_REQUEST),
        (request(b"Content-Length: 2") + b"ok", BAD_REQUEST),
        (request(b"Sec-WebSocket-Protocol: a b"), BAD_REQUEST),
        (request(b"Sec-WebSocket-Extensions: a;"), BAD_REQUEST),
    ],
    ids=["version", "key", "method", "body", "subprotocols", "extensions"],
)
def test_invalid_handshake_is_refused(wire: Any, handshake: bytes, answer: bytes | None) -> None:
    socket = Socket(wire, handshake)
    written = socket.take()
    if answer is None:
        head, _, body = written.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert {b"upgrade: websocket", b"sec-websocket-version: 13", b"connection: close"} < set(head.split(b"\r\n"))
        assert b"content-length: %d\r\n" % len(body) in head
    else:
        assert written == answer
    assert (socket.sessions, socket.requests, len(socket.refused)) == ([], [], 1)
    assert socket.calls[-1] in ("close", "finish_writing")


@pytest.mark.parametrize(
    ("handshake", "options"),
    [(request(), {"websockets": False}), (request().replace(b"websocket\r\n", b"foo\r\n"), {})],
    ids=["not wanted", "another protocol"],
)
def test_unsupported_upgrade_is_an_ordinary_request(wire: Any, handshake: bytes, options: Any) -> None:
    socket = Socket(wire, handshake, application=ok, **options)
    assert socket.take() == OK
    assert (socket.sessions, socket.calls) == ([], ["upgrade"])
    assert socket.request.scope["type"] == "http"


def test_handshake_may_follow_a_request(wire: Any) -> None:
    socket = Socket(wire, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + request(), application=ok)
    assert socket.take() == OK
    socket.say("accept")
    assert socket.take() == SWITCH + b"\r\n"
    assert socket.shared.total_requests == 2


# The handshake's answer


def test_accept_writes_the_101_response(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("accept")
    assert socket.take() == SWITCH + b"\r\n"
    assert socket.accepted == [socket.session]
    assert (socket.calls, socket.denied) == ([], [])


def test_accept_writes_every_field(wire: Any) -> None:
    socket = Socket(
        wire,
        request(b"Sec-WebSocket-Protocol: a, b", b"Sec-WebSocket-Extensions: permessage-deflate"),
        zlib=zlib,
        server=b"pronghorn",
        fields=[(b"x-default", b"1")],
    )
    socket.say("accept", subprotocol="b", headers=[(b"Set-Cookie", b"c=d"), [b"x-e", b"f"]])
    assert socket.take().split(b"\r\n") == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"server: pronghorn",
        b"x-default: 1",
        b"Sec-WebSocket-Protocol: b",
        b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12",
        b"set-cookie: c=d",
        b"x-e: f",
        b"",
        b"",
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_date_and_server_of_the_application_take_precedence(wire: Any, kind: Any) -> None:
    socket = Socket(wire, date=True, server=b"pronghorn", fields=[(b"x-default", b"1")])
    socket.say("accept", headers=[(kind(b"Server"), b"mine"), (kind(b"Date"), b"then")])
    assert socket.take() == SWITCH + b"x-default: 1\r\nserver: mine\r\ndate: then\r\n\r\n"


def test_accept_response_has_a_date(wire: Any) -> None:
    socket = Socket(wire, date=True)
    socket.say("accept")
    assert b"\r\ndate: " in socket.take()


@pytest.mark.parametrize(
    "more", [{"subprotocol": None}, {"headers": []}, {"headers": None}, {"subprotocol": None, "headers": ()}]
)
def test_accept_options_may_be_empty(wire: Any, more: dict[str, Any]) -> None:
    socket = Socket(wire)
    socket.say("accept", **more)
    assert socket.take() == SWITCH + b"\r\n"


@pytest.mark.parametrize(
    "more",
    [
        {"subprotocol": "other"},
        {"headers": [(b"connection", b"close")]},
        {"headers": [(b"Sec-WebSocket-Accept", b"x")]},
        {"headers": [(b"content-length", b"0")]},
        {"headers": [(b"a", b"b\r\nc: d")]},
    ],
    ids=["subprotocol", "connection", "accept", "content-length", "line break"],
)
def test_accept_may_be_repeated_after_an_invalid_one(wire: Any, more: dict[str, Any]) -> None:
    socket = Socket(wire, request(b"Sec-WebSocket-Protocol: chat"))
    with pytest.raises(ValueError):
        socket.say("accept", **more)
    assert socket.take() == b""
    socket.say("accept", subprotocol="chat")
    assert socket.take() == SWITCH + b"Sec-WebSocket-Protocol: chat\r\n\r\n"


def test_messages_may_follow_the_acceptance_immediately(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("accept")
    socket.say("send", text="a")
    socket.say("close")
    socket.turn()
    [written] = socket.writes
    assert written.startswith(SWITCH + b"\r\n")
    assert served(written[len(SWITCH) + 2 :]) == [(TEXT, 0, b"a"), *close_sent(1000)]


# Order


def test_connect_is_received_first_and_once(wire: Any) -> None:
    socket = Socket(wire)
    assert [socket.hear(), socket.hear()] == [CONNECT, WAITING]


def test_connect_may_be_received_after_the_acceptance(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("accept")
    socket.receive(frame(TEXT, b"a"))
    assert [socket.hear(), socket.hear()] == [CONNECT, text("a")]


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ([], "send"),
        ([], "receive"),
        ([], "connect"),
        ([], "disconnect"),
        ([], "http.response.body"),
        (["accept"], "accept"),
        (["accept"], "http.response.start"),
        (["accept"], "http.response.body"),
        (["accept"], "other"),
        (["http.response.start"], "http.response.start"),
        (["http.response.start"], "accept"),
        (["http.response.start"], "close"),
        (["http.response.start"], "send"),
    ],
    ids=str,
)
def test_messages_out_of_order_are_refused(wire: Any, before: list[str], kind: str) -> None:
    socket = Socket(wire)
    for each in before:
        socket.say(each, **({"status": 401} if "start" in each else {}))
    socket.take()
    with pytest.raises(RuntimeError, match=kind):
        socket.say(kind, status=401, text="a")
    assert socket.take() in (b"", b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize("kind", ["http.response.start", "http.response.body", "websocket", ""])
def test_unknown_messages_are_refused(wire: Any, kind: str) -> None:
    with pytest.raises(RuntimeError):
        drive(opened(wire).session.send({"type": kind, "status": 200}))


def test_message_out_of_order_does_not_change_the_session(wire: Any) -> None:
    socket = opened(wire)
    with pytest.raises(RuntimeError):
        socket.say("accept")
    socket.say("send", text="a")
    assert socket.sent() == [(TEXT, 0, b"a")]


def test_message_may_be_any_mapping(wire: Any) -> None:
    socket = opened(wire)
    drive(socket.session.send(OrderedDict(type="websocket.send", text="a")))
    assert socket.sent() == [(TEXT, 0, b"a")]


# Receiving


def test_messages_are_received_in_order(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(
        frame(TEXT, "é".encode()) + frame(BINARY, b"\xff") + fragments(TEXT, b"a", b"b", between=frame(PING))
    )
    socket.receive(frame(BINARY))
    assert [socket.hear() for _ in range(5)] == [text("é"), data(b"\xff"), text("ab"), data(b""), WAITING]


def test_message_is_a_plain_dict_the_application_may_keep(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") + frame(BINARY, b"b"))
    first, second = socket.hear(), socket.hear()
    assert [type(first), type(first["text"]), type(second["bytes"])] == [dict, str, bytes]


@pytest.mark.parametrize("pieces", [1, 2, 7], ids="pieces of {}".format)
def test_receive_wakes_when_a_message_is_whole(wire: Any, pieces: int) -> None:
    socket = opened(wire)
    step = Under(socket.session.receive())
    content = frame(TEXT, b"message")
    for index in range(0, len(content), pieces):
        assert not step.future.done()
        socket.receive(content[index : index + pieces])
    assert step.goes_on() == text("message")


def test_two_receives_get_one_message_each(wire: Any) -> None:
    socket = opened(wire)
    first, second = Under(socket.session.receive()), Under(socket.session.receive())
    socket.receive(frame(TEXT, b"a"))
    assert [first.goes_on(), second.goes_on()] == [text("a"), WAITING]
    socket.receive(frame(TEXT, b"b"))
    assert second.goes_on() == text("b")


def test_cancelled_receive_loses_nothing(wire: Any) -> None:
    socket = opened(wire)
    for when in ("before", "after"):
        step = Under(socket.session.receive())
        if when == "after":
            socket.receive(frame(TEXT, b"a"))
        with pytest.raises(asyncio.CancelledError):
            step.step.throw(asyncio.CancelledError())
    assert [socket.hear(), socket.hear()] == [text("a"), WAITING]


def test_closed_receive_loses_nothing(wire: Any) -> None:
    socket = opened(wire)
    step = Under(socket.session.receive())
    step.step.close()
    socket.receive(frame(TEXT, b"a"))
    assert socket.hear() == text("a")


def test_receive_that_never_starts_takes_nothing(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a"))
    socket.session.receive()
    assert socket.hear() == text("a")


def test_compressed_messages_are_received(wire: Any) -> None:
    socket = opened(wire, request(b"Sec-WebSocket-Extensions: permessage-deflate"), zlib=zlib)
    hello = frame(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=RSV1)
    socket.receive(hello + frame(TEXT, b"plain"))
    assert [socket.hear(), socket.hear()] == [text("Hello"), text("plain")]


# Frames before the acceptance


def test_early_frames_wait_for_the_acceptance(wire: Any) -> None:
    socket = Socket(wire, request() + frame(TEXT, b"a") + frame(PING, b"p"))
    assert [socket.hear(), socket.hear()] == [CONNECT, WAITING]
    assert socket.take() == b""
    socket.receive(frame(TEXT, b"b"))
    socket.say("accept")
    assert socket.take() == SWITCH + b"\r\n" + b"\x8a\x01p"
    assert [socket.hear(), socket.hear(), socket.hear()] == [text("a"), text("b"), WAITING]


def test_receive_that_waits_for_the_acceptance_gets_early_frames(wire: Any) -> None:
    socket = Socket(wire, request() + frame(TEXT, b"a"))
    socket.hear()
    step = Under(socket.session.receive())
    socket.say("accept")
    assert step.goes_on() == text("a")


def test_early_frames_are_limited(wire: Any) -> None:
    socket = Socket(wire)
    socket.receive(frame(BINARY, bytes(100 * KIB)))
    assert socket.is_paused()
    socket.say("accept")
    assert not socket.is_paused()
    assert [socket.hear(), socket.hear()] == [CONNECT, data(bytes(100 * KIB))]


def test_frame_may_be_split_by_the_acceptance(wire: Any) -> None:
    content = frame(TEXT, b"message")
    socket = Socket(wire, request() + content[:9])
    socket.say("accept")
    socket.receive(content[9:])
    assert [socket.hear(), socket.hear()] == [CONNECT, text("message")]


def test_early_violation_fails_the_session_after_the_acceptance(wire: Any) -> None:
    socket = Socket(wire, request() + frame(TEXT, mask=None))
    socket.say("accept")
    written = socket.take()
    assert written.startswith(SWITCH)
    assert served(written[len(SWITCH) + 2 :])[0][2][:2] == (1002).to_bytes(2, "big")
    assert [socket.hear()["type"], socket.hear()["code"]] == ["websocket.connect", 1002]


# Flow: a bounded queue


def test_reading_pauses_at_the_number_of_messages(wire: Any) -> None:
    socket = opened(wire, queued_messages=3)
    for count in range(1, 4):
        assert not socket.is_paused()
        socket.receive(frame(TEXT, b"%d" % count))
    assert socket.is_paused()


def test_reading_resumes_when_messages_are_received(wire: Any) -> None:
    socket = opened(wire, queued_messages=3)
    socket.receive(frame(TEXT, b"a") * 3)
    assert socket.hear() == text("a")
    assert not socket.is_paused()
    socket.receive(frame(TEXT, b"b"))
    assert socket.is_paused()


@pytest.mark.parametrize("limit", [1, 2, 5, 100, 1000])
def test_nothing_is_lost_beyond_the_limit(wire: Any, limit: int) -> None:
    socket = opened(wire, queued_messages=limit)
    socket.receive(b"".join(frame(TEXT, b"%d" % index) for index in range(200)))
    assert socket.is_paused() is (limit < 200)
    assert [socket.hear() for _ in range(200)] == [text(str(index)) for index in range(200)]
    assert socket.hear() is WAITING
    assert not socket.is_paused()


def test_frames_beyond_the_limit_are_not_processed(wire: Any) -> None:
    """Even the ping after them is not answered yet."""
    socket = opened(wire, queued_messages=2)
    socket.receive(frame(TEXT, b"a") * 2 + frame(PING) + frame(TEXT, b"b"))
    assert socket.sent() == []
    socket.hear()
    assert socket.sent() == [(PONG, 0, b"")]


def test_reading_pauses_at_the_bytes_of_messages(wire: Any) -> None:
    socket = opened(wire, queued_messages=1000)
    socket.receive(frame(BINARY, bytes(40 * KIB)))
    assert not socket.is_paused()
    socket.receive(frame(BINARY, bytes(40 * KIB)))
    assert socket.is_paused()
    socket.hear()
    assert not socket.is_paused()


def test_received_bytes_do_not_count(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(BINARY, bytes(100 * KIB)))
    socket.hear()
    socket.receive(frame(BINARY, bytes(20 * KIB)) + frame(BINARY, bytes(44 * KIB)))
    assert not socket.is_paused()
    socket.receive(frame(BINARY, b"x"))
    assert socket.is_paused()


def test_one_big_message_does_not_pause_reading(wire: Any) -> None:
    """A slow application must not delay a close frame or the end of the stream."""
    socket = opened(wire)
    socket.receive(frame(BINARY, bytes(500 * KIB)))
    assert not socket.is_paused()


def test_awaited_message_does_not_pause_reading(wire: Any) -> None:
    socket = opened(wire, queued_messages=1)
    for _ in range(3):
        step = Under(socket.session.receive())
        socket.receive(frame(TEXT, b"a"))
        assert not socket.is_paused()
        assert step.goes_on() == text("a")


def test_only_awaited_messages_are_exempt_from_the_limit(wire: Any) -> None:
    socket = opened(wire, queued_messages=1)
    step = Under(socket.session.receive())
    socket.receive(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c"))
    assert socket.is_paused()
    assert [step.goes_on(), socket.hear(), socket.hear(), socket.hear()] == [text("a"), text("b"), text("c"), WAITING]


def test_reading_pauses_after_a_receive_was_cancelled(wire: Any) -> None:
    socket = opened(wire, queued_messages=2)
    step = Under(socket.session.receive())
    with pytest.raises(asyncio.CancelledError):
        step.step.throw(asyncio.CancelledError())
    socket.receive(frame(TEXT, b"a") * 3)
    assert socket.is_paused()


def test_pings_and_fragments_do_not_count(wire: Any) -> None:
    socket = opened(wire, queued_messages=2)
    socket.receive(fragments(TEXT, *[b"a"] * 50, between=frame(PING)))
    assert not socket.is_paused()
    assert len(socket.sent()) == 49


# Sending


def test_text_is_sent_at_any_length(wire: Any) -> None:
    socket = opened(wire)
    for content in ("", "a", "é€\U0001f600", "x" * 125, "x" * 126, "é" * 100, "x" * 70000, "é" * 70000):
        assert socket.say("send", text=content) is None
        assert socket.sent() == [(TEXT, 0, content.encode())]


def test_bytes_are_sent_at_any_length(wire: Any) -> None:
    socket = opened(wire)
    for content in (b"", b"\xff", bytes(125), bytes(126), bytes(16384), bytes(65535), bytes(65536)):
        assert socket.say("send", bytes=content) is None
        assert socket.sent() == [(BINARY, 0, content)]


@pytest.mark.parametrize(
    ("more", "opcode"),
    [({"text": "a", "bytes": None}, TEXT), ({"text": None, "bytes": b"a"}, BINARY), ({"bytes": b"a"}, BINARY)],
)
def test_unused_key_may_be_none(wire: Any, more: dict[str, Any], opcode: int) -> None:
    socket = opened(wire)
    socket.say("send", **more)
    assert socket.sent() == [(opcode, 0, b"a")]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_buffers_are_copied(wire: Any, kind: Any) -> None:
    socket = opened(wire)
    buffer = bytearray(b"abc")
    socket.say("send", bytes=kind(buffer))
    buffer[:] = b"xyz"
    assert socket.sent() == [(BINARY, 0, b"abc")]


def test_text_may_be_a_subclass_of_str(wire: Any) -> None:
    class Markup(str):
        __slots__ = ()

        def encode(self, *_: Any) -> bytes:
            raise AssertionError

    socket = opened(wire)
    socket.say("send", text=Markup("é"))
    assert socket.sent() == [(TEXT, 0, "é".encode())]


@pytest.mark.parametrize(
    "more",
    [{}, {"text": None}, {"text": b"a"}, {"text": 1}, {"bytes": "a"}, {"bytes": 5}, {"bytes": None, "text": None}],
    ids=str,
)
def test_content_of_other_types_is_refused(wire: Any, more: dict[str, Any]) -> None:
    socket = opened(wire)
    with pytest.raises(TypeError):
        socket.say("send", **more)
    assert socket.sent() == []


@pytest.mark.parametrize("content", ["\ud800", "a" * 200 + "\udfff"])
@pytest.mark.parametrize("options", [{}, {"zlib": zlib}], ids=["plain", "compressed"])
def test_text_with_surrogates_is_refused(wire: Any, content: str, options: Any) -> None:
    socket = opened(wire, request(b"Sec-WebSocket-Extensions: permessage-deflate"), **options)
    with pytest.raises(UnicodeEncodeError):
        socket.say("send", text=content)
    socket.say("send", text="a")
    assert socket.sent() == [(TEXT, 0, b"a")]


def test_messages_of_one_iteration_leave_in_one_write(wire: Any) -> None:
    socket = opened(wire)
    for index in range(20):
        socket.say("send", text=str(index))
    socket.turn()
    [written] = socket.writes
    assert [payload for _, _, payload in served(written)] == [b"%d" % index for index in range(20)]


def test_send_happens_when_it_is_awaited(wire: Any) -> None:
    socket = opened(wire)
    step = socket.session.send({"type": "websocket.send", "text": "a"})
    assert socket.sent() == []
    drive(step)
    assert socket.sent() == [(TEXT, 0, b"a")]


# Compression


def compressing(wire: Any, parameters: bytes = b"") -> Socket:
    return opened(wire, request(b"Sec-WebSocket-Extensions: permessage-deflate" + parameters), zlib=zlib)


@pytest.mark.parametrize("size", [64, 65, 1000, 100000])
def test_messages_are_compressed(wire: Any, size: int) -> None:
    socket = compressing(wire)
    inflater = zlib.decompressobj(wbits=-15)
    for kind, opcode, content in (
        ("text", TEXT, "x" * size),
        ("bytes", BINARY, b"x" * size),
        ("text", TEXT, "é" * size),
    ):
        socket.say("send", **{kind: content})
        [(sent_as, rsv, payload)] = socket.sent()
        assert (sent_as, rsv) == (opcode, RSV1)
        plain = content if isinstance(content, bytes) else content.encode()
        assert inflater.decompress(payload + b"\0\0\xff\xff") == plain


@pytest.mark.parametrize("size", [0, 1, 63])
def test_small_messages_are_not_compressed(wire: Any, size: int) -> None:
    socket = compressing(wire)
    socket.say("send", text="x" * size)
    socket.say("send", bytes=b"x" * size)
    assert socket.sent() == [(TEXT, 0, b"x" * size), (BINARY, 0, b"x" * size)]


def test_nothing_is_compressed_without_agreement(wire: Any) -> None:
    socket = opened(wire, zlib=zlib)
    socket.say("send", text="x" * 1000)
    assert socket.sent() == [(TEXT, 0, b"x" * 1000)]


def test_control_frames_are_never_compressed(wire: Any) -> None:
    socket = compressing(wire)
    socket.receive(frame(PING, b"x" * 125))
    socket.say("close", reason="x" * 100)
    assert socket.sent() == [(PONG, 0, b"x" * 125), *close_sent(1000, b"x" * 100)]


# Flow: a client that reads slowly


def test_send_waits_above_the_high_water_mark(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.pause_writing()
    step = Under(socket.session.send({"type": "websocket.send", "text": "a"}))
    socket.connection.resume_writing()
    assert step.goes_on() is None
    assert socket.sent() == [(TEXT, 0, b"a")]


def test_waiting_sends_resume_together_with_whole_messages(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.pause_writing()
    messages = [{"type": "websocket.send", "bytes": bytes([index]) * 70000} for index in range(5)]
    steps = [Under(socket.session.send(message)) for message in messages]
    socket.connection.resume_writing()
    assert [step.goes_on() for step in steps] == [None] * 5
    assert socket.sent() == [(BINARY, 0, bytes([index]) * 70000) for index in range(5)]


def test_message_of_a_cancelled_send_is_still_sent(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.pause_writing()
    step = Under(socket.session.send({"type": "websocket.send", "text": "a"}))
    with pytest.raises(asyncio.CancelledError):
        step.step.throw(asyncio.CancelledError())
    socket.connection.resume_writing()
    socket.say("send", text="b")
    assert socket.sent() == [(TEXT, 0, b"a"), (TEXT, 0, b"b")]


def test_waiting_send_raises_when_the_client_leaves(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.pause_writing()
    steps = [Under(socket.session.send({"type": "websocket.send", "text": "a"})) for _ in range(2)]
    socket.connection.lose()
    for step in steps:
        with pytest.raises(OSError, match="closed"):
            step.goes_on()


@pytest.mark.parametrize("end", ["the client closes", "the client ends its stream", "a violation", "drain"])
def test_waiting_send_raises_when_the_session_ends(wire: Any, end: str) -> None:
    socket = opened(wire)
    socket.connection.pause_writing()
    step = Under(socket.session.send({"type": "websocket.send", "text": "a"}))
    {
        "the client closes": lambda: socket.receive(close(1000)),
        "the client ends its stream": socket.connection.end_input,
        "a violation": lambda: socket.receive(frame(3)),
        "drain": socket.connection.drain,
    }[end]()
    with pytest.raises(OSError, match="closed"):
        step.goes_on()


def test_client_that_reads_nothing_is_disconnected(wire: Any) -> None:
    socket = opened(wire, write_timeout=5, ping_interval=0)
    socket.waiting_bytes = 100
    socket.connection.pause_writing()
    socket.seconds(5)
    assert "abort" not in socket.calls
    socket.seconds(1)
    assert "abort" in socket.calls


def test_messages_are_received_while_the_client_does_not_read(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.pause_writing()
    socket.receive(frame(TEXT, b"a"))
    assert socket.hear() == text("a")


# Pings from the client


@pytest.mark.parametrize("payload", [b"", b"p", b"\xff" * 125])
def test_ping_is_answered(wire: Any, payload: bytes) -> None:
    socket = opened(wire)
    socket.receive(frame(PING, payload))
    assert socket.sent() == [(PONG, 0, payload)]
    assert socket.hear() is WAITING


def test_pongs_keep_the_order_of_pings(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(b"".join(frame(PING, b"%d" % index) for index in range(5)))
    assert socket.sent() == [(PONG, 0, b"%d" % index) for index in range(5)]


def test_unsolicited_pong_is_ignored(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(PONG, b"p"))
    assert (socket.sent(), socket.hear()) == ([], WAITING)


def test_pings_of_a_slow_client_are_answered_once(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.pause_writing()
    socket.receive(b"".join(frame(PING, b"%d" % index) for index in range(1000)))
    assert socket.sent() == []
    socket.connection.resume_writing()
    assert socket.sent() == [(PONG, 0, b"999")]
    socket.connection.pause_writing()
    socket.connection.resume_writing()
    assert socket.sent() == []


def test_pong_is_never_sent_inside_a_message(wire: Any) -> None:
    socket = opened(wire)
    socket.say("send", bytes=bytes(100000))
    socket.receive(frame(PING, b"p"))
    socket.say("send", bytes=bytes(100000))
    assert [opcode for opcode, _, _ in socket.sent()] == [BINARY, PONG, BINARY]


# Keep-alive. A second of the clock may be nearly over, so every deadline is one second later.


def test_silent_client_is_pinged(wire: Any) -> None:
    socket = opened(wire, ping_interval=20)
    socket.seconds(20)
    assert socket.sent() == []
    socket.seconds(1)
    assert socket.sent() == [(PING, 0, b"")]


def test_pings_continue_while_they_are_answered(wire: Any) -> None:
    socket = opened(wire, ping_interval=5, ping_timeout=5)
    for _ in range(20):
        socket.seconds(6)
        assert socket.sent() == [(PING, 0, b"")]
        socket.receive(frame(PONG))
    assert socket.hear() is WAITING


def test_client_that_does_not_answer_pings_is_disconnected(wire: Any) -> None:
    socket = opened(wire, ping_interval=20, ping_timeout=10)
    socket.seconds(21)
    assert socket.sent() == [(PING, 0, b"")]
    socket.seconds(10)
    assert socket.sent() == []
    socket.seconds(1)
    assert socket.sent() == close_sent(1011, b"keepalive ping timeout")
    assert socket.hear() == disconnect(1011, "keepalive ping timeout")
    assert socket.calls[-1] in ("close", "finish_writing")


@pytest.mark.parametrize(
    "life", [frame(PONG), frame(PONG, b"other"), frame(PING), frame(TEXT, b"a"), frame(BINARY, b"x" * 10)[:3]]
)
def test_any_input_counts_as_an_answer_to_a_ping(wire: Any, life: bytes) -> None:
    socket = opened(wire, ping_interval=20, ping_timeout=10)
    socket.seconds(21)
    socket.receive(life)
    socket.seconds(15)
    assert not any(opcode == CLOSE for opcode, _, _ in socket.sent())


def test_input_before_a_ping_is_not_an_answer(wire: Any) -> None:
    socket = opened(wire, ping_interval=20, ping_timeout=10)
    socket.seconds(19)
    socket.receive(frame(PONG))
    socket.seconds(2 + 11)
    assert socket.sent()[-1:] == close_sent(1011, b"keepalive ping timeout")


def test_client_that_falls_silent_later_is_disconnected(wire: Any) -> None:
    socket = opened(wire, ping_interval=20, ping_timeout=10)
    for _ in range(3):
        socket.seconds(21)
        assert socket.sent() == [(PING, 0, b"")]
        socket.receive(frame(PONG))
    socket.seconds(21 + 11)
    assert socket.sent() == [(PING, 0, b""), *close_sent(1011, b"keepalive ping timeout")]


def test_pings_may_be_more_frequent_than_their_timeout(wire: Any) -> None:
    socket = opened(wire, ping_interval=2, ping_timeout=20)
    socket.seconds(3)
    assert socket.sent() == [(PING, 0, b"")]
    socket.seconds(20)
    assert {opcode for opcode, _, _ in socket.sent()} == {PING}
    socket.seconds(1)
    assert socket.sent()[-1:] == close_sent(1011, b"keepalive ping timeout")


def test_ping_interval_of_zero_disables_pings(wire: Any) -> None:
    socket = opened(wire, ping_interval=0)
    socket.seconds(200)
    assert (socket.sent(), socket.calls) == ([], [])


def test_ping_timeout_of_zero_disables_the_timeout(wire: Any) -> None:
    socket = opened(wire, ping_interval=20, ping_timeout=0)
    socket.seconds(200)
    frames = socket.sent()
    assert len(frames) >= 9
    assert {opcode for opcode, _, _ in frames} == {PING}


def test_client_that_waits_for_the_application_does_not_time_out(wire: Any) -> None:
    """Its pong may follow messages the application has not received."""
    socket = opened(wire, ping_interval=20, ping_timeout=10, queued_messages=1)
    socket.receive(frame(TEXT, b"a") * 2)
    socket.seconds(200)
    assert {opcode for opcode, _, _ in socket.sent()} == {PING}
    assert [socket.hear(), socket.hear()] == [text("a")] * 2


def test_no_ping_is_sent_before_the_acceptance(wire: Any) -> None:
    socket = Socket(wire, ping_interval=5)
    socket.seconds(100)
    assert socket.take() == b""
    socket.say("accept")
    assert socket.take() == SWITCH + b"\r\n"


def test_no_ping_is_sent_after_a_close_frame(wire: Any) -> None:
    socket = opened(wire, ping_interval=5)
    socket.say("close")
    socket.seconds(9)
    assert socket.sent() == close_sent(1000)


# Closed by the application


def test_application_can_close(wire: Any) -> None:
    socket = opened(wire)
    assert socket.say("close", code=3001, reason="bye €") is None
    assert socket.sent() == close_sent(3001, "bye €".encode())
    assert socket.calls == []
    socket.receive(close(3001))
    socket.turn()
    assert (socket.sent(), socket.calls) == ([], ["close"])
    assert socket.hear() == disconnect(3001, "bye €")


@pytest.mark.parametrize("more", [{}, {"code": None}, {"reason": None}, {"code": 1000, "reason": ""}], ids=str)
def test_application_can_close_without_a_reason(wire: Any, more: dict[str, Any]) -> None:
    socket = opened(wire)
    socket.say("close", **more)
    assert socket.sent() == close_sent(1000)
    assert socket.hear() == disconnect(1000)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 5000, 65536, -1, 2**40, 1000.0, "1000"])
def test_reserved_close_codes_are_refused(wire: Any, code: Any) -> None:
    socket = opened(wire)
    with pytest.raises(ValueError):
        socket.say("close", code=code)
    socket.say("send", text="a")
    assert socket.sent() == [(TEXT, 0, b"a")]


def test_long_close_reason_is_cut(wire: Any) -> None:
    socket = opened(wire)
    socket.say("close", reason="€" * 100)
    assert socket.sent() == close_sent(1000, "€".encode() * 41)


def test_waiting_receive_gets_the_close_of_the_application(wire: Any) -> None:
    socket = opened(wire)
    step = Under(socket.session.receive())
    socket.say("close", code=4000)
    assert step.goes_on() == disconnect(4000)


def test_code_of_the_client_does_not_replace_that_of_the_application(wire: Any) -> None:
    socket = opened(wire)
    socket.say("close", code=4000)
    socket.receive(close(1001, b"away"))
    assert socket.hear() == disconnect(4000)


def test_messages_that_cross_the_close_frame_are_dropped(wire: Any) -> None:
    socket = opened(wire, queued_messages=2)
    socket.receive(frame(TEXT, b"before"))
    socket.say("close")
    socket.receive(frame(TEXT, b"behind") * 10)
    assert not socket.is_paused()
    assert socket.hear() == disconnect(1000)
    socket.receive(close(1000))
    socket.turn()
    assert socket.calls[-1] == "close"


def test_close_does_not_wait_for_unreceived_messages(wire: Any) -> None:
    socket = opened(wire, queued_messages=1)
    socket.receive(frame(TEXT, b"a") * 10 + close(1001))
    assert socket.is_paused()
    socket.say("close")
    assert socket.sent() == close_sent(1000)
    assert socket.calls[-1] == "close"
    assert not socket.is_paused()


def test_ping_that_crosses_the_close_frame_is_harmless(wire: Any) -> None:
    socket = opened(wire)
    socket.say("close")
    socket.receive(frame(PING, b"p") + close(1000))
    assert socket.sent()[0] == close_sent(1000)[0]
    assert socket.calls[-1] == "close"


def test_client_that_does_not_confirm_the_close_is_disconnected(wire: Any) -> None:
    socket = opened(wire)
    socket.say("close")
    socket.seconds(10)
    assert socket.calls == []
    socket.seconds(1)
    assert socket.calls in (["close"], ["finish_writing"])
    socket.seconds(3)
    assert socket.calls[-1] == "close"


def test_messages_do_not_delay_the_close_timeout(wire: Any) -> None:
    socket = opened(wire)
    socket.say("close")
    for _ in range(15):
        socket.receive(frame(TEXT, b"more"))
        socket.seconds(1)
    assert socket.calls[-1] == "close"


def test_violation_that_crosses_the_close_frame_keeps_the_code(wire: Any) -> None:
    socket = opened(wire)
    socket.say("close", code=4000)
    socket.receive(frame(TEXT, b"\xff"))
    assert socket.sent() == close_sent(4000)
    assert socket.calls in (["close"], ["finish_writing"])
    assert socket.hear() == disconnect(4000)


def test_client_may_leave_without_confirming_the_close(wire: Any) -> None:
    for leave in ("end_input", "lose"):
        socket = opened(wire)
        socket.say("close", code=4000)
        getattr(socket.connection, leave)()
        socket.turn()
        assert socket.hear() == disconnect(4000)
        if leave == "end_input":
            assert socket.calls == ["close"]


# Closed by the client


def test_client_can_close(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(close(3001, "bye €".encode()))
    assert socket.sent() == close_sent(3001, "bye €".encode())
    assert socket.calls == ["close"]
    assert socket.hear() == disconnect(3001, "bye €")


def test_client_can_close_without_a_code(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(CLOSE))
    assert socket.sent() == [(CLOSE, 0, b"")]
    assert socket.calls == ["close"]
    assert socket.hear() == disconnect(1005)


def test_messages_before_the_close_frame_are_received_first(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") + frame(BINARY, b"b") + close(1001))
    assert [socket.hear() for _ in range(4)] == [text("a"), data(b"b"), disconnect(1001), disconnect(1001)]


def test_messages_and_a_close_frame_beyond_the_limit_are_received(wire: Any) -> None:
    socket = opened(wire, queued_messages=2)
    socket.receive(frame(TEXT, b"a") * 5 + close(1001))
    assert [socket.hear() for _ in range(6)] == [text("a")] * 5 + [disconnect(1001)]
    assert socket.sent() == close_sent(1001)


def test_nothing_is_read_after_a_close_frame(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(close(1000) + frame(TEXT, b"a") + frame(PING) + b"\xff\xff")
    socket.receive(frame(TEXT, b"a") + close(1001))
    assert socket.sent() == close_sent(1000)
    assert [socket.hear(), socket.hear()] == [disconnect(1000), disconnect(1000)]


def test_close_frame_wakes_every_receive(wire: Any) -> None:
    socket = opened(wire)
    steps = [Under(socket.session.receive()) for _ in range(3)]
    socket.receive(close(1001))
    assert [step.goes_on() for step in steps] == [disconnect(1001)] * 3


def test_close_frame_may_come_inside_a_message(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a", fin=False) + close(1001))
    assert socket.hear() == disconnect(1001)


# Lost clients


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_client_that_leaves_is_reported_as_1006(wire: Any, leave: str) -> None:
    socket = opened(wire)
    step = Under(socket.session.receive())
    getattr(socket.connection, leave)()
    socket.turn()
    assert step.goes_on() == disconnect(1006)
    assert socket.hear() == disconnect(1006)
    assert socket.take() == b""


def test_client_that_ends_its_stream_is_closed(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.end_input()
    socket.turn()
    assert socket.calls == ["close"]


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_messages_before_the_end_are_received_first(wire: Any, leave: str) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") + frame(TEXT, b"b"))
    getattr(socket.connection, leave)()
    assert [socket.hear() for _ in range(3)] == [text("a"), text("b"), disconnect(1006)]


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_everything_before_the_end_is_received(wire: Any, leave: str) -> None:
    """Includes messages beyond the limit and the client's close frame."""
    socket = opened(wire, queued_messages=2)
    socket.receive(b"".join(frame(TEXT, b"%d" % index) for index in range(5)) + close(1001, b"away"))
    getattr(socket.connection, leave)()
    assert [socket.hear() for _ in range(6)] == [*(text(str(index)) for index in range(5)), disconnect(1001, "away")]


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_client_that_leaves_before_the_answer_is_reported_as_1006(wire: Any, leave: str) -> None:
    socket = Socket(wire)
    getattr(socket.connection, leave)()
    assert [socket.hear(), socket.hear()] == [CONNECT, disconnect(1006)]
    with pytest.raises(OSError, match="closed"):
        socket.say("accept")
    assert (socket.take(), socket.accepted) == (b"", [])


def test_handshake_read_after_eof_is_closed(wire: Any) -> None:
    socket = Socket(wire, GET + request())
    ok(socket.request)
    socket.connection.end_input()
    assert socket.take() == OK
    assert [socket.hear(), socket.hear()] == [CONNECT, disconnect(1006)]
    assert socket.calls == ["defer", "close"]


def test_client_that_leaves_after_early_frames_is_closed(wire: Any) -> None:
    """They exceed the limit, so reading is paused and the transport does not notice the end of the stream."""
    socket = Socket(wire, request() + frame(BINARY, bytes(70 * KIB)))
    socket.left = True
    socket.seconds(1)
    assert [socket.hear(), socket.hear()] == [CONNECT, disconnect(1006)]
    assert socket.calls[-1] in ("close", "finish_writing")


# send() after the end

ENDS = {
    "the application has closed": lambda socket: socket.say("close"),
    "the client has closed": lambda socket: socket.receive(close(1000)),
    "the client has left": lambda socket: socket.connection.end_input(),
    "the connection is lost": lambda socket: socket.connection.lose(),
    "a violation": lambda socket: socket.receive(frame(TEXT, mask=None)),
    "the server stops": lambda socket: socket.connection.drain(),
    "no answer to a ping": lambda socket: socket.seconds(50),
    "closed on both sides": lambda socket: (socket.say("close"), socket.receive(close(1000))),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("kind", ["send", "close", "accept"])
def test_send_after_the_end_fails(wire: Any, name: str, kind: str) -> None:
    socket = opened(wire)
    ENDS[name](socket)
    socket.take()
    for _ in range(2):
        with pytest.raises(ClientDisconnected) as caught:
            socket.say(kind, text="a")
        assert isinstance(caught.value, OSError)
    assert socket.take() == b""


@pytest.mark.parametrize("name", ENDS)
def test_receive_after_the_end_always_disconnects(wire: Any, name: str) -> None:
    socket = opened(wire)
    ENDS[name](socket)
    messages = [socket.hear() for _ in range(3)]
    assert messages[0]["type"] == "websocket.disconnect"
    assert set(messages[0]) == {"type", "code", "reason"}
    assert (type(messages[0]["code"]), type(messages[0]["reason"])) == (int, str)
    assert messages[1:] == [messages[0]] * 2
    assert messages[0] is not messages[1]


@pytest.mark.parametrize("name", ENDS)
def test_events_after_the_end_have_no_effect(wire: Any, name: str) -> None:
    socket = opened(wire)
    ENDS[name](socket)
    socket.turn()
    before = socket.hear()
    socket.writes.clear()
    socket.connection.lose()
    socket.session.restart()
    socket.session.end_input()
    socket.session.on_tick(1000)
    socket.session.on_writable()
    assert socket.session.finish(True)
    socket.turn()
    assert (socket.writes, socket.hear()) == ([], before)


# Violations

VIOLATIONS = {
    "unmasked": (frame(TEXT, b"a", mask=None), 1002),
    "reserved bit": (frame(TEXT, b"a", rsv=RSV1), 1002),
    "opcode": (frame(3), 1002),
    "continuation": (frame(CONTINUATION), 1002),
    "close code": (close(1005), 1002),
    "text": (frame(TEXT, b"\xff"), 1007),
    "reason": (close(1000, b"\xff"), 1007),
    "size": (frame(BINARY, length=5000), 1009),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_violation_ends_the_session(wire: Any, name: str) -> None:
    violation, code = VIOLATIONS[name]
    socket = opened(wire, message_size=4999)
    socket.receive(violation)
    [(opcode, _, payload)] = socket.sent()
    assert (opcode, payload[:2]) == (CLOSE, code.to_bytes(2, "big"))
    assert socket.calls == ["finish_writing"]
    reason = payload[2:].decode()
    assert reason
    assert socket.hear() == disconnect(code, reason)


def test_violation_waits_for_replies_to_earlier_messages(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(3))
    for said in ("a", "b"):
        assert socket.hear() == text(said)
        assert socket.sent() == []
        socket.say("send", text=said)
        assert socket.sent() == [(TEXT, 0, said.encode())]
    assert socket.hear() == disconnect(1002, "unknown opcode")
    assert socket.sent() == close_sent(1002, b"unknown opcode")


def test_violation_waits_for_a_reply_in_progress(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a"))
    assert socket.hear() == text("a")
    socket.receive(frame(3))
    assert socket.sent() == []
    socket.say("send", text="a")
    assert socket.hear() == disconnect(1002, "unknown opcode")
    assert [opcode for opcode, _, _ in socket.sent()] == [TEXT, CLOSE]


def test_violation_waits_ten_seconds_at_most(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") + frame(3))
    socket.session.on_tick(10)
    assert socket.sent() == []
    socket.session.on_tick(11)
    assert socket.sent() == close_sent(1002, b"unknown opcode")
    assert [socket.hear(), socket.hear()] == [text("a"), disconnect(1002, "unknown opcode")]


def test_close_of_the_application_precedes_a_violation(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") + frame(3))
    assert socket.hear() == text("a")
    socket.say("close", code=3000)
    assert socket.sent() == close_sent(3000)
    assert socket.hear() == disconnect(3000)


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_violation_is_reported_although_the_client_left(wire: Any, leave: str) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") + frame(3))
    getattr(socket.connection, leave)()
    assert [socket.hear(), socket.hear()] == [text("a"), disconnect(1002, "unknown opcode")]


def test_input_after_a_violation_is_discarded_for_a_moment(wire: Any) -> None:
    """A reset would discard the close frame for a client that is still sending."""
    socket = opened(wire)
    socket.receive(frame(TEXT, mask=None) + frame(TEXT, b"a"))
    socket.turn()
    for _ in range(2):
        socket.receive(frame(TEXT, b"a") * 1000 + close(1000) + frame(PING))
        socket.seconds(1)
        assert socket.calls == ["finish_writing"]
    socket.seconds(1)
    assert socket.calls == ["finish_writing", "close"]
    assert len(socket.sent()) == 1
    assert socket.hear()["code"] == 1002


def test_eof_after_a_violation_closes_the_connection(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, mask=None))
    socket.turn()
    socket.connection.end_input()
    socket.turn()
    assert socket.calls[-1] == "close"
    assert socket.hear()["code"] == 1002


def test_violation_beyond_the_limit_is_received_after_the_messages(wire: Any) -> None:
    socket = opened(wire, queued_messages=1)
    socket.receive(frame(TEXT, b"a") * 2 + frame(TEXT, b"\xff"))
    assert [socket.hear(), socket.hear(), socket.hear()["code"]] == [text("a"), text("a"), 1007]


def test_decompression_bomb_closes_with_1009(wire: Any) -> None:
    socket = opened(wire, request(b"Sec-WebSocket-Extensions: permessage-deflate"), zlib=zlib, message_size=100000)
    deflater = zlib.compressobj(wbits=-15)
    payload = deflater.compress(bytes(50 * KIB * KIB)) + deflater.flush(zlib.Z_SYNC_FLUSH)
    socket.receive(frame(BINARY, payload[:-4], rsv=RSV1))
    assert socket.sent()[0][2][:2] == (1009).to_bytes(2, "big")
    assert socket.hear()["code"] == 1009


# End of the application


def test_application_that_returns_closes_with_1000(wire: Any) -> None:
    socket = opened(wire)
    assert socket.session.finish(False)
    assert socket.sent() == close_sent(1000)


def test_application_that_fails_closes_with_1011(wire: Any) -> None:
    socket = opened(wire)
    assert socket.session.finish(True)
    assert socket.sent() == close_sent(1011)


@pytest.mark.parametrize("failed", [True, False])
def test_end_after_a_close_sends_nothing_more(wire: Any, failed: bool) -> None:
    socket = opened(wire)
    socket.say("close", code=4000)
    assert socket.session.finish(failed)
    assert socket.sent() == close_sent(4000)


@pytest.mark.parametrize("failed", [True, False])
def test_end_without_an_answer_is_incomplete(wire: Any, failed: bool) -> None:
    socket = Socket(wire)
    assert not socket.session.finish(failed)
    assert socket.take() == b""


def test_end_after_a_denial_is_complete(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("close")
    assert socket.session.finish(False)


def test_end_within_a_denial_is_incomplete(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("http.response.start", status=401)
    assert not socket.session.finish(False)


def run(socket: Socket, app: Any) -> None:
    """Run `app` as the server does, until it waits."""
    started: list[Any] = []

    def create_task(loop: Any, call: Any) -> Any:
        started.append(call)
        return Mock()

    form = socket.wire.form
    server: Any = SimpleNamespace(
        app=app,
        wire=backend.form(FORMS[form], form),
        loop=SimpleNamespace(get_task_factory=lambda: create_task),
        context=contextvars.Context(),
        eager=False,
        tasks=set(),
        limit_concurrency=None,
        limit_websockets=None,
    )
    _, start = calls.make_starts(server)
    start(socket.session)
    [call] = started
    assert drive(call) is None


def test_failure_is_logged_and_closes_with_1011(wire: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise KeyError("x")

    socket = Socket(wire)
    run(socket, app)
    assert served(socket.take()[len(SWITCH) + 2 :]) == close_sent(1011)
    [record] = caplog.records
    assert record.name == "pronghorn.error"
    assert record.message.startswith("Exception in ASGI application")
    assert record.exc_info is not None


@pytest.mark.parametrize("result", [None, 5])
def test_return_closes_with_1000(wire: Any, caplog: pytest.LogCaptureFixture, result: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> Any:
        await send({"type": "websocket.accept"})
        return result

    socket = Socket(wire)
    run(socket, app)
    assert served(socket.take()[len(SWITCH) + 2 :]) == close_sent(1000)
    assert len(caplog.records) == (result is not None)


@pytest.mark.parametrize("failing", [True, False], ids=["failed", "returned"])
@pytest.mark.parametrize("answered", [True, False], ids=["denial begun", "not answered"])
def test_incomplete_handshake_is_answered_500(
    wire: Any, caplog: pytest.LogCaptureFixture, failing: bool, answered: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if answered:
            await send({"type": "websocket.http.response.start", "status": 401})
        if failing:
            raise KeyError("x")

    socket = Socket(wire)
    run(socket, app)
    assert socket.take() == refusal(500, "Internal Server Error")
    assert [status for _, status in socket.denied] == [500]
    assert socket.calls == ["close"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("name", ENDS)
def test_client_disconnected_error_is_not_logged(wire: Any, caplog: pytest.LogCaptureFixture, name: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        ENDS[name](socket)
        await send({"type": "websocket.send", "text": "a"})

    socket = Socket(wire)
    run(socket, app)
    assert caplog.records == []


# Denial


def test_close_instead_of_accept_is_403(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("close", code=4000, reason="not here")
    assert socket.take() == DENIED
    assert socket.denied == [(socket.session, 403)]
    assert (socket.calls, socket.accepted) == (["close"], [])


def test_denial_has_the_default_fields(wire: Any) -> None:
    socket = Socket(wire, server=b"pronghorn", fields=[(b"x-default", b"1")])
    socket.say("close")
    assert socket.take() == DENIED.replace(b"content", b"server: pronghorn\r\nx-default: 1\r\ncontent")


def test_denial_has_the_response_of_the_application(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("http.response.start", status=401, headers=[(b"X-A", b"1"), (b"content-length", b"5")])
    socket.say("http.response.body", body=b"sorry")
    assert socket.take() == (
        b"HTTP/1.1 401 Unauthorized\r\nx-a: 1\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsorry"
    )
    assert socket.denied == [(socket.session, 401)]
    assert socket.calls == ["close"]


def test_denial_may_come_in_parts(wire: Any) -> None:
    """It is sent when it is complete, so that it has a length."""
    socket = Socket(wire)
    socket.say("http.response.start", status=400)
    socket.say("http.response.body", body=b"a", more_body=True)
    assert (socket.take(), socket.calls, socket.denied) == (b"", [], [])
    socket.say("http.response.body", body=bytearray(b"b"))
    assert socket.take() == b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\nconnection: close\r\n\r\nab"
    assert (socket.calls, len(socket.denied)) == (["close"], 1)


def test_denial_may_have_no_body(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("http.response.start", status=400)
    socket.say("http.response.body")
    assert socket.take() == b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def test_denial_may_be_chunked(wire: Any) -> None:
    socket = Socket(wire)
    socket.say("http.response.start", status=400, headers=[(b"Transfer-Encoding", b"chunked")])
    socket.say("http.response.body", body=b"a")
    assert socket.take() == (
        b"HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n"
    )


@pytest.mark.parametrize("body", ["text", 5, None])
def test_denial_with_a_body_that_is_not_bytes_is_refused(wire: Any, body: Any) -> None:
    socket = Socket(wire)
    socket.say("http.response.start", status=400)
    with pytest.raises(TypeError):
        socket.say("http.response.body", body=body)
    socket.say("http.response.body", body=b"a")
    assert socket.take().endswith(b"content-length: 1\r\nconnection: close\r\n\r\na")


@pytest.mark.parametrize("kind", ["close", "http.response.body"])
def test_waiting_receive_disconnects_after_a_denial(wire: Any, kind: str) -> None:
    socket = Socket(wire)
    socket.hear()
    step = Under(socket.session.receive())
    if kind != "close":
        socket.say("http.response.start", status=400)
    socket.say(kind)
    assert step.goes_on() == disconnect(1006)
    with pytest.raises(OSError, match="closed"):
        socket.say("accept")


@pytest.mark.parametrize(
    "more",
    [
        {"status": 700},
        {"status": "x"},
        {"status": 200, "headers": [(b"a b", b"c")]},
        {"status": 200, "headers": [(b"content-length", b"x")]},
    ],
    ids=["status", "type of status", "field", "length"],
)
def test_accept_is_possible_after_an_invalid_denial(wire: Any, more: dict[str, Any]) -> None:
    socket = Socket(wire)
    with pytest.raises((ValueError, TypeError)):
        socket.say("http.response.start", **more)
    socket.say("accept")
    assert socket.take() == SWITCH + b"\r\n"


def test_client_that_leaves_during_a_denial_is_reported_as_1006(wire: Any) -> None:
    socket = Socket(wire)
    socket.hear()
    socket.say("http.response.start", status=400)
    socket.connection.lose()
    assert socket.hear() == disconnect(1006)
    with pytest.raises(OSError, match="closed"):
        socket.say("http.response.body")


def test_frames_after_a_denied_handshake_are_not_read(wire: Any) -> None:
    socket = Socket(wire, request() + frame(TEXT, b"a"))
    socket.say("close")
    assert socket.take() == DENIED
    assert [socket.hear(), socket.hear()] == [CONNECT, disconnect(1006)]


# Drain


def test_drain_closes_with_1012(wire: Any) -> None:
    socket = opened(wire)
    step = Under(socket.session.receive())
    socket.shared.draining = True
    socket.connection.drain()
    assert socket.sent() == close_sent(1012)
    assert step.goes_on() == disconnect(1012)
    assert socket.calls == []
    socket.receive(close(1012))
    socket.turn()
    assert socket.calls == ["close"]


def test_drain_before_the_acceptance_closes_after_it(wire: Any) -> None:
    socket = Socket(wire)
    socket.shared.draining = True
    socket.connection.drain()
    assert (socket.take(), socket.calls) == (b"", [])
    assert [socket.hear(), socket.hear()] == [CONNECT, WAITING]
    socket.say("accept")
    assert served(socket.take()[len(SWITCH) + 2 :]) == close_sent(1012)
    assert socket.hear() == disconnect(1012)


def test_denial_is_sent_after_the_drain(wire: Any) -> None:
    socket = Socket(wire)
    socket.shared.draining = True
    socket.connection.drain()
    socket.say("close")
    assert socket.take() == DENIED


def test_second_drain_has_no_effect(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.drain()
    socket.connection.drain()
    assert socket.sent() == close_sent(1012)


def test_messages_before_the_drain_are_received_and_answered(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") + frame(TEXT, b"b"))
    socket.connection.drain()
    assert socket.take() == b""
    for content in ("a", "b"):
        assert socket.hear() == text(content)
        socket.say("send", text=content)
    assert served(socket.take()) == [(TEXT, 0, b"a"), (TEXT, 0, b"b")]
    assert socket.hear() == disconnect(1012)
    assert socket.sent() == close_sent(1012)
    socket.receive(close(1012))
    socket.turn()
    assert socket.calls[-1] == "close"


def test_messages_that_exceeded_the_queue_are_received_after_the_drain(wire: Any) -> None:
    socket = opened(wire, queued_messages=1)
    socket.receive(b"".join(frame(TEXT, b"%d" % number) for number in range(5)))
    socket.connection.drain()
    assert [socket.hear() for _ in range(6)] == [*(text(str(number)) for number in range(5)), disconnect(1012)]
    assert socket.sent() == close_sent(1012)


def test_message_after_the_drain_is_not_received(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"before"))
    socket.connection.drain()
    assert socket.calls[-1] == "pause"
    assert socket.hear() == text("before")
    assert socket.hear() == disconnect(1012)
    socket.receive(frame(TEXT, b"after"))
    assert socket.hear() == disconnect(1012)


def test_close_of_the_client_before_the_drain_counts(wire: Any) -> None:
    socket = opened(wire, queued_messages=1)
    socket.receive(frame(TEXT, b"a") * 2 + close(1000))
    socket.connection.drain()
    assert [socket.hear() for _ in range(3)] == [text("a"), text("a"), disconnect(1000)]
    assert socket.sent() == close_sent(1000)


def test_violation_before_the_drain_ends_the_session(wire: Any) -> None:
    socket = opened(wire, queued_messages=1)
    socket.receive(frame(TEXT, b"a") * 2 + frame(3))
    socket.connection.drain()
    heard = [socket.hear() for _ in range(3)]
    assert heard[:2] == [text("a"), text("a")]
    assert heard[2]["code"] == 1002


def test_application_may_close_during_the_drain(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a"))
    socket.connection.drain()
    socket.say("close", code=3000)
    assert socket.sent() == close_sent(3000)
    assert socket.hear() == disconnect(3000)


def test_drain_does_not_wait_long_for_an_application_that_takes_no_messages(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a"))
    socket.connection.drain()
    socket.seconds(3)
    assert socket.sent() == close_sent(1012)
    assert [socket.hear(), socket.hear()] == [text("a"), disconnect(1012)]


def test_drain_waits_for_an_application_that_takes_messages(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a") * 5)
    socket.connection.drain()
    for _ in range(5):
        socket.seconds(1)
        assert socket.hear() == text("a")
    assert socket.take() == b""
    assert socket.hear() == disconnect(1012)


def test_client_that_leaves_during_the_drain_is_reported_after_its_messages(wire: Any) -> None:
    socket = opened(wire)
    socket.receive(frame(TEXT, b"a"))
    socket.connection.drain()
    socket.connection.lose()
    assert [socket.hear(), socket.hear()] == [text("a"), disconnect(1006)]


def test_client_that_does_not_answer_the_drain_is_disconnected(wire: Any) -> None:
    socket = opened(wire)
    socket.connection.drain()
    socket.seconds(14)
    assert socket.calls[-1] == "close"


def test_session_is_not_idle(wire: Any) -> None:
    assert not Socket(wire).connection.is_idle()
    assert not opened(wire).connection.is_idle()


# HTTP deadlines


def test_http_deadlines_do_not_end_a_session(wire: Any) -> None:
    socket = opened(wire, ping_interval=0, keep_alive_timeout=1, head_timeout=1, body_timeout=1, first_byte_timeout=1)
    socket.seconds(1000)
    assert socket.calls == []
    socket.receive(frame(TEXT, b"a"))
    assert socket.hear() == text("a")


# Other channels


def test_session_can_use_another_channel(wire: Any) -> None:
    """WebSockets over HTTP/2 (RFC 8441) need only a channel for bytes and the negotiated options."""
    calls: list[Any] = []

    class Stream(wire.channel.Channel):  # type: ignore[misc]
        def queued(self, size: int) -> None:
            calls.append(size)

        def is_writable(self) -> bool:
            return True

        def wake_writers(self, error: Any) -> None:
            calls.append("wake")

        def accept(self, session: Any, fields: Any) -> None:
            calls.append(("accept", fields))

        def exchange_ended(self) -> None:
            calls.append("ended")

    head = wire.http1_head.parse(request(), 0, len(request()), wire.shared.Limits())
    shared = wire.shared.Shared(wire.shared.Limits(), None)
    stream = Stream(shared, [])
    encoder = wire.response.new_encoder(shared, "GET", True, False)
    handshake = wire.handshake.Handshake(b"", ["chat"], None)
    opening = wire.request.new_request(head, False, encoder, stream, shared, shared.connection_scope(None, None), "")
    session = wire.session.WebSocket(handshake, opening, stream, shared)
    drive(session.send({"type": "websocket.accept", "subprotocol": "chat"}))
    session.feed(frame(TEXT, b"a", mask=MASK) + close(1000))
    assert [drive(session.receive()) for _ in range(3)] == [CONNECT, text("a"), disconnect(1000)]
    assert calls == [("accept", [(b"sec-websocket-protocol", b"chat")]), 4, "wake", "ended"]
    assert served(b"".join(stream.out)) == close_sent(1000)


def test_handshake_that_takes_too_long_is_answered_503(wire: Any) -> None:
    socket = Socket(wire, request_timeout=5)
    assert socket.hear() == CONNECT
    socket.seconds(5)
    assert socket.take() == b""
    socket.seconds(1)
    assert socket.take() == refusal(503, "Service Unavailable")
    assert socket.denied == [(socket.session, 503)]
    assert socket.overdue == ["answered"]
    assert socket.hear() == disconnect(1006)
    with pytest.raises(ClientDisconnected):
        socket.say("accept")
    assert socket.session.finish(False)
    socket.connection.lose()
    assert not socket.closed


def test_open_session_has_no_deadline(wire: Any) -> None:
    socket = opened(wire, request_timeout=5, ping_interval=0)
    socket.seconds(20)
    socket.say("send", text="late")
    assert socket.sent() == [(TEXT, 0, b"late")]
