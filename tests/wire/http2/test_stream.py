"""Streams: responses, bodies, windows in both directions, turns, resets and deadlines."""

from __future__ import annotations

import gc
import sys
import sysconfig
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn.errors import ClientDisconnected
from pronghorn.http2_constants import (
    CANCEL,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    INTERNAL_ERROR,
    NO_ERROR,
    PADDED,
    REFUSED_STREAM,
    RST_STREAM,
    WINDOW_UPDATE,
)
from tests.support.http2 import (
    GET,
    Frame,
    Peer,
    data,
    frame,
    get,
    headers,
    kinds,
    only,
    post,
    rst_stream,
    settings,
    window_update,
)
from tests.support.rig import WAITING, body, drive, echo, ok, start

KIB = 1024
TE = (b"te", b"trailers")
SMALL = settings((INITIAL_WINDOW_SIZE, 10))


def answered(wire: Any, application: Any, sent: bytes = get(), **options: Any) -> Any:
    """The response to one request."""
    peer = Peer(wire, application, **options)
    return peer.answers(peer.exchange(sent))[1]


def content(frames: list[Frame], stream: int = 1) -> bytes:
    return b"".join(each.payload for each in frames if each.kind == DATA and each.stream == stream)


# Responses


def test_small_response_is_written_at_once(wire: Any) -> None:
    peer = Peer(wire, ok, server=b"pronghorn")
    frames = peer.exchange(get())
    assert len(peer.rig.writes) == 0
    assert [(each.kind, each.flags) for each in frames] == [(HEADERS, END_HEADERS), (DATA, END_STREAM)]
    assert peer.fields(frames[0]) == [(b":status", b"200"), (b"server", b"pronghorn"), (b"content-length", b"2")]
    assert frames[1].payload == b"ok"


@pytest.mark.parametrize("status", [200, 204, 304, 404, 418, 599])
def test_response_without_content_is_one_frame(wire: Any, status: int) -> None:
    def application(request: Any) -> None:
        start(request, status=status)
        body(request)

    peer = Peer(wire, application)
    (only_frame,) = peer.exchange(get())
    assert (only_frame.kind, only_frame.flags) == (HEADERS, END_HEADERS | END_STREAM)
    assert peer.fields(only_frame) == [(b":status", b"%d" % status)]


