"""The connection: its greeting, its frames, the limits of its client, and its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn.http2_constants import (
    ACK,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    NO_ERROR,
    PING,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    WINDOW_UPDATE,
)
from pronghorn.metrics import layout
from tests.support.http2 import (
    GET,
    POST,
    Peer,
    block,
    data,
    frame,
    get,
    goaway,
    headers,
    kinds,
    only,
    ping,
    post,
    priority,
    rst_stream,
    settings,
    split_frames,
    window_update,
)
from tests.support.rig import WAITING, Rig, body, drive, echo, ok, start


def greeting() -> bytes:
    return PREFACE + settings()


def connection(wire: Any, application: Any = None, **options: Any) -> Rig:
    """A connection that has received nothing."""
    return Rig(wire, application, kind=wire.http2.connection.HTTP2Connection, **options)


def is_closed(peer: Peer, code: int) -> bool:
    """Return whether the connection ends with GOAWAY and `code`."""
    frames = peer.take()
    return only(frames, GOAWAY).code == code and "finish_writing" in peer.rig.calls


# The greeting


def test_settings_and_the_window_come_first(wire: Any) -> None:
    peer = Peer(wire)
    assert kinds(peer.greeting) == [SETTINGS, WINDOW_UPDATE, SETTINGS]
    sent = peer.greeting[0].payload
    pairs = {int.from_bytes(sent[at : at + 2], "big"): int.from_bytes(sent[at + 2 : at + 6], "big")
             for at in range(0, len(sent), 6)}  # fmt: skip
    assert pairs == {MAX_CONCURRENT_STREAMS: 128, 6: 65536, 8: 1, 9: 1}
    assert (peer.greeting[1].stream, peer.greeting[1].number) == (0, 1048576 - 65535)
    assert peer.greeting[2][1:] == (ACK, 0, b"")


def test_extended_connect_is_not_offered_without_websockets(wire: Any) -> None:
    assert 8 not in Peer(wire, websockets=False).greeting[0].payload[1::6]


def test_greeting_and_request_may_come_in_any_pieces(wire: Any) -> None:
    whole = greeting() + get(1, b"/a") + post(3) + data(3, b"abc", True)
    for size in (1, 2, 7, 24, 25, 33, len(whole)):
        rig = connection(wire, ok)
        for at in range(0, len(whole), size):
            rig.receive(whole[at : at + size])
        assert [request.scope["path"] for request in rig.requests] == ["/a", "/"]
        assert kinds(split_frames(rig.take()))[3:] == [HEADERS, DATA, HEADERS, DATA]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", PREFACE[:-1] + b"x", PREFACE[:10] + b"1"])
def test_anything_but_the_preface_ends_the_connection(wire: Any, sent: bytes) -> None:
    rig = connection(wire)
    rig.receive(sent)
    assert only(split_frames(rig.take()), GOAWAY).code == PROTOCOL_ERROR
    assert "finish_writing" in rig.calls


@pytest.mark.parametrize("first", [get(), ping(), frame(SETTINGS, ACK), window_update(0, 1)])
def test_settings_have_to_follow_the_preface(wire: Any, first: bytes) -> None:
    rig = connection(wire)
    rig.receive(PREFACE + first)
    assert only(split_frames(rig.take()), GOAWAY).code == PROTOCOL_ERROR


def test_preface_hands_a_connection_of_http_1_over(wire: Any) -> None:
    for size in (1, 7, 16, 18, 40):
        rig = Rig(wire, http2=True)
        sent = greeting()
        for at in range(0, len(sent), size):
            rig.receive(sent[at : at + size])
            if rig.prefaces:
                break
        assert rig.prefaces == [sent[: at + size]]
        assert rig.take() == b""
        assert not rig.refused


def test_preface_behind_a_request_of_http_1_is_refused(wire: Any) -> None:
    rig = Rig(wire, ok, http2=True)
    rig.receive(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" + greeting())
    assert b"HTTP/1.1 505 " in rig.take()
    assert rig.prefaces == []


@pytest.mark.parametrize(("http2", "calls"), [(True, []), (False, ["upgrade"])])
def test_wish_for_http_2_is_no_mistake(wire: Any, http2: bool, calls: list[str]) -> None:
    rig = Rig(wire, http2=http2)
    rig.receive(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n")
    assert rig.calls == calls


# Late frames, SETTINGS and PING. The errors of clients are in the corpus of frames


@pytest.mark.parametrize("late", [get(1), data(1, b"x")], ids=["HEADERS", "DATA"])
def test_frame_on_a_closed_stream_ends_the_connection(wire: Any, late: bytes) -> None:
    peer = Peer(wire, ok)
    peer.exchange(get(1))
    peer.send(late)
    assert is_closed(peer, STREAM_CLOSED)


def test_late_frames_of_a_reset_stream_are_ignored(wire: Any) -> None:
    peer = Peer(wire, ok)
    peer.exchange(post(1), data(1, b"x"))
    frames = peer.exchange(
        data(1, b"x" * 100), headers(1, (b"x", b"y")), window_update(1, 5), rst_stream(1, CANCEL), get(3)
    )
    assert GOAWAY not in kinds(frames)
    assert peer.answers(frames)[3].content == b"ok"


def test_settings_may_change_at_any_time(wire: Any) -> None:
    peer = Peer(wire)
    frames = peer.exchange(settings((MAX_FRAME_SIZE, 16777215), (99, 1), (8, 1), (9, 1), (2, 0)))
    assert frames == [(SETTINGS, ACK, 0, b"")]


def test_ping_is_answered(wire: Any) -> None:
    assert Peer(wire).exchange(ping(b"abcdefgh")) == [(PING, ACK, 0, b"abcdefgh")]


# Field blocks


def test_field_block_may_take_several_frames(wire: Any) -> None:
    peer = Peer(wire, ok)
    whole = block(*GET, (b"x", b"y" * 300))
    sent = frame(HEADERS, END_STREAM, 1, whole[:5]) + frame(CONTINUATION, 0, 1) + frame(CONTINUATION, 0, 1, whole[5:99])
    peer.send(sent)
    assert not peer.rig.requests
    peer.send(frame(CONTINUATION, END_HEADERS, 1, whole[99:]))
    assert peer.rig.request.head.headers == [(b"host", b"a"), (b"x", b"y" * 300)]


def test_head_above_its_limit_is_answered_and_the_table_stays_right(wire: Any) -> None:
    peer = Peer(wire, ok, head_size=1000)
    kept = b"\x40\x01x\x01y"
    sent = frame(HEADERS, END_HEADERS | END_STREAM, 1, block(*GET, (b"long", b"v" * 1000)) + kept)
    frames = peer.exchange(sent, frame(HEADERS, END_HEADERS | END_STREAM, 3, block(*GET) + b"\xbe"))
    answers = peer.answers(frames)
    assert (answers[1].status, answers[3].status) == (431, 200)
    assert peer.rig.request.head.headers == [(b"host", b"a"), (b"x", b"y")]


def test_refused_request_with_a_body_is_reset_after_the_answer(wire: Any) -> None:
    peer = Peer(wire, ok)
    frames = peer.exchange(headers(1, POST[0], POST[1], POST[3], ends=False))
    assert kinds(frames) == [HEADERS, DATA, RST_STREAM]
    assert frames[-1].code == NO_ERROR
    assert peer.answers(peer.exchange(data(1, b"x", True), get(3)))[3].status == 200


# Limits


def test_all_streams_that_are_allowed_may_be_open(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(*[get(number) for number in range(1, 257, 2)])
    frames = peer.take()
    assert len(peer.rig.requests) == 128
    assert RST_STREAM not in kinds(frames)
    frames = peer.exchange(get(257))
    assert (only(frames, RST_STREAM).stream, only(frames, RST_STREAM).code) == (257, REFUSED_STREAM)
    ok(peer.rig.requests[5])
    assert RST_STREAM not in kinds(peer.exchange(get(259)))
    assert len(peer.rig.requests) == 129


def test_stream_gives_its_place_back_with_its_last_frame(wire: Any) -> None:
    """Its application may run on: the client opens the next stream at once."""
    peer = Peer(wire, lambda request: run_on(request))
    number = 1
    for _ in range(10):
        frames = peer.exchange(*[get(number + 2 * index) for index in range(128)])
        assert len(peer.answers(frames)) == 128
        number += 256
    assert peer.rig.running == 1280


async def run_on(request: Any) -> None:
    await request.send({"type": "http.response.start", "status": 200, "headers": []})
    await request.send({"type": "http.response.body", "body": b"ok"})
    future = peer_future(request)
    await future


def peer_future(request: Any) -> Any:
    from tests.support.rig import Future

    return Future()


def test_requests_beyond_a_turn_wait_for_the_next(wire: Any) -> None:
    peer = Peer(wire, ok)
    peer.send(*[get(number) for number in range(1, 101, 2)])
    assert len(peer.rig.requests) == 32
    peer.rig.one_turn()
    assert len(peer.rig.requests) == 50
    assert len(peer.answers(peer.take())) == 50


def test_resets_beyond_the_budget_have_to_wait(wire: Any) -> None:
    peer = Peer(wire)
    for number in range(1, 500, 2):
        peer.send(get(number))
        peer.send(rst_stream(number, CANCEL))
        peer.rig.turn()
    assert len(peer.rig.requests) == 200
    assert peer.rig.is_paused()
    for now in range(1, 4):
        peer.rig.tick(now)
    assert not peer.rig.is_paused()
    assert GOAWAY not in kinds(peer.take())
    peer.send(get(501))
    assert len(peer.rig.requests) == 201


def test_stream_that_is_reset_at_once_starts_no_application(wire: Any) -> None:
    peer = Peer(wire, ok)
    assert peer.exchange(get(1), rst_stream(1, CANCEL), get(3))[0].stream == 3
    assert len(peer.rig.requests) == 1


def test_answers_earn_resets(wire: Any) -> None:
    peer = Peer(wire, lambda request: ok(request) if request.scope["path"] == "/ok" else None)
    number = 1
    for _ in range(1000):
        peer.send(get(number, b"/ok"), get(number + 2), rst_stream(number + 2, CANCEL))
        peer.rig.turn()
        number += 4
    assert GOAWAY not in kinds(peer.take())


def test_applications_of_reset_streams_count(wire: Any) -> None:
    class Task:
        def __init__(self) -> None:
            self.is_done = False

        def done(self) -> bool:
            return self.is_done

    def run(request: Any) -> None:
        request.task = Task()

    peer = Peer(wire, run)
    for number in range(1, 257, 2):
        peer.send(get(number))
        peer.send(rst_stream(number, CANCEL))
        peer.rig.turn()
    peer.take()
    assert only(peer.exchange(get(257)), RST_STREAM).code == REFUSED_STREAM
    peer.rig.requests[0].task.is_done = True
    assert RST_STREAM not in kinds(peer.exchange(get(259)))


FLOODS = {
    "PING": ping(),
    "SETTINGS": settings(),
    "acknowledgements": frame(SETTINGS, ACK),
    "PRIORITY": priority(3),
    "empty DATA": data(1),
    "WINDOW_UPDATE": window_update(0, 1),
    "WINDOW_UPDATE on a stream": window_update(1, 1),
    "unknown frames": frame(99),
    "GOAWAY": goaway(),
}


@pytest.mark.parametrize("sent", FLOODS.values(), ids=FLOODS)
def test_flood_without_a_purpose_is_slowed_down_and_ends(wire: Any, sent: bytes) -> None:
    peer = Peer(wire)
    peer.send(post(1))
    for _ in range(990):
        peer.exchange(sent)
    assert not peer.rig.is_paused()
    for _ in range(20):
        peer.send(sent)
    assert peer.rig.is_paused()
    for now in range(1, 11):
        peer.rig.tick(now)
        peer.send(sent * 200)
        peer.rig.turn()
        assert GOAWAY not in kinds(peer.take())
    peer.rig.tick(12)
    assert is_closed(peer, ENHANCE_YOUR_CALM)


def test_frames_beyond_a_turn_wait_for_the_next(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(ping() * 600)
    assert peer.rig.calls == ["defer"]
    assert kinds(peer.take()) == [PING] * 600


def test_each_request_allows_frames_without_a_purpose(wire: Any) -> None:
    """Clients of gRPC send some for each call."""
    peer = Peer(wire, ok)
    for number in range(1, 1001, 2):
        peer.exchange(get(number), window_update(number, 5))
        peer.exchange(window_update(number, 5), window_update(0, 2), ping())
    assert "finish_writing" not in peer.rig.calls


def test_content_sent_allows_frames_without_a_purpose(wire: Any) -> None:
    peer = Peer(wire, start)
    peer.send(post(1))
    for _ in range(500):
        body(peer.rig.request, b"ok", more=True)
        assert only(peer.take(), DATA).payload == b"ok"
        peer.exchange(window_update(1, 2), window_update(0, 2), ping())
    assert "finish_writing" not in peer.rig.calls


def test_tokens_return_with_time(wire: Any) -> None:
    peer = Peer(wire)
    for now in range(1, 4):
        for _ in range(90):
            peer.exchange(ping())
        peer.rig.tick(now)
    assert "finish_writing" not in peer.rig.calls


def test_client_that_does_not_read_our_answers_is_not_read_either(wire: Any) -> None:
    peer = Peer(wire)
    peer.rig.connection.pause_writing()
    for _ in range(100):
        peer.send(ping())
    assert not peer.rig.is_paused()
    peer.send(*[post(number) for number in range(1, 65, 2)])
    for request in peer.rig.requests:
        start(request, (b"x", b"y" * 3000))
        body(request, b"", True)
    peer.rig.turn()
    assert peer.rig.is_paused()
    peer.rig.connection.resume_writing()
    assert not peer.rig.is_paused()


# Deadlines


def test_client_has_to_speak_in_time(wire: Any) -> None:
    rig = connection(wire, first_byte_timeout=3)
    rig.take()
    rig.tick(3)
    assert not rig.is_over()
    rig.tick(4)
    assert rig.is_over()


def test_client_has_to_acknowledge_our_settings(wire: Any) -> None:
    rig = connection(wire, first_byte_timeout=3)
    rig.receive(greeting() + get(1))
    rig.take()
    rig.tick(4)
    assert only(split_frames(rig.take()), GOAWAY).code == SETTINGS_TIMEOUT


def test_incomplete_head_times_out(wire: Any) -> None:
    peer = Peer(wire, head_timeout=3)
    peer.send(get(1)[:20])
    peer.rig.tick(3)
    assert not peer.rig.is_over()
    peer.rig.tick(4)
    assert peer.rig.is_over()


def test_incomplete_field_block_times_out(wire: Any) -> None:
    peer = Peer(wire, head_timeout=3)
    peer.send(frame(HEADERS, END_STREAM, 1, block(*GET)))
    peer.rig.tick(2)
    peer.send(frame(CONTINUATION, 0, 1))
    peer.rig.tick(4)
    assert peer.rig.is_over()


def test_idle_connection_ends_with_goaway(wire: Any) -> None:
    peer = Peer(wire, ok, keep_alive_timeout=5)
    peer.exchange(get(1))
    peer.rig.tick(5)
    assert not peer.rig.is_over()
    peer.rig.tick(6)
    sent = only(peer.take(), GOAWAY)
    assert (sent.last, sent.code) == (1, NO_ERROR)
    assert peer.rig.is_over()


def test_malformed_request_does_not_keep_a_connection_open(wire: Any) -> None:
    peer = Peer(wire, ok, keep_alive_timeout=5)
    peer.exchange(get(1), headers(3, GET[0]))
    peer.rig.tick(6)
    assert peer.rig.is_over()


def test_deferred_requests_are_served_after_the_end_of_input(wire: Any) -> None:
    peer = Peer(wire, ok)
    peer.send(*[get(number) for number in range(1, 81, 2)])
    peer.rig.connection.end_input()
    assert len(peer.answers(peer.take())) == 40
    assert "close" in peer.rig.calls


@pytest.mark.parametrize("alone", [True, False], ids=["one after the other", "at once"])
def test_connection_ends_after_its_last_request(wire: Any, alone: bool) -> None:
    peer = Peer(wire, ok, requests=3)
    frames = []
    for batch in [[1], [3], [5]] if alone else [[1, 3, 5, 7]]:
        assert not peer.rig.is_over()
        frames += peer.exchange(*[get(number) for number in batch])
    assert [answer.status for answer in peer.answers(frames).values()] == [200] * 3
    assert only(frames, GOAWAY)[3][:4] == (5).to_bytes(4, "big")
    assert only(frames, GOAWAY).code == NO_ERROR
    assert peer.rig.is_over()


def test_requests_of_an_open_stream_go_on_after_the_last_one(wire: Any) -> None:
    peer = Peer(wire, requests=2)
    frames = peer.exchange(get(1), get(3))
    assert only(frames, GOAWAY).last == 3
    assert not peer.rig.is_over()
    for request in peer.rig.requests:
        ok(request)
    assert len(peer.answers(peer.take())) == 2
    assert peer.rig.is_over()


def test_request_that_takes_too_long_is_answered_503(wire: Any) -> None:
    peer = Peer(wire, request_timeout=5)
    peer.send(get(1))
    drive(peer.rig.request.receive())
    for now in range(1, 6):
        peer.rig.tick(now)
    peer.send(get(3), get(5))
    ok(peer.rig.requests[1])
    assert list(peer.answers(peer.take())) == [3]
    peer.rig.tick(6)
    answer = peer.answers(peer.take())[1]
    assert (answer.status, answer.content, answer.is_complete) == (503, b"Service Unavailable", True)
    assert drive(peer.rig.requests[0].receive())["type"] == "http.disconnect"
    assert peer.rig.calls.count("left") == 1
    assert peer.rig.overdue == ["answered"]
    assert peer.rig.counted(layout.TIMED_OUT + layout.REQUEST) == 1
    for now in range(7, 11):
        peer.rig.tick(now)
    assert peer.take() == []
    peer.rig.tick(11)
    assert list(peer.answers(peer.take())) == [5]


def test_client_that_has_spent_its_budget_gets_no_more_time(wire: Any) -> None:
    peer = Peer(wire, request_timeout=2)
    peer.send(get(1))
    for now in range(1, 4):
        for _ in range(5):
            peer.send(ping() * 250)
            peer.rig.turn()
        assert peer.rig.is_paused()
        peer.take()
        peer.rig.tick(now)
    assert peer.rig.counted(layout.TIMED_OUT + layout.REQUEST) == 1


def test_response_that_has_begun_too_long_ago_is_reset(wire: Any) -> None:
    peer = Peer(wire, request_timeout=5)
    peer.send(get(1))
    start(peer.rig.request)
    body(peer.rig.request, b"part", more=True)
    peer.take()
    for now in range(1, 6):
        peer.rig.tick(now)
    assert peer.take() == []
    peer.rig.tick(6)
    assert only(peer.take(), RST_STREAM).code == CANCEL
    assert peer.rig.overdue == ["cut off"]
    assert not peer.rig.is_over()


def test_response_whose_window_stays_closed_is_reset(wire: Any) -> None:
    peer = Peer(wire, ok, settings=settings((INITIAL_WINDOW_SIZE, 0)), request_timeout=5, write_timeout=0)
    peer.exchange(get(1))
    for now in range(1, 7):
        assert peer.take() == []
        peer.rig.tick(now)
    assert only(peer.take(), RST_STREAM).code == CANCEL
    assert peer.rig.counted(layout.TIMED_OUT + layout.REQUEST) == 1


def test_client_that_has_its_response_may_send_on(wire: Any) -> None:
    peer = Peer(wire, ok, request_timeout=5, body_timeout=0)
    peer.exchange(post(1))
    for now in range(1, 10):
        peer.rig.tick(now)
    assert peer.rig.counted(layout.TIMED_OUT + layout.REQUEST) == 0


def test_applications_of_given_up_requests_limit_the_streams(wire: Any) -> None:
    peer = Peer(wire, request_timeout=5)
    peer.send(*[get(2 * number + 1) for number in range(100)])
    peer.rig.turn()
    for request in peer.rig.requests:
        request.task = SimpleNamespace(done=lambda: False)
    for now in range(1, 7):
        peer.rig.tick(now)
    peer.take()
    frames = peer.exchange(*[get(2 * number + 201) for number in range(32)])
    assert [each.code for each in frames if each.kind == RST_STREAM] == [REFUSED_STREAM] * 4


def test_client_that_waits_for_us_does_not_time_out(wire: Any) -> None:
    peer = Peer(wire, body_timeout=2)
    peer.send(post(1))
    drive(peer.rig.request.receive())
    peer.send(ping() * 250)
    for _ in range(4):
        peer.rig.turn()
        peer.send(ping() * 250)
    peer.send(data(1, b"x", True))
    assert peer.rig.is_paused()
    for now in range(3, 7):
        peer.rig.tick(now)
    assert drive(peer.rig.request.receive())["body"] == b"x"


def test_refused_client_is_read_while_it_leaves(wire: Any) -> None:
    peer = Peer(wire)
    for _ in range(5):
        peer.send(ping() * 250)
        peer.rig.turn()
    assert peer.rig.is_paused()
    for now in range(1, 13):
        peer.rig.tick(now)
        peer.send(ping() * 250)
        peer.rig.turn()
    assert "finish_writing" in peer.rig.calls
    assert not peer.rig.is_paused()


def test_connection_with_a_stream_is_not_idle(wire: Any) -> None:
    peer = Peer(wire, keep_alive_timeout=5)
    peer.send(get(1))
    peer.rig.tick(60)
    assert not peer.rig.is_over()


def test_pings_do_not_keep_an_idle_connection_open(wire: Any) -> None:
    peer = Peer(wire, ok, keep_alive_timeout=5)
    peer.exchange(get(1))
    for now in range(1, 7):
        peer.exchange(ping())
        peer.rig.tick(now)
    assert peer.rig.is_over()


def test_deadline_waits_for_input_that_is_not_read(wire: Any) -> None:
    peer = Peer(wire, ok, keep_alive_timeout=5)
    peer.rig.input = True
    peer.rig.tick(40)
    assert not peer.rig.is_over()


# The end


def test_drain_serves_what_is_on_its_way(wire: Any) -> None:
    peer = Peer(wire, lambda request: ok(request) if request.scope["path"] == "/ok" else None)
    peer.send(get(1))
    peer.rig.connection.drain()
    frames = peer.take()
    assert (only(frames, GOAWAY).last, only(frames, GOAWAY).code) == (0x7FFFFFFF, NO_ERROR)
    assert peer.answers(peer.exchange(get(3, b"/ok")))[3].content == b"ok"
    frames = peer.exchange(ping(only(frames, PING).payload, ACK))
    assert (only(frames, GOAWAY).last, only(frames, GOAWAY).code) == (3, NO_ERROR)
    assert peer.exchange(get(5, b"/ok"), data(5, b"x")) == []
    assert not peer.rig.is_over()
    ok(peer.rig.requests[0])
    assert peer.answers(peer.take())[1].content == b"ok"
    assert peer.rig.is_over()


def test_drain_does_not_wait_for_a_client_that_never_answers(wire: Any) -> None:
    peer = Peer(wire)
    peer.rig.connection.drain()
    peer.rig.tick(1)
    assert not peer.rig.is_over()
    peer.rig.tick(2)
    assert peer.rig.is_over()


def test_drain_before_the_preface_closes_at_once(wire: Any) -> None:
    rig = connection(wire)
    rig.connection.drain()
    rig.take()
    assert rig.is_over()


def test_drain_ends_streaming_responses(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(get(1))
    request = peer.rig.request
    start(request)
    body(request, b"a", True)
    peer.rig.connection.drain()
    assert drive(request.receive())["type"] == "http.request"
    assert drive(request.receive())["type"] == "http.disconnect"


def test_drain_leaves_calls_of_grpc_alone(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(post(1, (b"te", b"trailers")))
    request = peer.rig.request
    start(request)
    body(request, b"a", True)
    peer.rig.connection.drain()
    peer.send(data(1, b"b"))
    assert drive(request.receive())["body"] == b"b"
    assert drive(request.receive()) is WAITING


def test_requests_ended_by_an_error_are_lost(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(get(1), get(3))
    peer.send(ping(b"short"))
    assert [request.is_lost() for request in peer.rig.requests] == [True, True]
    assert peer.rig.calls.count("left") == 2
    assert peer.rig.connection.is_idle()


def test_lost_connection_loses_its_requests(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(get(1), post(3))
    assert len(peer.rig.connection.exchanges()) == 2
    peer.rig.connection.lose()
    assert [request.is_lost() for request in peer.rig.requests] == [True, True]
    assert peer.rig.connection.exchanges() == []
    peer.rig.connection.lose()


def test_end_of_input_leaves_time_for_the_responses(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(get(1), get(3))
    peer.rig.connection.end_input()
    first, second = peer.rig.requests
    assert drive(first.receive())["type"] == "http.request"
    assert drive(first.receive())["type"] == "http.disconnect"
    ok(first)
    assert peer.answers(peer.take())[1].content == b"ok"
    assert "close" not in peer.rig.calls
    ok(second)
    peer.take()
    assert "close" in peer.rig.calls


@pytest.mark.parametrize(
    ("window", "size"), [(0, 10), (1000000, 100000)], ids=["window of the stream", "window of the connection"]
)
def test_end_of_input_ends_responses_that_need_another_window(wire: Any, window: int, size: int) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * size, True)

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, window)))
    peer.exchange(get(1))
    peer.rig.connection.end_input()
    assert only(peer.take(), RST_STREAM).code == CANCEL
    assert "close" in peer.rig.calls


def test_end_of_input_leaves_windows_open(wire: Any) -> None:
    peer = Peer(wire, settings=settings((INITIAL_WINDOW_SIZE, 10)))
    peer.exchange(get(1))
    peer.rig.connection.pause_writing()
    peer.rig.connection.end_input()
    start(peer.rig.request)
    body(peer.rig.request, b"0123456789")
    frames = peer.take()
    peer.rig.connection.resume_writing()
    assert peer.answers(frames + peer.take())[1].content == b"0123456789"


def test_end_of_input_leaves_responses_whose_window_opens_in_deferred_input(wire: Any) -> None:
    peer = Peer(wire, ok, settings=settings((INITIAL_WINDOW_SIZE, 0)))
    numbers = range(1, 81, 2)
    peer.send(*[get(number) for number in numbers], *[window_update(number, 2) for number in numbers])
    peer.rig.connection.end_input()
    peer.rig.connection.flush()
    answers = peer.answers(peer.take())
    assert {answer.content for answer in answers.values()} == {b"ok"}
    assert len(answers) == 40


def test_refused_client_may_read_before_the_connection_closes(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(ping(b"short"))
    assert peer.rig.calls[-1] == "finish_writing"
    peer.send(b"anything" * 100)
    peer.rig.tick(2)
    assert "close" not in peer.rig.calls
    peer.rig.connection.end_input()
    assert peer.rig.calls[-1] == "close"


def test_lingering_ends(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(ping(b"short"))
    peer.rig.tick(3)
    assert peer.rig.calls[-1] == "close"


def test_client_that_reads_nothing_is_aborted(wire: Any) -> None:
    peer = Peer(wire, write_timeout=3)
    peer.send(get(1))
    peer.rig.connection.pause_writing()
    peer.rig.waiting_bytes = 100
    peer.rig.tick(4)
    assert peer.rig.calls[-1] == "abort"
    assert peer.rig.cuts == ["it has read nothing for 3 s"]


def test_many_requests_on_one_connection(wire: Any) -> None:
    peer = Peer(wire, echo)
    number = 1
    for _ in range(300):
        frames = peer.exchange(*[post(number + 2 * each) + data(number + 2 * each, b"x", True) for each in range(20)])
        assert len(peer.answers(frames)) == 20
        number += 40
    assert peer.rig.connection.streams == {}


def test_greatest_stream_is_served(wire: Any) -> None:
    peer = Peer(wire, ok)
    assert peer.answers(peer.exchange(get(0x7FFFFFFF)))[0x7FFFFFFF].content == b"ok"
    peer.send(get(1))
    assert is_closed(peer, PROTOCOL_ERROR)


def test_keep_alive_of_zero_ends_the_connection_after_a_request(wire: Any) -> None:
    peer = Peer(wire, ok, keep_alive_timeout=0)
    frames = peer.exchange(get(1))
    assert peer.answers(frames)[1].content == b"ok"
    assert only(frames, GOAWAY).code == NO_ERROR
    assert peer.rig.is_over()


def test_application_waits_for_a_body(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(post(1))
    assert drive(peer.rig.request.receive()) is WAITING
