"""Compressed messages that become large: their decompression is spread over iterations, and none holds up another."""

from __future__ import annotations

import zlib
from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn.errors import ClientDisconnected
from pronghorn.http2_constants import CANCEL
from tests.support.frames import BINARY, PING, PONG, RSV1, TEXT, close, frame
from tests.support.http2 import EXTENDED, Peer, headers, rst_stream
from tests.support.http2 import data as data_frames
from tests.support.rig import WAITING, drive
from tests.wire.websocket.test_session import Socket, Under, close_sent, data, disconnect, opened, request, text

MIB = 1 << 20
EXTENSION = b"permessage-deflate; client_no_context_takeover"


def bomb(size: int = MIB, content: bytes = b"x") -> bytes:
    """A compressed message of `size` bytes: a frame of a thousandth of that."""
    deflater = zlib.compressobj(wbits=-15)
    payload = deflater.compress(content * size) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY, payload[:-4], rsv=RSV1)


class Counting:
    """A zlib that counts the decompressed bytes, and fails on request."""

    def __init__(self) -> None:
        self.size = 0
        self.fails = False
        self.library = SimpleNamespace(
            compressobj=zlib.compressobj,
            decompressobj=self._decompressobj,
            error=zlib.error,
            Z_SYNC_FLUSH=zlib.Z_SYNC_FLUSH,
        )

    def _decompressobj(self, wbits: int) -> Any:
        counting = self

        class Inflater:
            def __init__(self) -> None:
                self._inflater = zlib.decompressobj(wbits=wbits)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._inflater, name)

            def decompress(self, content: bytes, most: int) -> bytes:
                if counting.fails:
                    raise MemoryError
                got = self._inflater.decompress(content, most)
                counting.size += len(got)
                return got

        return Inflater()


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def socket(wire: Any, counting: Counting) -> Socket:
    """An accepted session with compression."""
    return opened(wire, request(b"Sec-WebSocket-Extensions: " + EXTENSION), zlib=counting.library)


def heard_in_time(socket: Any) -> list[Any]:
    """The messages that the application receives, with an iteration wherever it has to wait."""
    heard = []
    for _ in range(100):
        message = socket.hear()
        if message is WAITING:
            socket.one_turn()
        else:
            heard.append(message)
            if message["type"] == "websocket.disconnect":
                break
    return heard


def test_message_is_decompressed_in_several_iterations(socket: Socket, counting: Counting) -> None:
    socket.receive(bomb(4 * MIB))
    step = Under(socket.session.receive())
    iterations = 0
    while not step.future.done():
        before = counting.size
        socket.one_turn()
        assert counting.size - before < 2.5 * MIB
        iterations += 1
    assert iterations >= 2
    assert step.goes_on() == data(b"x" * 4 * MIB)


def test_reading_is_paused_until_the_turn(socket: Socket) -> None:
    socket.receive(bomb())
    assert socket.is_paused()
    socket.turn()
    assert not socket.is_paused()


def test_input_after_a_pause_is_kept(socket: Socket) -> None:
    socket.receive(bomb())
    socket.receive(frame(TEXT, b"a"))
    socket.turn()
    assert [socket.hear(), socket.hear()] == [data(b"x" * MIB), text("a")]


def test_messages_below_the_limit_do_not_wait(socket: Socket) -> None:
    for _ in range(3):
        socket.receive(bomb(60_000))
        assert socket.hear() == data(b"x" * 60_000)
        assert not socket.is_paused()


def test_small_messages_add_up(socket: Socket, counting: Counting) -> None:
    socket.receive(bomb(1000) * 400)
    for _ in range(400):
        if socket.hear() is WAITING:
            break
    assert counting.size < 265_000


def two(wire: Any, counting: Counting) -> tuple[Socket, Socket, list[Any]]:
    """Two sessions of one event loop, and its next iteration."""
    soon: list[Any] = []
    turns = wire.turns.Turns(soon.append)
    handshake = request(b"Sec-WebSocket-Extensions: " + EXTENSION)
    first, second = (opened(wire, handshake, zlib=counting.library, turns=turns) for _ in range(2))
    return first, second, soon


def test_messages_are_decompressed_one_after_another(wire: Any, counting: Counting) -> None:
    first, second, soon = two(wire, counting)
    first.receive(bomb(4 * MIB))
    begun = counting.size
    second.receive(bomb(4 * MIB))
    assert counting.size == begun
    while first.hear() is WAITING:
        soon.pop()()
        assert second.hear() is WAITING
    assert counting.size < 6 * MIB
    while soon:
        soon.pop()()
    assert second.hear() == data(b"x" * 4 * MIB)


def test_small_message_waits_for_nobody(wire: Any, counting: Counting) -> None:
    first, second, _ = two(wire, counting)
    first.receive(bomb(4 * MIB))
    second.receive(bomb(60_000))
    assert second.hear() == data(b"x" * 60_000)


def test_message_that_is_too_large_is_refused_in_its_turn(wire: Any, counting: Counting) -> None:
    handshake = request(b"Sec-WebSocket-Extensions: " + EXTENSION)
    socket = opened(wire, handshake, zlib=counting.library, message_size=3 * MIB)
    socket.receive(bomb(16 * MIB))
    assert socket.sent() == close_sent(1009, b"message too big")
    assert counting.size <= 3 * MIB + 1


