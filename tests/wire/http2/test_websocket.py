"""WebSocket on a stream (RFC 8441): the handshake, messages, and both ends."""

from __future__ import annotations

from typing import Any

import pytest

from pronghorn.http2_constants import CANCEL, DATA, HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, RST_STREAM, WINDOW_UPDATE
from tests.support.frames import frame as masked_frame
from tests.support.http2 import EXTENDED, Peer, data, get, headers, kinds, only, rst_stream, settings, window_update
from tests.support.rig import WAITING, drive, ok

CONNECT = headers(1, *EXTENDED, ends=False)


def accepted(wire: Any, *fields: tuple[bytes, bytes], **options: Any) -> tuple[Peer, Any]:
    """A client, and its session, which has been accepted."""
    peer = Peer(wire, ok, **options)
    peer.send(headers(1, *EXTENDED, *fields, ends=False))
    session = peer.rig.sessions[0]
    assert drive(session.receive()) == {"type": "websocket.connect"}
    drive(session.send({"type": "websocket.accept"}))
    assert peer.answers(peer.take())[1].status == 200
    return peer, session


def test_scope_is_that_of_a_websocket(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(headers(1, *EXTENDED, (b"sec-websocket-protocol", b"chat, talk"), ends=False))
    scope = peer.rig.sessions[0].scope
    assert (scope["type"], scope["http_version"], scope["scheme"]) == ("websocket", "2", "ws")
    assert (scope["path"], scope["subprotocols"]) == ("/", ["chat", "talk"])
    assert scope["headers"][0] == (b"host", b"a")
    assert "method" not in scope


def test_acceptance_is_a_response_with_status_200(wire: Any) -> None:
    peer = Peer(wire, server=b"pronghorn")
    peer.send(headers(1, *EXTENDED, (b"sec-websocket-protocol", b"chat"), ends=False))
    session = peer.rig.sessions[0]
    drive(session.receive())
    drive(session.send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"X", b"y")]}))
    (head,) = peer.take()
    assert not head.ends
    assert peer.fields(head) == [
        (b":status", b"200"),
        (b"server", b"pronghorn"),
        (b"sec-websocket-protocol", b"chat"),
        (b"x", b"y"),
    ]
    assert peer.rig.accepted == [session]


def test_messages_go_both_ways_beside_other_streams(wire: Any) -> None:
    peer, session = accepted(wire)
    peer.send(data(1, masked_frame(1, b"hello")), get(3))
    assert drive(session.receive()) == {"type": "websocket.receive", "text": "hello"}
    drive(session.send({"type": "websocket.send", "bytes": b"answer"}))
    frames = peer.take()
    assert [each.payload for each in frames if each.stream == 1] == [b"\x82\x06answer"]
    assert [each.payload for each in frames if each.stream == 3][1:] == [b"ok"]