@pytest.mark.parametrize(
    ("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)], ids=["HEAD", "204", "304"]
)
def test_response_that_has_no_body_leaves_it_out(wire: Any, method: bytes, status: int) -> None:
    def application(request: Any) -> None:
        start(request, (b"content-length", b"5"), status=status)
        body(request, b"he", True)
        body(request, b"llo")

    answer = answered(wire, application, headers(1, (b":method", method), *GET[1:]))
    assert (answer.status, answer.content, answer.is_complete) == (status, b"", True)
    assert answer.fields == ([] if status == 204 else [(b"content-length", b"5")])


def test_head_without_content_is_sent_at_the_end_of_the_iteration(wire: Any) -> None:
    peer = Peer(wire, start)
    (head,) = peer.exchange(get())
    assert (head.kind, head.flags) == (HEADERS, END_HEADERS)
    body(peer.rig.request, b"later")
    assert [(each.flags, each.payload) for each in peer.take()] == [(END_STREAM, b"later")]


def test_parts_of_one_iteration_share_a_frame(wire: Any) -> None:
    peer = Peer(wire, start)
    peer.exchange(get())
    for part in (b"a", b"b", b"c"):
        body(peer.rig.request, part, True)
    body(peer.rig.request)
    assert [(each.flags, each.payload) for each in peer.take()] == [(END_STREAM, b"abc")]


def test_fields_of_a_connection_are_left_out(wire: Any) -> None:
    def application(request: Any) -> None:
        start(
            request,
            (b"Connection", b"close"),
            (b"Keep-Alive", b"5"),
            (b"transfer-encoding", b"chunked"),
            (b"upgrade", b"h2c"),
            (b"proxy-connection", b"close"),
            (b"X-Own", b"1"),
        )
        body(request, b"ok")

    answer = answered(wire, application)
    assert (answer.fields, answer.content) == ([(b"x-own", b"1")], b"ok")


def test_equal_lengths_are_sent_once(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request, (b"content-length", b"2"), (b"Content-Length", b"2"))
        body(request, b"ok")

    assert answered(wire, application).fields == [(b"content-length", b"2")]


def test_own_date_and_server_replace_the_defaults(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request, (b"date", b"today"), (b"Server", b"own"))
        body(request)

    answer = answered(wire, application, date=True, server=b"pronghorn", fields=[(b"x", b"y")])
    assert answer.fields == [(b"x", b"y"), (b"date", b"today"), (b"server", b"own")]


def test_default_fields_of_a_connection_are_left_out(wire: Any) -> None:
    fields = [(b"connection", b"close"), (b"x", b"y")]
    assert answered(wire, ok, fields=fields).fields == [(b"x", b"y"), (b"content-length", b"2")]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"status": 99}, ValueError),
        ({"status": 600}, ValueError),
        ({"status": "200"}, ValueError),
        ({"status": 200, "headers": [(b"a b", b"c")]}, ValueError),
        ({"status": 200, "headers": [(b"a", b"c\r\n")]}, ValueError),
        ({"status": 200, "headers": [(":path", b"/")]}, TypeError),
        ({"status": 200, "headers": [(b":status", b"200")]}, ValueError),
        ({"status": 200, "headers": [(b"content-length", b"x")]}, ValueError),
        ({"status": 200, "headers": [(b"content-length", b"1"), (b"content-length", b"2")]}, ValueError),
    ],
)
def test_head_that_must_not_be_sent_is_refused(wire: Any, message: Any, error: type[Exception]) -> None:
    peer = Peer(wire)
    peer.send(get())
    with pytest.raises(error):
        drive(peer.rig.request.send({"type": "http.response.start", **message}))
    ok(peer.rig.request)
    assert peer.answers(peer.take())[1].content == b"ok"


@pytest.mark.parametrize(("length", "parts"), [(3, [b"okok"]), (3, [b"ok"]), (3, [b"ok", b"ok"])])
def test_body_has_to_have_its_length(wire: Any, length: int, parts: list[bytes]) -> None:
    peer = Peer(wire)
    peer.send(get())
    request = peer.rig.request
    start(request, (b"content-length", b"%d" % length))
    *first, last = parts
    for part in first:
        body(request, part, True)
    with pytest.raises(ValueError, match="its content-length"):
        body(request, last)


def test_head_above_a_frame_is_continued(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request, (b"x", b"y" * 40000))
        body(request, b"ok")

    peer = Peer(wire, application)
    frames = peer.exchange(get())
    assert kinds(frames) == [HEADERS, 9, 9, DATA]
    assert max(len(each.payload) for each in frames) == 16384
    answer = peer.answers(frames)[1]
    assert (answer.fields, answer.content, answer.is_complete) == ([(b"x", b"y" * 40000)], b"ok", True)


def test_head_above_a_frame_may_end_the_stream(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request, (b"x", b"y" * 20000))
        body(request)

    peer = Peer(wire, application)
    frames = peer.exchange(get())
    assert [each.flags for each in frames] == [END_STREAM, END_HEADERS]


