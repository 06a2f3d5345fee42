"""The end of a WebSocket: by the client, the application, an error, a ping timeout or the server's shutdown."""

import os
import signal
import struct
from socket import SO_LINGER, SOL_SOCKET

import pytest

from tests.support.raw_websocket import (
    BINARY,
    CLOSE,
    EACH_ONCE,
    PING,
    PONG,
    TEXT,
    Noted,
    Socket,
    close_payload,
    frame,
    handshake,
)

RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def server(shared_servers, form):
    return shared_servers("websocket_app:app", form)


def open_noted(connect, server, path="/listen", query=""):
    """Open a socket; return it and the notes of its application."""
    noted = Noted(connect, server)
    return Socket(connect(server), f"{path}?name={noted.name}{query}"), noted


def assert_disconnected(noted, code, reason=""):
    """Check that the application got this disconnect twice, and could not send afterwards."""
    first, again, *errors = noted.at_end()[-4:]
    assert first == {"type": "websocket.disconnect", "code": code, "reason": reason}
    assert again == first
    assert errors == ["ClientDisconnected"] * 2


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "going"), (3000, ""), pytest.param(4999, "ü" * 61, id="long")]
)
def test_client_closes_with_code(server, connect, code, reason):
    socket, noted = open_noted(connect, server)
    socket.send(CLOSE, close_payload(code, reason))
    assert socket.read_close() == (code, reason)
    assert socket.rest() == b""
    assert_disconnected(noted, code, reason)


def test_client_closes_without_code(server, connect):
    socket, noted = open_noted(connect, server)
    socket.send(CLOSE)
    assert socket.read_close() == (1005, "")
    assert socket.rest() == b""
    assert_disconnected(noted, 1005)


@pytest.mark.parametrize("how", ["end", "reset", "half"])
def test_disconnect_without_close_frame_is_1006(server, connect, how):
    socket, noted = open_noted(connect, server)
    if how == "reset":
        socket.client.socket.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
    if how == "half":
        socket.client.end()
        assert socket.rest() == b""
    socket.client.close()
    assert_disconnected(noted, 1006)


@EACH_ONCE
@pytest.mark.parametrize("word", [b"", frame(CLOSE, close_payload(1000))], ids=["without a word", "with one"])
def test_messages_sent_before_disconnect_are_received_late(shared_servers, variant, connect, word):
    server = shared_servers("websocket_app:app", *variant)
    socket, noted = open_noted(connect, server, "/hold")
    noted.wait("-runs")
    socket.client.send(frame(BINARY, bytes(1000)) * 500 + word)
    socket.client.close()
    noted.set()
    noted.wait("-done")
    assert noted.so_far() == [500]


def test_messages_are_received_before_disconnect(server, connect):
    socket, noted = open_noted(connect, server)
    for number in range(5):
        socket.send_text(str(number))
    socket.send(BINARY, b"bytes")
    socket.client.close()
    assert_disconnected(noted, 1006)
    messages = noted.so_far()[:6]
    assert [message["text"] for message in messages[:5]] == [repr(str(number)) for number in range(5)]
    assert messages[5] == {"type": "'websocket.receive'", "bytes": repr(b"bytes")}


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "gone"), (1011, "broken"), (4000, "b%C3%BCe")])
def test_application_closes_with_code(server, connect, code, reason):
    socket, noted = open_noted(connect, server, "/part", f"&code={code}&reason={reason}")
    assert socket.read_close() == (code, reason.replace("%C3%BC", "ü"))
    socket.send(CLOSE, close_payload(code))
    assert socket.rest() == b""
    first, again, *errors = noted.at_end()
    assert (first["type"], first["code"]) == ("websocket.disconnect", code)
    assert again == first
    assert errors == ["ClientDisconnected"] * 2


def test_messages_after_close_of_application_are_dropped(server, connect):
    socket, noted = open_noted(connect, server, "/part")
    socket.read_close()
    for _ in range(100):
        socket.send_text("late")
    socket.send(CLOSE, close_payload(1000))
    assert socket.rest() == b""
    assert [message["type"] for message in noted.at_end()[:2]] == ["websocket.disconnect"] * 2


def test_long_reason_is_cut_between_characters(server, connect):
    socket, _ = open_noted(connect, server, "/part", "&code=4000&reason=" + "x" + "%C3%BC" * 100)
    assert socket.read_close() == (4000, "x" + "ü" * 61)