def test_frames_before_the_acceptance_are_kept(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(CONNECT, data(1, masked_frame(1, b"early")))
    session = peer.rig.sessions[0]
    drive(session.receive())
    assert drive(session.receive()) is WAITING
    drive(session.send({"type": "websocket.accept"}))
    assert drive(session.receive()) == {"type": "websocket.receive", "text": "early"}


def test_message_may_be_larger_than_the_windows(wire: Any) -> None:
    peer, session = accepted(wire, settings=settings((INITIAL_WINDOW_SIZE, 1000)))
    whole = masked_frame(2, b"x" * 200000)
    window = 65535
    while whole:
        size = min(window, 16384, len(whole))
        peer.send(data(1, whole[:size]))
        whole = whole[size:]
        window -= size
        window += sum(each.number for each in peer.take() if each.kind == WINDOW_UPDATE and each.stream)
        assert window
    assert drive(session.receive())["bytes"] == b"x" * 200000
    drive(session.send({"type": "websocket.send", "bytes": b"y" * 2500}))
    sent = b"".join(each.payload for each in peer.take())
    sent += b"".join(each.payload for each in peer.exchange(window_update(1, 10000)))
    assert sent == b"\x82\x7e\x09\xc4" + b"y" * 2500


def test_unread_messages_use_up_the_credit(wire: Any) -> None:
    peer, session = accepted(wire, queued_messages=2)
    for _ in range(4):
        peer.send(data(1, masked_frame(2, b"x" * 16000)))
    assert WINDOW_UPDATE not in kinds(peer.take())
    for _ in range(4):
        assert drive(session.receive())["type"] == "websocket.receive"
    assert only(peer.take(), WINDOW_UPDATE).stream == 1


def test_closing_handshake_ends_the_stream(wire: Any) -> None:
    peer, session = accepted(wire)
    frames = peer.exchange(data(1, masked_frame(8, b"\x03\xe8bye"), True))
    assert only(frames[:1], DATA).payload == b"\x88\x05\x03\xe8bye"
    assert any(each.ends for each in frames)
    assert RST_STREAM not in kinds(frames)
    assert drive(session.receive()) == {"type": "websocket.disconnect", "code": 1000, "reason": "bye"}
    assert peer.rig.closed == [session]
    assert peer.rig.connection.streams == {}


def test_application_closes(wire: Any) -> None:
    peer, session = accepted(wire)
    drive(session.send({"type": "websocket.close", "code": 3000}))
    assert [each.payload for each in peer.take()] == [b"\x88\x02\x0b\xb8"]
    frames = peer.exchange(data(1, masked_frame(8, b"\x0b\xb8")))
    assert [each.ends for each in frames if each.kind == DATA] == [True]
    assert peer.rig.connection.streams == {}


@pytest.mark.parametrize("end", [rst_stream(1, CANCEL), data(1, b"", True)], ids=["reset", "END_STREAM"])
def test_stream_that_ends_without_a_close_frame_is_lost(wire: Any, end: bytes) -> None:
    peer, session = accepted(wire)
    peer.exchange(end)
    assert drive(session.receive()) == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert peer.rig.connection.streams == {}
    assert peer.rig.closed == [session]


def test_clients_that_leave_before_the_answer_spend_their_budget(wire: Any) -> None:
    peer = Peer(wire)
    for number in range(1, 500, 2):
        peer.send(headers(number, *EXTENDED, ends=False))
        peer.send(data(number, b"", True))
        peer.rig.turn()
    assert len(peer.rig.sessions) == 200
    assert peer.rig.is_paused()


def test_end_of_the_connection_ends_a_session(wire: Any) -> None:
    peer, session = accepted(wire)
    peer.rig.connection.end_input()
    peer.rig.turn()
    assert drive(session.receive())["type"] == "websocket.disconnect"
    assert peer.rig.connection.streams == {}
    assert peer.rig.closed == [session]
    assert "close" in peer.rig.calls


@pytest.mark.parametrize("end", [data(1, b"", True), rst_stream(1, CANCEL)], ids=["END_STREAM", "reset"])
def test_client_that_leaves_before_the_acceptance_is_lost(wire: Any, end: bytes) -> None:
    peer = Peer(wire)
    peer.send(CONNECT)
    session = peer.rig.sessions[0]
    drive(session.receive())
    peer.exchange(end)
    assert drive(session.receive()) == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert peer.rig.connection.streams == {}


def test_ping_is_answered_once_the_client_reads(wire: Any) -> None:
    peer, session = accepted(wire, settings=settings((INITIAL_WINDOW_SIZE, 10)))
    drive(session.send({"type": "websocket.send", "bytes": b"x" * 70000}))
    peer.exchange(data(1, masked_frame(9, b"hi")))
    frames = peer.exchange(window_update(1, 100000), window_update(0, 100000))
    assert b"".join(each.payload for each in frames).endswith(b"\x8a\x02hi")


def test_violation_of_the_protocol_closes(wire: Any) -> None:
    peer, session = accepted(wire)
    drive(session.receive())
    frames = peer.exchange(data(1, b"\x81\x05hello"))
    closing = only(frames[:1], DATA).payload
    assert (closing[:1], closing[2:4]) == (b"\x88", b"\x03\xea")
    assert peer.rig.connection.streams == {}


def test_denial_is_a_response(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(CONNECT)
    session = peer.rig.sessions[0]
    drive(session.receive())
    drive(session.send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"y")]}))
    drive(session.send({"type": "websocket.http.response.body", "body": b"no"}))
    frames = peer.take()
    answer = peer.answers(frames)[1]
    assert (answer.status, answer.content) == (401, b"no")
    assert only(frames, RST_STREAM).code == NO_ERROR
    assert [status for _, status in peer.rig.denied] == [401]
    assert peer.rig.closed == []