def test_scope_is_that_of_http_2(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(get(1, b"/a?b"), get(3, b"/", TE))
    plain, with_trailers = [request.scope for request in peer.rig.requests]
    assert plain["http_version"] == "2"
    assert (plain["path"], plain["query_string"], plain["headers"]) == ("/a", b"b", [(b"host", b"a")])
    assert plain["client"] == ("127.0.0.1", 50000)
    assert "http.response.trailers" not in plain["extensions"]
    assert "http.response.early_hint" in plain["extensions"]
    assert "http.response.trailers" in with_trailers["extensions"]


def test_waiting_stream_costs_little(wire: Any) -> None:
    """The limit is for our objects and the scope, without the application's task."""
    gc.collect()
    gc.freeze()  # collecting all objects of the process takes a second each time
    try:
        # The least of some measurements: anything in the process may allocate meanwhile.
        size = min(size_of_waiting_streams(wire) for _ in range(5)) / 60
    finally:
        gc.unfreeze()
    more = 8 if sys.version_info < (3, 12) else 0  # for the path
    if sysconfig.get_config_var("Py_GIL_DISABLED"):  # every object has a larger header
        more = 128
    assert size < 2048 + more


def size_of_waiting_streams(wire: Any) -> int:
    """The memory that 60 streams take."""
    peer = Peer(wire)
    peer.exchange(get(1))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(3, 123, 2):
            peer.exchange(get(number))
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(peer.rig.connection.streams) == 61
    return size


# Trailers and interim responses


def test_trailers_end_the_stream(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request, trailers=True)
        body(request, b"ok")
        drive(request.send({"type": "http.response.trailers", "headers": [(b"Grpc-Status", b"0")]}))

    peer = Peer(wire, application)
    frames = peer.exchange(get(1, b"/", TE))
    assert [(each.kind, each.ends) for each in frames] == [(HEADERS, False), (DATA, False), (HEADERS, True)]
    answer = peer.answers(frames)[1]
    assert (answer.content, answer.trailers) == (b"ok", [(b"grpc-status", b"0")])


def test_trailers_without_content_follow_the_head(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request, trailers=True)
        body(request)
        drive(request.send({"type": "http.response.trailers", "headers": [(b"a", b"b")], "more_trailers": True}))
        drive(request.send({"type": "http.response.trailers", "headers": [(b"c", b"d")]}))

    peer = Peer(wire, application)
    frames = peer.exchange(get(1, b"/", TE))
    assert [(each.kind, each.ends) for each in frames] == [(HEADERS, False), (HEADERS, True)]
    assert peer.answers(frames)[1].trailers == [(b"a", b"b"), (b"c", b"d")]


@pytest.mark.parametrize(("sent", "fields"), [(get(), [(b"a", b"b")]), (get(1, b"/", TE), [])])
def test_trailers_that_nobody_gets_end_the_stream(wire: Any, sent: bytes, fields: Any) -> None:
    def application(request: Any) -> None:
        start(request, trailers=True)
        body(request, b"ok")
        drive(request.send({"type": "http.response.trailers", "headers": fields}))

    answer = answered(wire, application, sent)
    assert (answer.content, answer.is_complete, answer.trailers) == (b"ok", True, [])


def test_trailers_wait_for_the_content(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request, trailers=True)
        body(request, b"x" * 25)
        drive(request.send({"type": "http.response.trailers", "headers": [(b"a", b"b")]}))

    peer = Peer(wire, application, settings=SMALL)
    assert kinds(peer.exchange(get(1, b"/", TE))) == [HEADERS, DATA]
    frames = peer.exchange(window_update(1, 100))
    assert [(each.kind, each.ends) for each in frames] == [(DATA, False), (HEADERS, True)]


def test_forbidden_trailers_are_refused(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(get(1, b"/", TE))
    start(peer.rig.request, trailers=True)
    body(peer.rig.request)
    with pytest.raises(ValueError, match="trailer section"):
        drive(peer.rig.request.send({"type": "http.response.trailers", "headers": [(b"content-length", b"0")]}))


def test_early_hints_precede_the_response(wire: Any) -> None:
    def application(request: Any) -> None:
        drive(request.send({"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]}))
        ok(request)

    peer = Peer(wire, application)
    frames = peer.exchange(get())
    assert kinds(frames) == [HEADERS, HEADERS, DATA]
    assert peer.fields(frames[0]) == [(b":status", b"103"), (b"link", b"</a>; rel=preload")]
    assert not frames[0].ends


def test_continue_is_sent_when_the_application_asks_for_the_body(wire: Any) -> None:
    peer = Peer(wire)
    frames = peer.exchange(post(1, (b"expect", b"100-continue")))
    assert frames == []
    step = peer.rig.request.receive()
    assert drive(step) is WAITING
    (interim,) = peer.take()
    assert peer.fields(interim) == [(b":status", b"100")]
    peer.send(data(1, b"x", True))
    assert drive(peer.rig.request.receive())["body"] == b"x"


def test_continue_is_not_sent_after_the_body_or_the_response(wire: Any) -> None:
    peer = Peer(wire, echo)
    assert kinds(peer.exchange(post(1, (b"expect", b"100-continue")) + data(1, b"x", True)))[0] == HEADERS
    peer = Peer(wire, ok)
    assert kinds(peer.exchange(post(1, (b"expect", b"100-continue")))) == [HEADERS, DATA, RST_STREAM]


# Bodies


@pytest.mark.parametrize(
    "sent",
    [
        data(1, b"abc", True),
        data(1, b"a") + data(1, b"bc") + data(1, b"", True),
        frame(DATA, PADDED | END_STREAM, 1, b"\3abc\0\0\0"),
        frame(DATA, PADDED, 1, b"\0abc") + frame(DATA, PADDED | END_STREAM, 1, b"\2\0\0"),
        data(1, b"abc") + headers(1, (b"x-checksum", b"1")),
    ],
    ids=["one frame", "three frames", "padded", "only padding at the end", "trailers"],
)
def test_body_arrives_in_any_pieces(wire: Any, sent: bytes) -> None:
    for size in (1, 3, 10, len(sent)):
        peer = Peer(wire, echo)
        peer.send(post(1, (b"content-length", b"3")))
        for at in range(0, len(sent), size):
            peer.send(sent[at : at + size])
        assert peer.answers(peer.take())[1].content == b"abc"


def test_parts_of_a_frame_are_passed_on_as_they_come(wire: Any) -> None:
    peer = Peer(wire)
    whole = data(1, b"x" * 10000, True)
    peer.send(post(1), whole[:109])
    assert drive(peer.rig.request.receive()) == {"type": "http.request", "body": b"x" * 100, "more_body": True}
    peer.send(whole[109:])
    assert drive(peer.rig.request.receive()) == {"type": "http.request", "body": b"x" * 9900, "more_body": False}


def test_tiny_parts_are_joined(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(post(1))
    for _ in range(500):
        peer.send(*[data(1, b"%d" % index) for index in range(10)])
    whole = drive(peer.rig.request.receive())["body"]
    assert whole == b"0123456789" * 500


def test_response_before_the_body_ends_with_a_reset(wire: Any) -> None:
    peer = Peer(wire, ok)
    frames = peer.exchange(post(1))
    assert [(each.kind, each.ends) for each in frames] == [(HEADERS, False), (DATA, True), (RST_STREAM, False)]
    assert frames[-1].code == NO_ERROR
    assert not peer.rig.refused


def test_response_beside_a_body_of_the_same_iteration_needs_no_reset(wire: Any) -> None:
    peer = Peer(wire, ok)
    assert kinds(peer.exchange(post(1) + data(1, b"x" * 100) + data(1, b"", True))) == [HEADERS, DATA]
    assert peer.rig.connection.streams == {}


def test_body_above_the_limit_is_refused(wire: Any) -> None:
    peer = Peer(wire, body_size=10)
    peer.send(post(1), data(1, b"x" * 10))
    assert drive(peer.rig.request.receive())["body"] == b"x" * 10
    frames = peer.exchange(data(1, b"x"))
    assert peer.answers(frames)[1].status == 413
    assert only(frames, RST_STREAM).code == NO_ERROR
    assert peer.rig.request.is_lost()
    assert [error.status for error in peer.rig.refused] == [413]


def test_declared_body_above_the_limit_starts_no_application(wire: Any) -> None:
    peer = Peer(wire, body_size=10)
    frames = peer.exchange(post(1, (b"content-length", b"11")))
    assert peer.answers(frames)[1].status == 413
    assert peer.rig.requests == []


def test_application_that_goes_on_after_a_refused_body_is_followed(wire: Any) -> None:
    peer = Peer(wire, body_size=10, ignores_lost=True)
    peer.send(post(1))
    request = peer.rig.request
    peer.exchange(data(1, b"x" * 11))
    assert peer.rig.calls == ["left"]
    assert drive(request.receive()) == {"type": "http.disconnect"}
    start(request)
    body(request, b"part", True)
    assert request.is_streaming()
    assert peer.take() == []


def test_applications_of_refused_bodies_limit_the_streams(wire: Any) -> None:
    peer = Peer(wire, body_size=10)
    for number in range(1, 257, 2):
        peer.send(post(number))
        peer.rig.turn()
        peer.rig.requests[-1].task = SimpleNamespace(done=lambda: False)
        peer.send(data(number, b"x" * 11))
        peer.rig.turn()
    peer.take()
    assert only(peer.exchange(get(257)), RST_STREAM).code == REFUSED_STREAM


def test_refused_bodies_beyond_the_budget_have_to_wait(wire: Any) -> None:
    peer = Peer(wire, body_size=10)
    for number in range(1, 500, 2):
        peer.send(post(number), data(number, b"x" * 11))
        peer.rig.turn()
    assert peer.rig.is_paused()
    assert len(peer.rig.refused) == 200


def test_body_above_the_limit_breaks_off_a_response(wire: Any) -> None:
    peer = Peer(wire, body_size=10)
    peer.send(post(1))
    start(peer.rig.request)
    body(peer.rig.request, b"x", True)
    assert only(peer.exchange(data(1, b"x" * 11)), RST_STREAM).code == CANCEL


# Windows: what the client may send


def test_credit_follows_what_the_application_takes(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(post(1), *[data(1, b"x" * 16000)] * 4)
    assert drive(peer.rig.request.receive())["body"] == b"x" * 64000
    update = only(peer.take(), WINDOW_UPDATE)
    # The application keeps up, so the window doubles.
    assert (update.stream, update.number) == (1, 64000 + 65535)


def test_unread_stream_gets_no_credit(wire: Any) -> None:
    peer = Peer(wire)
    frames = peer.exchange(post(1), *[data(1, b"x" * 13107)] * 5)
    assert WINDOW_UPDATE not in kinds(frames)
    frames = peer.exchange(data(1, b"x"))
    assert only(frames, RST_STREAM).code == FLOW_CONTROL_ERROR


def test_unread_streams_leave_the_others_alone(wire: Any) -> None:
    peer = Peer(wire, lambda request: echo(request) if request.scope["path"] == "/read" else None)
    for number in range(1, 15, 2):
        peer.exchange(post(number), *[data(number, b"x" * 13107)] * 5)
    number = 15
    for _ in range(40):
        sent = headers(number, (b":method", b"POST"), *GET[1:3], (b":path", b"/read"), ends=False)
        upload = [data(number, b"y" * 16000)] * 3
        frames = peer.exchange(window_update(0, 48000), sent, *upload, data(number, b"", True))
        assert peer.answers(frames)[number].content == b"y" * 48000
        number += 2


def test_window_of_the_connection_is_a_limit(wire: Any) -> None:
    peer = Peer(wire)
    for number in range(1, 33, 2):
        peer.exchange(post(number), *[data(number, b"x" * 13107)] * 5)
    assert GOAWAY not in kinds(peer.exchange(post(33), data(33, b"x" * 16)))
    assert only(peer.exchange(data(33, b"x")), GOAWAY).code == FLOW_CONTROL_ERROR


@pytest.mark.parametrize("end", [rst_stream(1, CANCEL), b""], ids=["reset", "answered"])
def test_credit_of_an_unread_body_returns_to_the_connection(wire: Any, end: bytes) -> None:
    peer = Peer(wire)
    number = 1
    for _ in range(40):
        peer.exchange(post(number), *[data(number, b"x" * 13107)] * 5)
        if end:
            peer.send(rst_stream(number, CANCEL))
        else:
            ok(peer.rig.request)
        assert GOAWAY not in kinds(peer.take())
        number += 2


def test_padding_costs_no_credit(wire: Any) -> None:
    peer = Peer(wire, echo)
    peer.send(post(1))
    for _ in range(2000):
        assert GOAWAY not in kinds(peer.exchange(frame(DATA, PADDED, 1, b"\xfe" + b"x" + bytes(254))))
    assert len(peer.answers(peer.exchange(data(1, b"", True)))[1].content) == 2000


def test_window_grows_to_half_a_mebibyte(wire: Any) -> None:
    peer = Peer(wire, echo)
    peer.send(post(1))
    window = 65535
    sizes = []
    for _ in range(12):
        for _ in range(window // 16384):
            window -= 16384
            peer.send(data(1, b"x" * 16384))
            peer.rig.turn()
        for each in peer.take():
            if each.kind == WINDOW_UPDATE and each.stream:
                window += each.number
        sizes.append(window)
    assert max(sizes) <= 524288
    assert sizes[-1] > 400000


# Windows: what we may send


def test_content_waits_for_the_window_of_its_stream(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"0123456789abcdef")

    peer = Peer(wire, application, settings=SMALL)
    frames = peer.exchange(get())
    assert [(each.kind, each.payload) for each in frames[1:]] == [(DATA, b"0123456789")]
    assert peer.exchange(window_update(0, 100)) == []
    assert content(peer.exchange(window_update(1, 2))) == b"ab"
    (last,) = peer.exchange(window_update(1, 100))
    assert (last.payload, last.ends) == (b"cdef", True)


def test_content_waits_for_the_window_of_the_connection(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * 50000)

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, 1000000)))
    frames = peer.exchange(get(1), get(3))
    assert len(content(frames, 1)) + len(content(frames, 3)) == 65535
    frames += peer.exchange(window_update(0, 100000))
    assert len(content(frames, 1)) == len(content(frames, 3)) == 50000
    assert [each.ends for each in frames if each.kind == DATA][-2:] == [True, True]


def test_window_may_become_negative(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * 100)

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, 50)))
    assert len(content(peer.exchange(get()))) == 50
    assert content(peer.exchange(settings((INITIAL_WINDOW_SIZE, 20)))) == b""
    assert content(peer.exchange(window_update(1, 30))) == b""
    assert len(content(peer.exchange(window_update(1, 5)))) == 5
    assert len(content(peer.exchange(settings((INITIAL_WINDOW_SIZE, 100))))) == 45


def test_stream_without_a_window_may_end(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request)

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, 0)))
    assert [each.ends for each in peer.exchange(get())] == [True]