@pytest.mark.skipif(os.environ.get("PRONGHORN_LONG") != "1", reason="waits ten seconds")
def test_client_that_never_answers_close_is_disconnected(server, connect):
    socket, _ = open_noted(connect, server, "/part")
    socket.read_close()
    socket.client.socket.settimeout(20)
    assert socket.rest() == b""


@pytest.mark.parametrize(("how", "code"), [("error", 1011), ("exit", 1011), ("return", 1000), ("value", 1000)])
def test_application_that_ends_after_accept_closes_with_code(start, connect, form, how, code):
    server = start("websocket_app:app", form=form)
    socket = Socket(connect(server), f"/fail?when=after&how={how}")
    assert socket.read_close()[0] == code
    socket.send(CLOSE, close_payload(code))
    assert socket.rest() == b""
    if how in ("error", "exit"):
        server.log.wait_for("^ERROR: +Exception in ASGI application")
    Socket(connect(server)).finish()


@pytest.mark.parametrize("how", ["twice", "type", "code", "surrogate", "neither", "kind"])
def test_invalid_message_of_application_closes_with_1011(server, connect, how):
    assert Socket(connect(server), f"/misuse?how={how}").read_close()[0] == 1011


def test_types_like_text_and_bytes_are_sent(server, connect):
    socket = Socket(connect(server), "/kinds")
    assert socket.read() == (BINARY, b"bytearray", True, 0)
    assert socket.read() == (BINARY, b"memoryview", True, 0)
    assert socket.read_text() == "subclass"
    assert socket.read_close() == (1000, "")


def test_disconnect_is_not_logged_as_error(start, connect, form):
    server = start("websocket_app:app", form=form)
    socket, noted = open_noted(connect, server, "/flood")
    socket.read()
    socket.client.close()
    error, disconnect = noted.at_end()
    assert error == "ClientDisconnected"
    assert (disconnect["type"], disconnect["code"]) == ("websocket.disconnect", 1006)
    server.signal()
    server.wait()
    assert "Traceback" not in server.log.text()