def test_failed_handshake_is_answered_for_the_application(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(CONNECT)
    peer.rig.sessions[0].fail(500)
    assert peer.answers(peer.take())[1].status == 500


@pytest.mark.parametrize(
    ("fields", "ends", "options", "status"),
    [
        (EXTENDED[:5], False, {}, 426),
        ((*EXTENDED[:5], (b"sec-websocket-version", b"12")), False, {}, 426),
        ((EXTENDED[0], (b":protocol", b"other"), *EXTENDED[2:]), False, {}, 501),
        (EXTENDED, False, {"websockets": False}, 501),
        (EXTENDED, True, {}, 400),
        ((*EXTENDED, (b"sec-websocket-protocol", b"a b")), False, {}, 400),
    ],
    ids=["no version", "other version", "other protocol", "no WebSockets", "ended", "malformed subprotocol"],
)
def test_invalid_handshake_is_answered(wire: Any, fields: Any, ends: bool, options: Any, status: int) -> None:
    peer = Peer(wire, **options)
    frames = peer.exchange(headers(1, *fields, ends=ends))
    assert peer.answers(frames)[1].status == status
    assert not peer.rig.sessions


def test_answer_to_another_version_names_ours(wire: Any) -> None:
    peer = Peer(wire)
    answers = peer.answers(peer.exchange(headers(1, *EXTENDED[:5], ends=False)))
    names = [name for name, _ in answers[1].fields]
    assert (b"sec-websocket-version", b"13") in answers[1].fields
    assert b"upgrade" not in names


def test_pings_keep_a_session_and_silence_ends_it(wire: Any) -> None:
    peer, _ = accepted(wire, ping_interval=2, ping_timeout=2)
    peer.rig.tick(3)
    assert [each.payload for each in peer.take()] == [b"\x89\x00"]
    peer.rig.tick(6)
    assert only(peer.take()[:1], DATA).payload.startswith(b"\x88")
    assert peer.rig.cuts
    assert peer.rig.connection.streams == {}


def test_drain_closes_sessions(wire: Any) -> None:
    peer, _ = accepted(wire)
    peer.rig.connection.drain()
    assert [each.payload for each in peer.take() if each.kind == DATA] == [b"\x88\x02\x03\xf4"]


def test_messages_are_compressed(wire: Any) -> None:
    import zlib

    peer, session = accepted(wire, (b"sec-websocket-extensions", b"permessage-deflate"), zlib=zlib)
    drive(session.send({"type": "websocket.send", "text": "x" * 5000}))
    (frame,) = peer.take()
    assert frame.payload[0] == 0xC1
    assert len(frame.payload) < 100


def test_head_of_the_acceptance_is_one_frame(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(CONNECT)
    drive(peer.rig.sessions[0].receive())
    drive(peer.rig.sessions[0].send({"type": "websocket.accept"}))
    assert kinds(peer.take()) == [HEADERS]


def test_handshake_that_takes_too_long_is_answered_503(wire: Any) -> None:
    peer = Peer(wire, request_timeout=5)
    peer.send(CONNECT)
    session = peer.rig.sessions[0]
    drive(session.receive())
    for now in range(1, 7):
        assert not peer.rig.denied
        peer.rig.tick(now)
    assert peer.answers(peer.take())[1].status == 503
    assert peer.rig.denied == [(session, 503)]
    assert peer.rig.overdue == ["answered"]
    assert drive(session.receive())["type"] == "websocket.disconnect"


def test_open_session_has_no_deadline(wire: Any) -> None:
    peer, session = accepted(wire, request_timeout=5, ping_interval=0)
    for now in range(1, 20):
        peer.rig.tick(now)
    drive(session.send({"type": "websocket.send", "text": "late"}))
    assert only(peer.take(), DATA).payload == b"\x81\x04late"