def test_streams_take_turns(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * 60000)

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, 1000000)))
    frames = peer.exchange(window_update(0, 1000000), get(1), get(3), get(5))
    order = [each.stream for each in frames if each.kind == DATA]
    assert order == [1, 3, 5] * 4


def test_small_response_does_not_wait_for_a_large_one(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * (200000 if request.scope["path"] == "/large" else 10))

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, 1000000)))
    frames = peer.exchange(window_update(0, 1000000), get(1, b"/large"), get(3))
    order = [each.stream for each in frames if each.kind == DATA]
    assert order.index(3) <= 1


def test_application_waits_while_its_content_is_queued(wire: Any) -> None:
    peer = Peer(wire, start, settings=SMALL)
    peer.exchange(get())
    request = peer.rig.request
    assert body(request, b"x" * 65536, True) is None
    step = request.send({"type": "http.response.body", "body": b"y" * 100, "more_body": True})
    assert drive(step) is WAITING
    peer.exchange(window_update(1, 20000))
    assert drive(step) is WAITING
    peer.exchange(window_update(1, 20000))
    assert drive(step) is None


def test_other_streams_may_queue_while_one_waits(wire: Any) -> None:
    peer = Peer(wire, start, settings=SMALL)
    peer.exchange(get(1), get(3))
    first, second = peer.rig.requests
    body(first, b"x" * 100000, True)
    assert body(second, b"y" * 100, True) is None