VIOLATIONS = {
    "unmasked": (frame(TEXT, b"hello", masked=False), 1002),
    "reserved bit": (frame(TEXT, b"hello", rsv=2), 1002),
    "compressed, though not negotiated": (frame(TEXT, b"hello", rsv=4), 1002),
    "reserved opcode": (frame(3), 1002),
    "continuation of nothing": (frame(0, b"hello"), 1002),
    "fragmented ping": (frame(PING, fin=False), 1002),
    "oversized ping": (frame(PING, bytes(126)), 1002),
    "length not the shortest": (b"\x82\xfe\x00\x01\0\0\0\0x", 1002),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    "close code of no frame": (frame(CLOSE, close_payload(1006)), 1002),
    "text that is no UTF-8": (frame(TEXT, b"\xff"), 1007),
    "text that breaks off": (frame(TEXT, "ü".encode()[:1]), 1007),
    "reason that is no UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize("name", list(VIOLATIONS))
def test_protocol_violation_closes_with_code(server, connect, name):
    data, code = VIOLATIONS[name]
    socket, noted = open_noted(connect, server)
    socket.send_text("before")
    socket.client.send(data + frame(TEXT, b"behind"))
    assert socket.read_close()[0] == code
    assert socket.rest() == b""
    received, first, again, *errors = noted.at_end()
    assert received == {"type": "'websocket.receive'", "text": "'before'"}
    assert (first["type"], first["code"]) == ("websocket.disconnect", code)
    assert again == first
    assert errors == ["ClientDisconnected"] * 2


def test_client_that_still_sends_after_violation_gets_code(server, connect):
    """Unread bytes must not cause a reset that destroys the close frame."""
    socket, _ = open_noted(connect, server)
    socket.client.send(frame(TEXT, b"\xff") + frame(BINARY, bytes(1 << 20)))
    assert socket.read_close()[0] == 1007
    assert socket.rest() == b""


def test_pings_are_answered(server, connect):
    socket = Socket(connect(server))
    for payload in (b"", b"ping", bytes(range(125))):
        socket.send(PING, payload)
        found = socket.read()
        assert (found.opcode, found.payload) == (PONG, payload)
    socket.send(PONG, b"nobody asked")
    socket.send(TEXT, b"in ", fin=False)
    socket.send(PING, b"between")
    socket.send(0, b"parts")
    assert socket.read().payload == b"between"
    assert socket.read_text() == "in parts"
    socket.finish()


def test_pings_are_answered_while_application_does_not_receive(server, connect):
    socket, noted = open_noted(connect, server, "/hold")
    for number in range(3):
        socket.send(PING, b"%d" % number)
        assert socket.read().payload == b"%d" % number
    noted.set()
    socket.finish()


def test_only_silent_client_is_disconnected(start, connect):
    server = start("websocket_app:app", "--ws-ping-interval", "1", "--ws-ping-timeout", "1")
    silent, noted = open_noted(connect, server)
    lively = Socket(connect(server))
    talking, _ = open_noted(connect, server, "/hold")
    for _ in range(2):
        ping = lively.read()
        assert ping.opcode == PING
        lively.send(PONG, ping.payload)
        talking.send(BINARY, b"a message is a sign of life, too")
    assert read_past_pings(silent) == (CLOSE, close_payload(1011, "keepalive ping timeout"), True, 0)
    assert_disconnected(noted, 1011, "keepalive ping timeout")
    for socket in (lively, talking):
        socket.send(CLOSE, close_payload(1000))
        assert read_past_pings(socket) == (CLOSE, close_payload(1000), True, 0)


def read_past_pings(socket):
    """Read the next frame that is no ping."""
    return next(found for found in iter(socket.read, None) if found.opcode != PING)


def test_ping_interval_0_turns_pings_off(start, connect):
    """An interval of 0 keeps sockets open without pings."""
    server = start("websocket_app:app", "--ws-ping-interval", "0", "--ws-ping-timeout", "1")
    Socket(connect(server)).finish()


def test_drain_closes_with_1012(start, connect, variant):
    form, loop = variant
    server = start("websocket_app:app", "--loop", loop, form=form)
    idle, finishing = Socket(connect(server)), Socket(connect(server), "/finish")
    server.log.wait_for("finish begins")
    server.signal()
    for socket in (idle, finishing):
        assert socket.read_close()[0] == 1012
        socket.send(CLOSE, close_payload(1012))
        assert socket.rest() == b""
    assert server.wait() == -signal.SIGTERM
    text = server.log.text()
    assert text.index("finish was told 1012") < text.index("finish ends") < text.index("Application shutdown complete")
    assert "Traceback" not in text


def test_messages_before_the_drain_are_answered(start, connect):
    server = start("websocket_app:app")
    socket = Socket(connect(server), "/slow-echo")
    for number in range(5):
        socket.send_text(str(number))
    assert socket.read_text() == "0"
    server.signal()
    assert [socket.read_text() for _ in range(4)] == ["1", "2", "3", "4"]
    assert socket.read_close()[0] == 1012
    socket.send(CLOSE, close_payload(1012))
    assert server.wait() == -signal.SIGTERM


def test_drain_does_not_need_close_frame_of_client(start, connect):
    server = start("websocket_app:app", "--timeout-graceful-shutdown", "1")
    socket = Socket(connect(server))
    server.signal()
    assert server.wait() == -signal.SIGTERM
    assert socket.read_close()[0] == 1012


def test_application_that_outlasts_drain_is_cancelled(start, connect):
    server = start("websocket_app:app", "--timeout-graceful-shutdown", "1")
    socket = Socket(connect(server), "/stay")
    server.log.wait_for("stay begins")
    server.signal()
    assert socket.read_close()[0] == 1012
    assert server.wait() == -signal.SIGTERM
    assert "stay was cancelled" in server.log.text()


def test_unanswered_handshake_does_not_block_drain(start, connect):
    server = start("websocket_app:app", "--timeout-graceful-shutdown", "1")
    noted = Noted(connect, server)
    client = connect(server)
    client.send(handshake(f"/slow-accept?name={noted.name}"))
    noted.wait("-runs")
    server.signal()
    assert server.wait() == -signal.SIGTERM


def test_sockets_are_logged(start, connect, form):
    server = start("websocket_app:app", form=form)
    client = connect(server)
    host, port = client.socket.getsockname()
    Socket(client, "/echo?a=%20b").finish()
    server.log.wait_for("^INFO: +connection closed$")
    refused = connect(server)
    _, other_port = refused.socket.getsockname()
    refused.send(handshake("/refuse?name=log"))
    refused.read()
    lines = list(server.log) if server.log.wait_for("connection rejected") else []
    assert [line for line in lines if "WebSocket" in line or "connection " in line] == [
        f'INFO:     {host}:{port} - "WebSocket /echo?a=%20b" [accepted]',
        "INFO:     connection open",
        "INFO:     connection closed",
        f'INFO:     {host}:{other_port} - "WebSocket /refuse?name=log" 403',
        "INFO:     connection rejected (403 Forbidden)",
    ]
    assert server.access.text() == ""