def test_ping_waits_behind_a_message(socket: Socket) -> None:
    socket.receive(bomb() + frame(PING, b"p"))
    assert socket.writes == []
    assert socket.sent() == [(PONG, 0, b"p")]


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_rest_is_decompressed_as_the_application_takes_it(socket: Socket, counting: Counting, leave: str) -> None:
    socket.receive(bomb() * 20)
    getattr(socket.connection, leave)()
    socket.turn()
    assert counting.size < 5 * MIB
    assert heard_in_time(socket) == [data(b"x" * MIB)] * 20 + [disconnect(1006)]


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_close_frame_behind_the_rest_is_received(socket: Socket, leave: str) -> None:
    socket.receive(bomb() * 5 + frame(PING) + close(1001, b"away"))
    getattr(socket.connection, leave)()
    assert heard_in_time(socket) == [data(b"x" * MIB)] * 5 + [disconnect(1001, "away")]
    assert socket.take() == b""


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_incomplete_message_behind_the_rest_is_dropped(socket: Socket, leave: str) -> None:
    socket.receive(bomb() * 5 + bomb()[:-1])
    getattr(socket.connection, leave)()
    assert heard_in_time(socket) == [data(b"x" * MIB)] * 5 + [disconnect(1006)]


@pytest.mark.parametrize("leave", ["end_input", "lose"])
def test_violation_behind_the_rest_ends_the_session(socket: Socket, leave: str) -> None:
    socket.receive(bomb() * 5 + frame(TEXT, b"\xff"))
    getattr(socket.connection, leave)()
    assert heard_in_time(socket) == [data(b"x" * MIB)] * 5 + [disconnect(1007, "invalid UTF-8")]


def test_send_fails_while_the_rest_is_received(socket: Socket) -> None:
    socket.receive(bomb() * 5)
    socket.connection.lose()
    with pytest.raises(ClientDisconnected):
        socket.say("send", text="a")
    assert socket.session.is_over()


def test_waiting_send_fails_at_once(socket: Socket) -> None:
    socket.connection.pause_writing()
    step = Under(socket.session.send({"type": "websocket.send", "text": "a"}))
    socket.receive(bomb() * 5)
    socket.connection.lose()
    with pytest.raises(ClientDisconnected):
        step.goes_on()


def test_lost_session_that_nobody_reads_stays_small(socket: Socket, counting: Counting) -> None:
    socket.receive(bomb() * 20)
    socket.connection.lose()
    socket.session.finish(False)
    socket.turn()
    assert counting.size < 5 * MIB


def test_application_can_close_in_between(socket: Socket) -> None:
    socket.receive(bomb() * 5 + close(1000))
    socket.say("close")
    assert socket.sent() == close_sent(1000)
    assert socket.calls[-1] in ("close", "finish_writing")


def test_messages_that_wait_are_received_when_the_server_stops(socket: Socket) -> None:
    socket.receive(bomb() * 5)
    socket.connection.drain()
    assert heard_in_time(socket) == [data(b"x" * MIB)] * 5 + [disconnect(1012)]


def test_incomplete_message_does_not_delay_the_stop(socket: Socket) -> None:
    socket.receive(bomb() + bomb()[:-1])
    socket.connection.drain()
    socket.turn()
    assert [socket.hear(), socket.hear()] == [data(b"x" * MIB), disconnect(1012)]


def test_violation_of_an_impatient_client_is_the_end(socket: Socket) -> None:
    socket.receive(bomb() * 5 + frame(TEXT, mask=None))
    heard = heard_in_time(socket)
    assert heard == [data(b"x" * MIB)] * 5 + [disconnect(1002, "unmasked frame")]


def test_error_ends_only_its_own_connection(socket: Socket, counting: Counting) -> None:
    socket.receive(bomb() * 5)
    counting.fails = True
    socket.turn()
    assert [type(error) for error in socket.failures] == [MemoryError]
    assert socket.session.is_over()


# Streams of HTTP/2


def peer_with_bombs(wire: Any, counting: Counting) -> Peer:
    """A client that has sent 60 messages on each of ten streams, whose applications have received none."""
    peer = Peer(wire, zlib=counting.library)
    for number in range(1, 21, 2):
        peer.send(headers(number, *EXTENDED, (b"sec-websocket-extensions", EXTENSION), ends=False))
        session = peer.rig.sessions[-1]
        drive(session.receive())
        drive(session.send({"type": "websocket.accept"}))
        whole = bomb() * 60
        for start in range(0, len(whole), 16_000):
            peer.send(data_frames(number, whole[start : start + 16_000], ends=False))
    return peer


def test_streams_share_the_turns(wire: Any, counting: Counting) -> None:
    peer = peer_with_bombs(wire, counting)
    for _ in range(50):
        before = counting.size
        peer.rig.one_turn()
        assert counting.size - before < 4 * MIB
    for session in peer.rig.sessions:
        assert drive(session.receive()) == data(b"x" * MIB)


@pytest.mark.parametrize("how", ["end", "reset"])
def test_rest_of_a_stream_is_decompressed_as_the_application_takes_it(wire: Any, counting: Counting, how: str) -> None:
    peer = peer_with_bombs(wire, counting)
    for number in range(1, 21, 2):
        peer.send(data_frames(number, b"", ends=True) if how == "end" else rst_stream(number, CANCEL))
    peer.take()
    assert counting.size < 50 * MIB
    [session, *_] = peer.rig.sessions
    heard = []
    while not heard or heard[-1]["type"] != "websocket.disconnect":
        message = drive(session.receive())
        if message is WAITING:
            peer.rig.one_turn()
        else:
            heard.append(message)
    assert heard == [data(b"x" * MIB)] * 60 + [disconnect(1006)]