def test_connection_with_a_mebibyte_queued_holds_its_applications(wire: Any) -> None:
    peer = Peer(wire, start, settings=SMALL)
    peer.exchange(*[get(number) for number in range(1, 41, 2)])
    waiting = [body(request, b"x" * 60000, True) is WAITING for request in peer.rig.requests]
    assert waiting == [False] * 17 + [True] * 3


# Resets


def test_reset_by_the_client_ends_the_request(wire: Any) -> None:
    peer = Peer(wire, start)
    peer.exchange(get(1), get(3))
    first, second = peer.rig.requests
    step = first.receive()
    drive(step)
    peer.send(rst_stream(1, CANCEL))
    assert drive(first.receive()) == {"type": "http.disconnect"}
    with pytest.raises(ClientDisconnected):
        body(first, b"x")
    assert peer.rig.calls == ["left"]
    body(second, b"x")
    assert content(peer.take(), 3) == b"x"


def test_reset_wakes_a_waiting_send(wire: Any) -> None:
    peer = Peer(wire, start, settings=SMALL)
    peer.exchange(get())
    body(peer.rig.request, b"x" * 65536, True)
    step = peer.rig.request.send({"type": "http.response.body", "body": b"y", "more_body": True})
    assert drive(step) is WAITING
    peer.send(rst_stream(1, CANCEL))
    with pytest.raises(ClientDisconnected):
        drive(step)
    assert peer.rig.connection.queued_content == 0


def test_failed_application_resets_its_stream_only(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(get(1), get(3))
    first, second = peer.rig.requests
    start(first)
    body(first, b"x", True)
    first.fail(500)
    frames = peer.take()
    assert (only(frames, RST_STREAM).stream, only(frames, RST_STREAM).code) == (1, INTERNAL_ERROR)
    second.fail(500)
    answer = peer.answers(peer.take())[3]
    assert (answer.status, answer.content) == (500, b"Internal Server Error")


def test_failure_after_the_client_has_left_is_ignored(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(get())
    peer.send(rst_stream(1, CANCEL))
    peer.rig.request.fail(500)
    peer.rig.request.abandon()
    assert peer.take() == []


def test_abandoned_request_is_cancelled(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(get())
    peer.rig.request.abandon()
    assert only(peer.take(), RST_STREAM).code == CANCEL


# Deadlines


@pytest.mark.parametrize(("fields", "overdue"), [((), True), ((TE,), False)], ids=["body", "body of gRPC"])
def test_awaited_body_times_out(wire: Any, fields: Any, overdue: bool) -> None:
    peer = Peer(wire, body_timeout=3)
    peer.send(post(1, *fields))
    drive(peer.rig.request.receive())
    peer.rig.tick(4)
    answers = peer.answers(peer.take())
    assert [answer.status for answer in answers.values()] == ([408] if overdue else [])


def statuses_at_rate(
    wire: Any, sent: int, fields: Any = (), is_read: bool = True, is_waiting: bool = False
) -> list[int]:
    """The statuses of the answers to a body of which `sent` bytes arrive each second, with a minimum rate of 10."""
    peer = Peer(wire, body_rate=10, body_timeout=0)
    peer.send(post(1, *fields))
    peer.rig.input = is_waiting
    answers: dict[int, Any] = {}
    for now in range(1, 150):
        if is_read:
            drive(peer.rig.request.receive())
        peer.rig.tick(now)
        answers |= peer.answers(peer.take())
        if answers:
            break
        if sent:
            peer.send(data(1, bytes(sent)))
            drive(peer.rig.request.receive())
    return [answer.status for answer in answers.values()]


@pytest.mark.parametrize(("sent", "statuses"), [(10, []), (9, [408]), (0, [408])])
def test_body_must_have_the_minimum_rate(wire: Any, sent: int, statuses: list[int]) -> None:
    assert statuses_at_rate(wire, sent) == statuses


def test_rate_does_not_count_where_nobody_waits_for_the_client(wire: Any) -> None:
    assert statuses_at_rate(wire, 0, is_read=False) == []
    assert statuses_at_rate(wire, 0, is_waiting=True) == []
    assert statuses_at_rate(wire, 0, (TE,)) == []


def test_body_that_nobody_awaits_does_not_time_out(wire: Any) -> None:
    peer = Peer(wire, body_timeout=3)
    peer.send(post(1))
    peer.rig.tick(10)
    assert peer.take() == []


def test_body_that_arrives_does_not_time_out(wire: Any) -> None:
    peer = Peer(wire, body_timeout=3)
    peer.send(post(1))
    for now in range(1, 20):
        drive(peer.rig.request.receive())
        peer.rig.tick(now)
        peer.send(data(1, b"x"))
        drive(peer.rig.request.receive())
    assert RST_STREAM not in kinds(peer.take())


def test_stream_that_is_not_read_times_out(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * 100)

    peer = Peer(wire, application, settings=SMALL, write_timeout=3)
    peer.exchange(get())
    peer.rig.tick(3)
    peer.exchange(window_update(1, 1))
    peer.rig.tick(6)
    assert RST_STREAM not in kinds(peer.take())
    peer.rig.tick(7)
    assert only(peer.take(), RST_STREAM).code == CANCEL
    assert len(peer.rig.cuts) == 1
    assert not peer.rig.is_over()


def test_reset_streams_leave_their_turns(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * 66000)

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, 1000000)))
    number = 1
    for _ in range(50):
        peer.exchange(get(number))
        peer.exchange(rst_stream(number, CANCEL))
        number += 2
    if wire.form == "interpreted":
        assert peer.rig.connection._turns == []
    assert peer.rig.connection.queued_content == 0
    frames = peer.exchange(window_update(0, 1000000), get(number))
    assert {each.stream for each in frames if each.kind == DATA} == {number}


def test_stream_that_waits_for_others_does_not_time_out(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * 40000)

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, 1000000)), write_timeout=3)
    peer.exchange(get(1), get(3), get(5))
    for now in range(1, 30):
        peer.rig.tick(now)
        assert RST_STREAM not in kinds(peer.exchange(window_update(0, 100)))
    assert not peer.rig.cuts


def test_closed_window_of_the_connection_times_out(wire: Any) -> None:
    def application(request: Any) -> None:
        start(request)
        body(request, b"x" * 100000)

    peer = Peer(wire, application, settings=settings((INITIAL_WINDOW_SIZE, 1000000)), write_timeout=3)
    peer.exchange(get(1))
    for now in range(1, 5):
        peer.rig.tick(now)
    assert GOAWAY not in kinds(peer.take())
    peer.rig.tick(5)
    assert GOAWAY in kinds(peer.take())
    assert peer.rig.cuts


def test_body_beyond_its_length_gives_its_credit_back(wire: Any) -> None:
    peer = Peer(wire)
    credit = 0
    for number in range(1, 129, 2):
        frames = peer.exchange(post(number, (b"content-length", b"1")), data(number, b"x" * 16384))
        credit += sum(each.number for each in frames if each.kind == WINDOW_UPDATE and not each.stream)
    assert credit >= 524288


def test_padding_alone_gets_its_credit_back(wire: Any) -> None:
    peer = Peer(wire)
    peer.send(post(1))
    credit = 0
    for _ in range(300):
        frames = peer.exchange(frame(DATA, PADDED, 1, b"\xff" + bytes(255)))
        credit += sum(each.number for each in frames if each.kind == WINDOW_UPDATE and each.stream == 1)
    assert credit >= 32768


def test_last_part_wakes_another_waiting_send(wire: Any) -> None:
    peer = Peer(wire, start, settings=SMALL)
    peer.exchange(get())
    request = peer.rig.request
    body(request, b"x" * 65536, True)
    waiting = request.send({"type": "http.response.body", "body": b"y", "more_body": True})
    assert drive(waiting) is WAITING
    body(request, b"z")
    peer.exchange(window_update(1, 1000000), window_update(0, 1000000))
    assert drive(waiting) is None


# The access log


def test_responses_are_logged(wire: Any) -> None:
    class Lines(wire.access_log.AccessLines):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

        def log(self, request: Any, status: int) -> None:
            logged.append((request.scope["path"], request.client_text, status))

    logged: list[Any] = []
    peer = Peer(wire, ok)
    peer.rig.shared.access_log = Lines()
    peer.exchange(get(1, b"/a"), get(3, b"/b"))
    assert logged == [("/a", "127.0.0.1:50000", 200), ("/b", "127.0.0.1:50000", 200)]
