"""The connection's state machine: its responses, writes, limits, timeouts and close."""

import contextlib
import socket
import sys
import time
import types

import pytest

from pronghorn._wire.http1.connection import HEAD, IDLE, RESPONDING
from pronghorn.errors import ClientDisconnected
from pronghorn.metrics import layout
from tests.support.rig import (
    BAD_REQUEST,
    CONTINUE,
    GET,
    OK,
    OK_CLOSE,
    WAITING,
    Future,
    Rig,
    body,
    drive,
    echo,
    ok,
    post,
    refusal,
    start,
)

TIMEOUT = refusal(408, "Request Timeout")
GIVEN_UP = refusal(503, "Service Unavailable")
DISCONNECT = {"type": "http.disconnect"}
KIB = 1024


def get(*fields, version=b"1.1", method=b"GET", path=b"/"):
    lines = [b"%b %b HTTP/%b\r\nhost: a\r\n" % (method, path, version), *(field + b"\r\n" for field in fields), b"\r\n"]
    return b"".join(lines)


def paths(rig):
    return [request.scope["path"] for request in rig.requests]


def answer_with_path(request):
    path = request.scope["raw_path"]
    start(request, (b"content-length", b"%d" % len(path)))
    body(request, path)


@pytest.mark.parametrize(
    ("field", "asked"),
    [(b"connection: upgrade", True), (b"connection: keep-alive, Upgrade", True), (b"connection: close", False)],
)
def test_unsupported_upgrade_is_an_ordinary_request(wire, field, asked):
    rig = Rig(wire, echo)
    rig.receive(post(2, field + b"\r\nupgrade: foo\r\n") + b"ok")
    assert rig.take() == (OK if asked else OK_CLOSE)
    assert (rig.calls[:1] == ["upgrade"]) is asked


# Keep-alive


def test_http11_connection_is_reused(wire):
    rig = Rig(wire, ok)
    for _ in range(3):
        rig.receive(GET)
        assert rig.take() == OK
    assert rig.calls == []


def test_http10_connection_closes(wire):
    rig = Rig(wire, ok)
    rig.receive(get(version=b"1.0"))
    assert rig.take() == OK_CLOSE
    assert rig.calls == ["close"]


def test_http10_keep_alive_is_confirmed(wire):
    rig = Rig(wire, ok)
    for _ in range(2):
        rig.receive(get(b"connection: keep-alive", version=b"1.0"))
        assert rig.take() == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok"
    assert rig.calls == []


def test_http10_keep_alive_without_a_length_closes_the_connection(wire):
    def application(request):
        start(request)
        body(request, b"ok")

    rig = Rig(wire, application)
    rig.receive(get(b"connection: keep-alive", version=b"1.0"))
    assert rig.take() == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok"
    assert rig.calls == ["close"]


@pytest.mark.parametrize("field", [b"connection: close", b"Connection: Keep-Alive, Close", b"connection: x,close"])
def test_connection_closes_when_the_client_asks(wire, field):
    rig = Rig(wire, ok)
    rig.receive(get(field) + GET)
    assert rig.take() == OK_CLOSE
    assert len(rig.requests) == 1
    assert rig.calls[-1] in ("close", "finish_writing")


def test_connection_closes_when_the_application_asks(wire):
    def application(request):
        start(request, (b"content-length", b"2"), (b"Connection", b"Close"))
        body(request, b"ok")

    rig = Rig(wire, application)
    rig.receive(GET)
    assert rig.take() == OK_CLOSE
    assert rig.calls == ["close"]


def test_keep_alive_of_zero_disables_reuse(wire):
    rig = Rig(wire, ok, keep_alive_timeout=0)
    rig.receive(GET)
    assert rig.take() == OK_CLOSE
    assert rig.calls == ["close"]


def test_requests_are_counted(wire):
    rig = Rig(wire, ok)
    rig.receive(GET * 3)
    assert rig.shared.total_requests == 3


# Pipelining


def test_pipelined_responses_leave_in_order_in_one_write(wire):
    rig = Rig(wire, answer_with_path)
    rig.receive(get(path=b"/1") + get(path=b"/2") + get(path=b"/3"))
    assert rig.writes == []
    rig.turn()
    starts = [line[:2] for line in rig.written.split(b"\r\n") if line.startswith(b"/")]
    assert starts == [b"/1", b"/2", b"/3"]
    assert len(rig.writes) == 1


def test_next_request_waits_for_the_previous_response(wire):
    rig = Rig(wire)
    rig.receive(get(path=b"/1") + get(path=b"/2"))
    rig.turn()
    assert paths(rig) == ["/1"]
    answer_with_path(rig.request)
    rig.turn()
    assert paths(rig) == ["/1", "/2"]


def test_next_request_does_not_start_inside_the_previous_send(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.receive(GET)
    ok(rig.request)
    assert len(rig.requests) == 1
    rig.turn()
    assert len(rig.requests) == 2


def test_next_request_is_served_while_the_application_still_runs(wire):
    async def application(request):
        await request.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await request.send({"type": "http.response.body", "body": b"ok"})
        await background

    background = Future()
    rig = Rig(wire, application)
    rig.receive(GET)
    rig.receive(GET)
    assert rig.take() == OK * 2
    assert rig.running == 2


def test_requests_per_iteration_are_limited(wire):
    rig = Rig(wire, ok)
    bound = rig.limits.pipelined_requests
    rig.receive(GET * (bound + 1))
    assert len(rig.requests) == bound
    assert rig.calls == ["defer"]
    rig.one_turn()
    assert len(rig.requests) == bound + 1


def test_many_requests_yield_to_other_connections(wire):
    rig = Rig(wire, ok)
    rig.receive(GET * (rig.limits.pipelined_requests * 3))
    assert rig.take() == OK * (rig.limits.pipelined_requests * 3)
    assert rig.calls == ["defer"] * 2


def test_bytes_that_arrive_while_deferred_keep_their_order(wire):
    rig = Rig(wire, answer_with_path)
    bound = rig.limits.pipelined_requests
    rig.receive(get(path=b"/a") * (bound + 1))
    rig.receive(get(path=b"/b"))
    rig.turn()
    assert paths(rig) == ["/a"] * (bound + 1) + ["/b"]


def test_malformed_request_is_refused_after_the_running_one(wire):
    rig = Rig(wire)
    rig.receive(GET + b"get / HTTP/1.1\r\n\r\n")
    assert rig.take() == b""
    assert rig.refused == []
    ok(rig.request)
    assert rig.take() == OK + BAD_REQUEST
    assert len(rig.refused) == 1


def test_malformed_request_is_refused_after_a_complete_one(wire):
    rig = Rig(wire, ok)
    rig.receive(GET + b"\x00")
    assert rig.take() == OK + BAD_REQUEST


def test_nothing_is_read_after_a_malformed_request(wire):
    rig = Rig(wire, ok)
    rig.receive(b"bad\r\n\r\n" + GET)
    rig.receive(GET)
    assert rig.take() == BAD_REQUEST
    assert rig.requests == []


def test_pipelined_bytes_are_limited(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.receive(GET * 3000)
    assert rig.is_paused()


def test_reading_resumes_when_pipelined_requests_are_served(wire):
    rig = Rig(wire)
    rig.receive(GET + GET * 3000)
    rig.application = ok
    ok(rig.request)
    assert rig.take() == OK * 3001
    assert not rig.is_paused()


# Output


def test_head_and_body_leave_together(wire):
    rig = Rig(wire, ok)
    rig.receive(GET)
    rig.turn()
    assert rig.writes == [OK]


def test_head_without_a_body_is_written_when_the_iteration_ends(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request, (b"content-type", b"text/event-stream"))
    assert rig.writes == []
    rig.turn()
    assert rig.writes == [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"]


def test_parts_of_one_iteration_leave_in_one_write(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, b"a", more=True)
    body(rig.request, b"b")
    assert rig.writes == []
    rig.turn()
    assert rig.writes == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"]


def transport_to(pieces):
    """A transport that records the buffers it is given, unchanged."""
    return types.SimpleNamespace(write=pieces.append, writelines=pieces.extend, is_closing=lambda: False)


def test_long_iteration_writes_finished_responses_early(wire):
    """An iteration longer than about a millisecond writes in between."""
    first = Rig(wire)
    outbox = wire.outbox.Outbox([].append)
    pieces = []
    connections = [
        wire.connection.Connection(first, transport_to(pieces), outbox, first.shared, None, None) for _ in range(2)
    ]
    connections[0].receive(GET)
    ok(first.requests[0])
    connections[1].receive(GET)
    assert pieces == []
    end = time.monotonic() + 0.005
    while time.monotonic() < end:
        pass
    ok(first.requests[1])
    assert b"".join(pieces) == OK


def test_large_output_is_written_before_the_iteration_ends(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, bytes(60 * KIB), more=True)
    assert rig.writes == []
    body(rig.request, bytes(5 * KIB), more=True)
    assert len(rig.writes) == 1


def test_much_output_waits_for_the_next_iteration(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    assert body(rig.request, bytes(140 * KIB), more=True) is not WAITING
    step = rig.request.send({"type": "http.response.body", "body": bytes(140 * KIB), "more_body": True})
    assert drive(step) is WAITING
    rig.one_turn()
    assert drive(step) is not WAITING


def test_every_response_of_an_iteration_is_written_once(wire):
    rig = Rig(wire, ok)
    rig.receive(GET)
    rig.turn()
    rig.turn()
    assert rig.written == OK


def test_large_body_is_not_copied(wire):
    rig = Rig(wire)
    pieces = []
    outbox = wire.outbox.Outbox(rig._soon.append)
    rig.connection = wire.connection.Connection(rig, transport_to(pieces), outbox, rig.shared, None, None)
    rig.receive(GET)
    content = bytes(100 * KIB)
    start(rig.request, (b"content-length", b"%d" % len(content)))
    body(rig.request, content)
    assert any(piece is content for piece in pieces)


# Direct writes to the socket


@contextlib.contextmanager
def on_a_socket(wire):
    """A rig that may write directly to a socket, the buffers its transport gets instead, and the peer socket."""
    if sys.platform == "win32":
        pytest.skip("only the transport writes to a socket there")
    rig = Rig(wire)
    pieces = []
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        outbox = wire.outbox.Outbox(rig._soon.append)
        rig.connection = wire.connection.Connection(
            rig, transport_to(pieces), outbox, rig.shared, None, None, near.fileno()
        )
        yield rig, pieces, near, far


def fill(near):
    """Fill the socket's send buffer."""
    with contextlib.suppress(BlockingIOError):
        while True:
            near.send(bytes(65536))


def empty(far):
    far.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            far.recv(1 << 20)


def answer(rig):
    rig.receive(GET)
    ok(rig.requests[-1])
    rig.turn()


def test_output_is_written_directly_to_the_socket(wire):
    with on_a_socket(wire) as (rig, pieces, _, far):
        answer(rig)
        assert far.recv(1000) == OK
        assert pieces == []


def test_full_socket_leaves_the_output_to_the_transport(wire):
    with on_a_socket(wire) as (rig, pieces, near, _):
        fill(near)
        answer(rig)
        assert pieces == [OK]


def test_rest_of_a_partial_send_goes_to_the_transport(wire):
    with on_a_socket(wire) as (rig, pieces, near, far):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        content = bytes(range(256)) * 62
        rig.receive(GET)
        start(rig.request)
        for _ in range(4):
            body(rig.request, content, more=True)
            rig.turn()
        far.setblocking(False)
        sent = far.recv(1 << 20)
        assert len(pieces) >= 1
        assert (sent + b"".join(pieces)).count(content) == 4


def test_output_never_overtakes_the_buffer_of_the_transport(wire):
    with on_a_socket(wire) as (rig, pieces, near, far):
        fill(near)
        answer(rig)
        empty(far)
        rig.waiting_bytes = len(OK)
        answer(rig)
        assert pieces == [OK, OK]
        rig.waiting_bytes = 0
        answer(rig)
        assert pieces == [OK, OK]
        assert far.recv(1000) == OK


# Backpressure


def test_unread_body_is_limited(wire):
    rig = Rig(wire)
    rig.receive(post(200 * KIB))
    rig.receive(bytes(64 * KIB))
    assert not rig.is_paused()
    rig.receive(bytes(KIB))
    assert rig.is_paused()


def test_reading_resumes_when_the_body_is_received(wire):
    rig = Rig(wire)
    rig.receive(post(200 * KIB))
    rig.receive(bytes(100 * KIB))
    message = drive(rig.request.receive())
    assert (len(message["body"]), message["more_body"]) == (100 * KIB, True)
    assert not rig.is_paused()


def test_complete_body_does_not_pause_reading(wire):
    rig = Rig(wire)
    rig.receive(post(100 * KIB) + bytes(100 * KIB))
    assert not rig.is_paused()


def test_response_during_a_paused_body_resumes_reading(wire):
    rig = Rig(wire)
    rig.receive(post(100 * KIB))
    rig.receive(bytes(80 * KIB))
    ok(rig.request)
    assert not rig.is_paused()
    rig.receive(bytes(20 * KIB) + GET)
    assert rig.take() == OK
    assert len(rig.requests) == 2


def test_requests_are_not_started_while_the_client_reads_nothing(wire):
    rig = Rig(wire, ok)
    rig.connection.pause_writing()
    rig.receive(GET * 2)
    assert rig.requests == []
    rig.connection.resume_writing()
    assert rig.take() == OK * 2


def test_requests_of_a_client_that_reads_nothing_are_limited(wire):
    rig = Rig(wire, ok)
    rig.connection.pause_writing()
    rig.receive(GET * 3000)
    assert rig.is_paused()
    rig.connection.resume_writing()
    rig.turn()
    assert not rig.is_paused()


def test_send_waits_while_the_client_reads_nothing(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    rig.connection.pause_writing()
    step = rig.request.send({"type": "http.response.body", "body": b"a", "more_body": True})
    assert drive(step) is WAITING
    rig.connection.resume_writing()
    assert drive(step) is None


def test_last_send_does_not_wait(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    rig.connection.pause_writing()
    assert body(rig.request, b"a") is None


# Expect: 100-continue


EXPECT = post(2, b"expect: 100-continue\r\n")


def test_continue_is_sent_when_the_application_first_receives(wire):
    rig = Rig(wire)
    rig.receive(EXPECT)
    assert rig.take() == b""
    assert drive(rig.request.receive()) is WAITING
    assert rig.take() == CONTINUE


def test_continue_is_sent_once(wire):
    rig = Rig(wire)
    rig.receive(EXPECT)
    drive(rig.request.receive())
    drive(rig.request.receive())
    assert rig.take() == CONTINUE


def test_continue_is_sent_before_the_response(wire):
    rig = Rig(wire, echo)
    rig.receive(EXPECT)
    assert rig.take() == CONTINUE
    rig.receive(b"ok")
    assert rig.take() == OK


def test_continue_is_not_sent_once_the_body_has_begun(wire):
    rig = Rig(wire, echo)
    rig.receive(EXPECT + b"o")
    rig.receive(b"k")
    assert rig.take() == OK


def test_connection_closes_if_continue_was_never_sent(wire):
    rig = Rig(wire, ok)
    rig.receive(EXPECT)
    assert rig.take() == OK_CLOSE
    assert rig.calls[-1] in ("close", "finish_writing")


def test_continue_is_not_sent_after_the_response_has_started(wire):
    rig = Rig(wire)
    rig.receive(EXPECT)
    start(rig.request)
    drive(rig.request.receive())
    assert CONTINUE not in rig.take()


def test_unread_body_without_continue_closes_even_when_received_after_the_start(wire):
    """The client may omit the body after a final status, so the next request could be mistaken for it."""
    rig = Rig(wire)
    rig.receive(EXPECT)
    start(rig.request, (b"content-length", b"2"))
    drive(rig.request.receive())
    body(rig.request, b"ok")
    rig.receive(GET)
    rig.turn()
    assert rig.calls[-1] in ("close", "finish_writing")
    assert len(rig.requests) == 1


@pytest.mark.parametrize(
    "head", [get(b"expect: 100-continue"), post(2, b"expect: 100-continue\r\n").replace(b"1.1", b"1.0")]
)
def test_continue_is_not_sent_where_none_is_allowed(wire, head):
    rig = Rig(wire)
    rig.receive(head)
    drive(rig.request.receive())
    assert rig.take() == b""


def test_client_that_waits_for_continue_does_not_time_out(wire):
    """The server has not asked for the body yet."""
    rig = Rig(wire, body_timeout=5)
    rig.receive(EXPECT)
    rig.tick(100)
    assert rig.take() == b""
    drive(rig.request.receive())
    assert rig.take() == CONTINUE


def test_body_timeout_starts_when_continue_is_sent(wire):
    rig = Rig(wire, body_timeout=5)
    rig.receive(EXPECT)
    rig.tick(3)
    drive(rig.request.receive())
    rig.turn()
    rig.tick(9)
    assert rig.take() == CONTINUE + TIMEOUT


# Unread bodies


def test_small_unread_body_is_discarded(wire):
    rig = Rig(wire, ok)
    rig.receive(post(3) + b"abc" + GET)
    assert rig.take() == OK * 2


def test_rest_of_a_small_unread_body_is_discarded(wire):
    rig = Rig(wire, ok)
    rig.receive(post(1000) + bytes(500))
    assert rig.take() == OK
    rig.receive(bytes(500) + GET)
    assert rig.take() == OK
    assert rig.calls == []


def test_rest_of_a_small_unread_chunked_body_is_discarded(wire):
    rig = Rig(wire, ok)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab")
    assert rig.take() == OK
    rig.receive(b"c\r\n0\r\n\r\n" + GET)
    assert rig.take() == OK
    assert rig.calls == []


def test_large_unread_body_closes_the_connection(wire):
    rig = Rig(wire, ok)
    rig.receive(post(10 * KIB * KIB) + bytes(KIB))
    assert rig.take() == OK_CLOSE
    assert rig.calls == ["finish_writing"]


def test_large_unread_chunked_body_closes_the_connection(wire):
    rig = Rig(wire, ok)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    assert rig.take() == OK
    piece = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    for _ in range(9):
        rig.receive(piece)
    rig.turn()
    assert rig.calls == ["finish_writing"]


def test_extensions_of_unread_chunks_count(wire):
    rig = Rig(wire, ok)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    assert rig.take() == OK
    for _ in range(65):
        rig.receive(b"1;" + b"a" * 4080 + b"\r\nx\r\n")
    rig.turn()
    assert rig.calls == ["finish_writing"]


def test_malformed_rest_of_an_unread_body_closes_without_a_second_response(wire):
    rig = Rig(wire, ok)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    assert rig.take() == OK
    rig.receive(b"x\r\n" + GET)
    assert rig.take() == b""
    assert rig.calls[-1] in ("close", "finish_writing")
    assert len(rig.requests) == 1


# Half-close


def test_half_closed_client_gets_its_response(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.connection.end_input()
    ok(rig.request)
    assert rig.take() in (OK, OK_CLOSE)
    assert rig.calls == ["close"]


def test_half_closed_client_gets_its_pipelined_responses(wire):
    rig = Rig(wire)
    rig.receive(GET + GET)
    rig.connection.end_input()
    ok(rig.request)
    rig.turn()
    ok(rig.request)
    assert rig.take() in (OK + OK, OK + OK_CLOSE)
    assert rig.calls[-1] == "close"


def test_half_closed_client_gets_responses_beyond_one_iteration(wire):
    rig = Rig(wire, ok)
    count = rig.limits.pipelined_requests + 5
    rig.receive(GET * count)
    rig.connection.end_input()
    assert rig.take().count(b"HTTP/1.1 200 OK") == count
    assert rig.calls[-1] == "close"


def test_half_close_within_a_head_closes_after_many_requests(wire):
    rig = Rig(wire, ok)
    count = rig.limits.pipelined_requests + 1
    rig.receive(GET * count + GET[:5])
    rig.connection.end_input()
    assert rig.take().count(b"HTTP/1.1 200 OK") == count
    assert rig.calls[-1] == "close"


def test_half_close_within_a_body_closes_after_many_requests(wire):
    """The body stayed due for ever, and so did the connection."""
    rig = Rig(wire, ok)
    count = rig.limits.pipelined_requests + 1
    rig.receive(GET * count + post(10) + b"part")
    rig.connection.end_input()
    assert rig.take().count(b"HTTP/1.1 200 OK") == count + 1
    assert rig.calls[-1] == "close"


def test_half_close_within_a_body_is_reported_after_many_requests(wire):
    rig = Rig(wire, lambda request: ok(request) if request.scope["method"] == "GET" else None)
    rig.receive(GET * (rig.limits.pipelined_requests + 1) + post(10) + b"part")
    rig.connection.end_input()
    rig.turn()
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"part", "more_body": True}
    assert drive(rig.request.receive()) == DISCONNECT


def test_slow_half_closed_client_gets_its_responses(wire):
    rig = Rig(wire, ok)
    rig.connection.pause_writing()
    rig.receive(GET * 2)
    rig.connection.end_input()
    rig.turn()
    rig.connection.resume_writing()
    assert rig.take() == OK * 2
    assert rig.calls[-1] == "close"


def test_receive_reports_a_half_close(wire):
    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.receive())
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.connection.end_input()
    assert drive(step) == DISCONNECT


def test_half_close_within_a_body_delivers_the_part_then_disconnects(wire):
    rig = Rig(wire)
    rig.receive(post(10) + b"part")
    rig.connection.end_input()
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"part", "more_body": True}
    assert drive(rig.request.receive()) == DISCONNECT
    ok(rig.request)
    assert rig.take() in (OK, OK_CLOSE)
    assert rig.calls == ["close"]


def test_half_closed_idle_connection_closes(wire):
    rig = Rig(wire, ok)
    rig.receive(GET)
    rig.turn()
    rig.connection.end_input()
    rig.turn()
    assert rig.calls == ["close"]


def test_half_close_within_a_head_closes_the_connection(wire):
    rig = Rig(wire, ok)
    rig.receive(GET[:10])
    rig.connection.end_input()
    rig.turn()
    assert rig.calls == ["close"]
    assert rig.requests == []


def test_stalled_half_closed_stream_is_reported(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    rig.turn()
    rig.connection.end_input()
    rig.tick(1)
    rig.tick(2)
    assert rig.calls == ["left"]


def test_progressing_half_closed_stream_is_not_reported(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    rig.connection.end_input()
    for now in range(1, 6):
        body(rig.request, b"a", more=True)
        rig.tick(now)
    assert rig.calls == []


def test_eof_after_an_unread_body_loses_none_of_it(wire):
    """Bytes the transport has not read yet still reach the application once reading resumes."""
    rig = Rig(wire)
    rig.receive(post(200 * KIB))
    rig.receive(bytes(100 * KIB))
    rig.left = True
    rig.tick(2)
    assert drive(rig.request.receive())["more_body"] is True
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.receive(bytes(100 * KIB))
    assert drive(step) == {"type": "http.request", "body": bytes(100 * KIB), "more_body": False}


def test_eof_after_pipelined_bytes_is_noticed(wire):
    rig = Rig(wire)
    rig.receive(GET + GET * 3000)
    drive(rig.request.receive())
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.left = True
    rig.tick(1)
    assert drive(step) == DISCONNECT


# Lost connections


def test_send_raises_when_the_connection_is_lost(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.connection.lose()
    with pytest.raises(ClientDisconnected) as caught:
        start(rig.request)
    assert isinstance(caught.value, OSError)


def test_pending_sends_raise_when_the_connection_is_lost(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    rig.connection.pause_writing()
    steps = [rig.request.send({"type": "http.response.body", "body": b"a", "more_body": True}) for _ in range(2)]
    for step in steps:
        assert drive(step) is WAITING
    rig.connection.lose()
    for step in steps:
        with pytest.raises(ClientDisconnected):
            drive(step)


def test_pending_receive_disconnects_when_the_connection_is_lost(wire):
    rig = Rig(wire)
    rig.receive(post(2))
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.connection.lose()
    assert drive(step) == DISCONNECT


def test_nothing_is_written_to_a_lost_connection(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, b"a", more=True)
    rig.connection.lose()
    rig.turn()
    rig.tick(100)
    assert (rig.writes, rig.calls) == ([], [])


def test_complete_response_stays_complete_when_the_connection_is_lost(wire):
    rig = Rig(wire, ignores_lost=True)
    rig.receive(post(2, b"connection: close\r\n") + b"ab")
    ok(rig.request)
    rig.turn()
    rig.connection.lose()
    start(rig.request)
    assert rig.request.is_complete()
    assert drive(rig.request.receive()) == DISCONNECT


@pytest.mark.parametrize(
    "last", [{"type": "http.response.pathsend", "path": "/a"}, {"type": "http.response.trailers", "headers": []}]
)
def test_response_to_a_lost_client_ends_with_its_last_message(wire, last):
    rig = Rig(wire, ignores_lost=True)
    rig.receive(GET)
    start(rig.request)
    rig.connection.lose()
    drive(rig.request.send(last))
    assert rig.request.is_complete()


def test_failure_on_a_lost_connection_writes_nothing(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.connection.lose()
    rig.request.fail(500)
    rig.turn()
    assert (rig.writes, rig.calls) == ([], [])


def test_pipelined_requests_of_a_lost_connection_are_not_started(wire):
    rig = Rig(wire)
    rig.receive(GET * 2)
    ok(rig.request)
    rig.connection.lose()
    rig.turn()
    assert len(rig.requests) == 1


# Deadlines


def test_client_that_sends_nothing_is_closed_silently(wire):
    rig = Rig(wire, first_byte_timeout=5)
    rig.tick(5)
    assert rig.calls == []
    rig.tick(6)
    assert (rig.written, rig.calls) == (b"", ["close"])


def test_partial_head_times_out_with_408(wire):
    rig = Rig(wire, head_timeout=5)
    rig.receive(GET[:10])
    rig.tick(5)
    assert rig.take() == b""
    rig.tick(6)
    assert rig.take() == TIMEOUT


def test_slowly_sent_head_gets_no_extra_time(wire):
    rig = Rig(wire, head_timeout=5)
    for now in range(6):
        rig.receive(GET[now : now + 1])
        rig.tick(now)
    assert rig.take() == b""
    rig.tick(6)
    assert rig.take() == TIMEOUT


def test_stalled_body_times_out_with_408(wire):
    rig = Rig(wire, body_timeout=5)
    rig.receive(post(10) + b"part")
    step = rig.request.receive()
    drive(step)
    rig.tick(6)
    assert rig.take() == TIMEOUT
    assert drive(rig.request.receive()) == DISCONNECT


def test_progressing_body_does_not_time_out(wire):
    rig = Rig(wire, body_timeout=5)
    rig.receive(post(10))
    for now in range(4, 28, 4):
        rig.tick(now)
        rig.receive(b"a")
    assert rig.take() == b""
    rig.tick(24 + 6)
    assert rig.take() == TIMEOUT


@pytest.mark.parametrize(("sent", "expected"), [(10, b""), (9, TIMEOUT)], ids=["rate", "below the rate"])
def test_body_must_have_the_minimum_rate(wire, sent, expected):
    rig = Rig(wire, body_rate=10, body_timeout=0)
    rig.receive(post(10000))
    now = 0
    while now < 150 and not rig.is_over():
        drive(rig.request.receive())
        now += 1
        rig.tick(now)
        rig.receive(bytes(sent))
        drive(rig.request.receive())
    assert rig.take() == expected


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("sends", [[5], [1, 1, 1], [2, 2]], ids=str)
def test_connection_closes_after_its_last_request(wire, version, sends):
    get = b"GET / HTTP/%b\r\nhost: a\r\nconnection: keep-alive\r\n\r\n" % version
    rig = Rig(wire, ok, requests=3)
    for count in sends:
        assert not rig.is_over()
        rig.receive(get * count)
        rig.turn()
    answers = rig.take().split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [b"connection: close\r\n" in answer for answer in answers] == [False, False, True]
    assert rig.is_over()


def test_body_may_stall_for_less_than_ten_seconds(wire):
    rig = Rig(wire, body_rate=10)
    rig.receive(post(10000) + bytes(5000))
    drive(rig.request.receive())
    drive(rig.request.receive())
    for now in range(1, 11):
        rig.tick(now)
    assert rig.take() == b""
    rig.tick(11)
    assert rig.take() == TIMEOUT
    assert rig.counted(layout.TIMED_OUT + layout.BODY_RATE) == 1


@pytest.mark.parametrize("arrived", [0, 100 * KIB], ids=["before the body", "above the buffer"])
def test_rate_does_not_count_while_the_application_does_not_read(wire, arrived):
    rig = Rig(wire, body_rate=1000, body_timeout=0)
    rig.receive(post(200 * KIB) + bytes(arrived))
    for now in range(1, 100):
        rig.tick(now)
    assert rig.take() == b""


def test_rate_does_not_count_while_the_server_has_input_to_read(wire):
    rig = Rig(wire, body_rate=1000, body_timeout=0)
    rig.receive(post(200 * KIB))
    drive(rig.request.receive())
    rig.input = True
    for now in range(1, 100):
        rig.tick(now)
    assert rig.take() == b""


def test_rate_does_not_count_before_continue_is_sent(wire):
    rig = Rig(wire, body_rate=1000, body_timeout=0)
    rig.receive(EXPECT)
    for now in range(1, 100):
        rig.tick(now)
    assert rig.take() == b""


def test_body_that_is_discarded_must_have_the_minimum_rate(wire):
    rig = Rig(wire, ok, body_rate=10, body_timeout=0)
    rig.receive(post(1000))
    assert rig.take() == OK
    for now in range(1, 12):
        assert not rig.is_over()
        rig.tick(now)
    assert rig.is_over()


def test_each_body_of_a_connection_has_its_own_rate(wire):
    rig = Rig(wire, body_rate=10, body_timeout=0)
    for _ in range(2):
        rig.receive(post(5))
        drive(rig.request.receive())
        for now in range(10):
            rig.tick(now)
        rig.receive(bytes(5))
        ok(rig.request)
        assert rig.take() == OK


def ticks(rig, *, until):
    for now in range(rig.shared.now + 1, until + 1):
        rig.tick(now)


def timeouts_of_requests(rig):
    return rig.counted(layout.TIMED_OUT + layout.REQUEST)


def test_request_that_takes_too_long_is_answered_503(wire):
    rig = Rig(wire, request_timeout=5)
    rig.receive(GET)
    assert drive(rig.request.receive())["type"] == "http.request"
    ticks(rig, until=5)
    assert (rig.take(), timeouts_of_requests(rig)) == (b"", 0)
    rig.tick(6)
    assert rig.take() == GIVEN_UP
    assert rig.is_over()
    assert "left" in rig.calls
    assert rig.overdue == ["answered"]
    assert timeouts_of_requests(rig) == 1
    assert drive(rig.request.receive()) == DISCONNECT
    assert rig.counted(layout.ACTIVE_REQUESTS) == 0


def test_request_that_ends_in_time_is_not_given_up(wire):
    rig = Rig(wire, request_timeout=5, keep_alive_timeout=60)
    for now in (0, 4, 8, 12):
        ticks(rig, until=now)
        rig.receive(GET)
        rig.tick(now + 1)
        ok(rig.request)
        assert rig.take() == OK
    ticks(rig, until=30)
    assert not rig.is_over()
    assert timeouts_of_requests(rig) == 0


def test_progress_of_a_body_does_not_extend_the_time_of_its_request(wire):
    rig = Rig(wire, request_timeout=5)
    rig.receive(post(10))
    for now in range(1, 7):
        assert not rig.is_over()
        rig.receive(b"a")
        rig.tick(now)
    assert rig.take() == GIVEN_UP


@pytest.mark.parametrize("began", [True, False], ids=["head sent", "head queued"])
def test_response_that_has_begun_is_cut_off(wire, began):
    rig = Rig(wire, request_timeout=5)
    rig.receive(GET)
    ticks(rig, until=5)
    start(rig.request)
    body(rig.request, b"part", more=True)
    if began:
        rig.take()
    rig.tick(6)
    assert rig.calls[-1] == "abort"
    assert rig.overdue == ["cut off"]
    assert b"503" not in rig.take()
    assert timeouts_of_requests(rig) == 1


@pytest.mark.parametrize("fields", [(), (b"connection: close",)], ids=["keep-alive", "close"])
def test_response_that_is_not_read_in_time_is_cut_off(wire, fields):
    rig = Rig(wire, ok, request_timeout=5, write_timeout=0)
    rig.receive(get(*fields))
    rig.turn()
    rig.waiting_bytes = 100
    ticks(rig, until=5)
    assert "abort" not in rig.calls
    rig.tick(6)
    assert rig.calls[-1] == "abort"
    assert rig.overdue == ["cut off"]
    assert timeouts_of_requests(rig) == 1


def test_application_that_goes_on_after_a_timeout_is_followed(wire):
    rig = Rig(wire, request_timeout=5, ignores_lost=True)
    rig.receive(GET)
    ticks(rig, until=6)
    assert rig.take() == GIVEN_UP
    request = rig.request
    assert not request.is_streaming()
    start(request)
    body(request, b"part", more=True)
    assert request.is_streaming()
    body(request)
    assert not request.is_streaming()
    assert rig.take() == b""
    rig.connection.lose()
    assert rig.counted(layout.REQUESTS, layout.CANCELLED - layout.REQUESTS) == 1


def test_application_that_goes_on_after_a_refused_body_is_followed(wire):
    rig = Rig(wire, ignores_lost=True, body_size=9)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    request = rig.request
    rig.receive(b"5\r\nwhole\r\nzz\r\n")
    assert rig.take().startswith(b"HTTP/1.1 400 ")
    assert rig.calls[0] == "left"
    assert drive(request.receive()) == {"type": "http.disconnect"}
    start(request)
    body(request, b"part", more=True)
    assert request.is_streaming()
    assert rig.take() == b""
    rig.connection.lose()
    assert rig.counted(layout.REQUESTS, layout.CANCELLED - layout.REQUESTS) == 1


def test_send_after_a_timeout_fails(wire):
    rig = Rig(wire, request_timeout=5)
    rig.receive(GET)
    ticks(rig, until=6)
    with pytest.raises(ClientDisconnected):
        start(rig.request)


def test_request_whose_client_is_gone_does_not_time_out(wire):
    rig = Rig(wire, request_timeout=5)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, b"part", more=True)
    rig.take()
    rig.connection.end_input()
    ticks(rig, until=2)
    assert rig.request.is_lost()
    ticks(rig, until=10)
    assert timeouts_of_requests(rig) == 0


def test_connection_goes_on_after_a_request_that_ended_just_in_time(wire):
    rig = Rig(wire, request_timeout=5, keep_alive_timeout=60)
    rig.receive(GET * 2)
    ticks(rig, until=5)
    ok(rig.requests[0])
    rig.turn()
    ticks(rig, until=10)
    assert not rig.is_over()
    rig.tick(11)
    assert rig.take() == OK + GIVEN_UP


def test_body_does_not_time_out_while_the_application_does_not_read(wire):
    rig = Rig(wire, body_timeout=5)
    rig.receive(post(200 * KIB))
    rig.receive(bytes(100 * KIB))
    rig.tick(100)
    assert rig.take() == b""
    drive(rig.request.receive())
    rig.tick(105)
    assert rig.take() == b""
    rig.tick(106)
    assert rig.take() == TIMEOUT


def test_stalled_body_aborts_a_started_response(wire):
    rig = Rig(wire, body_timeout=5)
    rig.receive(post(10))
    start(rig.request)
    head = rig.take()
    assert head.startswith(b"HTTP/1.1 200")
    rig.tick(6)
    assert rig.take() == b""
    assert rig.calls[-1] in ("close", "finish_writing", "abort")
    with pytest.raises(ClientDisconnected):
        body(rig.request, b"more", more=True)


def test_input_that_the_server_has_not_read_yet_postpones_a_timeout(wire):
    rig = Rig(wire, ok, keep_alive_timeout=5)
    rig.receive(GET)
    rig.take()
    rig.input = True
    for now in range(1, 60):
        rig.tick(now)
    assert not rig.is_over()
    rig.input = False
    rig.receive(GET)
    assert rig.take() == OK
    for now in range(60, 70):
        rig.tick(now)
    assert rig.is_over()


def test_idle_connection_is_closed_silently(wire):
    rig = Rig(wire, ok, keep_alive_timeout=5)
    rig.receive(GET)
    assert rig.take() == OK
    rig.tick(5)
    assert rig.calls == []
    rig.tick(6)
    assert (rig.take(), rig.calls) == (b"", ["close"])


@pytest.mark.parametrize("rest", [b"\r", b"\r\n"])
def test_empty_line_after_a_request_does_not_extend_keep_alive(wire, rest):
    rig = Rig(wire, ok)
    rig.receive(GET + rest)
    assert rig.take() == OK
    rig.tick(100)
    assert rig.calls[-1:] in (["close"], ["finish_writing"])


def test_running_request_has_no_deadline(wire):
    rig = Rig(wire, first_byte_timeout=1, head_timeout=1, body_timeout=1, keep_alive_timeout=1, write_timeout=1)
    rig.receive(GET)
    rig.tick(1000)
    ok(rig.request)
    assert rig.take() == OK


def test_keep_alive_does_not_expire_with_pipelined_requests_pending(wire):
    rig = Rig(wire, keep_alive_timeout=5, write_timeout=100)
    rig.receive(GET + GET)
    rig.waiting_bytes = 1000
    rig.connection.pause_writing()
    rig.application = ok
    ok(rig.request)
    assert rig.take() == OK
    rig.tick(50)
    assert rig.calls in ([], ["defer"])
    rig.connection.resume_writing()
    assert rig.take() == OK


def test_zero_means_no_deadline(wire):
    rig = Rig(wire, first_byte_timeout=0, head_timeout=0, body_timeout=0, write_timeout=0)
    rig.tick(1000)
    rig.receive(GET[:10])
    rig.tick(2000)
    rig.receive(GET[10:])
    rig.connection.pause_writing()
    rig.waiting_bytes = 10
    rig.tick(3000)
    assert rig.calls == []


def test_reader_that_makes_no_progress_is_reset(wire):
    rig = Rig(wire, write_timeout=5)
    rig.receive(GET)
    start(rig.request)
    rig.turn()
    rig.waiting_bytes = 1000
    rig.connection.pause_writing()
    rig.tick(5)
    assert rig.calls == []
    rig.tick(6)
    assert rig.calls == ["abort"]


def test_nothing_is_written_after_a_reset(wire):
    rig = Rig(wire, write_timeout=5)
    rig.receive(post(2))
    start(rig.request)
    rig.take()
    rig.waiting_bytes = 1000
    rig.connection.pause_writing()
    rig.tick(6)
    assert rig.calls == ["abort"]
    body(rig.request, b"x", more=True)
    rig.request.fail(500)
    assert rig.take() == b""
    assert rig.calls == ["abort"]


def test_progressing_reader_is_not_reset(wire):
    rig = Rig(wire, write_timeout=5)
    rig.receive(GET)
    start(rig.request)
    rig.waiting_bytes = 1000
    rig.connection.pause_writing()
    for now in range(6, 60, 6):
        rig.waiting_bytes -= 10
        rig.tick(now)
    assert rig.calls == []
    rig.tick(100)
    assert rig.calls == ["abort"]


def test_reader_is_not_reset_while_the_kernel_sends(wire):
    """The transport writes again only when the kernel's buffer has much free space."""
    rig = Rig(wire, write_timeout=5)
    rig.receive(GET)
    start(rig.request)
    rig.waiting_bytes = 1000
    rig.unacknowledged = 1000
    rig.connection.pause_writing()
    for now in range(6, 60, 6):
        rig.unacknowledged -= 10
        rig.tick(now)
    assert rig.calls == []
    rig.tick(100)
    assert (rig.calls, rig.cuts) == (["abort"], ["it has read nothing for 5 s"])


def test_progressing_reader_is_not_reset_as_output_grows(wire):
    rig = Rig(wire, write_timeout=5)
    rig.receive(GET)
    start(rig.request)
    rig.waiting_bytes = 1000
    rig.connection.pause_writing()
    for now in range(6, 60, 6):
        body(rig.request, bytes(100), more=True)
        rig.turn()
        rig.waiting_bytes += 100 - 10
        rig.tick(now)
    assert rig.calls == []


def test_request_after_unread_responses_does_not_time_out(wire):
    rig = Rig(wire, ok, keep_alive_timeout=5)
    rig.receive(GET)
    assert rig.take() == OK
    rig.waiting_bytes = 1000
    rig.connection.pause_writing()
    rig.receive(GET)
    rig.tick(7)
    assert rig.calls == []
    rig.waiting_bytes = 0
    rig.connection.resume_writing()
    assert rig.take() == OK


def test_closed_connection_whose_client_does_not_read_is_reset(wire):
    rig = Rig(wire, ok, write_timeout=5)
    rig.waiting_bytes = 1000
    rig.receive(get(b"connection: close"))
    rig.turn()
    assert rig.calls == ["close"]
    rig.tick(6)
    assert rig.calls == ["close", "abort"]


# Lingering close


def test_refused_client_that_still_sends_may_linger(wire):
    rig = Rig(wire, ok)
    rig.receive(b"bad\r\n\r\n" + bytes(100))
    assert rig.take() == BAD_REQUEST
    assert rig.calls == ["finish_writing"]
    rig.receive(bytes(100))
    rig.tick(rig.limits.linger_timeout + 1)
    assert rig.calls == ["finish_writing", "close"]


def test_client_whose_body_is_too_long_may_linger(wire):
    rig = Rig(wire, ok, body_size=100)
    rig.receive(post(1000))
    assert rig.take().startswith(b"HTTP/1.1 413 ")
    assert rig.calls == ["left", "finish_writing"]


def test_lingering_connection_closes_when_the_client_has_ended(wire):
    rig = Rig(wire, ok)
    rig.receive(b"bad\r\n\r\n" + bytes(100))
    rig.turn()
    rig.connection.end_input()
    rig.turn()
    assert rig.calls[-1] == "close"


def test_lingering_connection_keeps_reading(wire):
    rig = Rig(wire, ok)
    rig.receive(post(10 * KIB * KIB) + bytes(100 * KIB))
    rig.turn()
    assert not rig.is_paused()


def test_refused_client_may_linger_while_it_sends(wire):
    rig = Rig(wire, ok)
    rig.receive(b"bad\r\n\r\n" + bytes(100))
    rig.turn()
    for now in range(1, 20):
        rig.receive(bytes(100))
        rig.tick(now)
    assert rig.calls == ["finish_writing"]
    rig.tick(19 + rig.limits.linger_timeout + 1)
    assert rig.calls == ["finish_writing", "close"]


def test_lingering_time_is_limited(wire):
    rig = Rig(wire, ok)
    rig.receive(b"bad\r\n\r\n" + bytes(100))
    rig.turn()
    for now in range(1, rig.limits.linger_total_timeout + 2):
        rig.receive(bytes(100))
        rig.tick(now)
    assert rig.calls == ["finish_writing", "close"]


def test_lingering_bytes_are_limited(wire):
    rig = Rig(wire, ok)
    rig.receive(b"bad\r\n\r\n" + bytes(100))
    rig.turn()
    data = bytes(KIB * KIB)
    for _ in range(rig.limits.linger_size // len(data)):
        rig.receive(data)
    assert rig.calls == ["finish_writing"]
    rig.receive(data)
    assert rig.calls == ["finish_writing", "close"]


def test_close_that_calls_back_closes_once(wire):
    """asyncio's TLS transport reports the end of the stream from within `close`."""

    class Owner(Rig):
        def close(self):
            super().close()
            self.connection.end_input()
            self.connection.flush()
            self.connection.lose()

    rig = Owner(wire, ok)
    rig.receive(get(b"connection: close"))
    assert rig.take() == OK_CLOSE
    assert rig.calls == ["close"]


# Exceptions of one connection


class Broken(Rig):
    """An owner whose transport fails on every call."""

    def write(self, data):
        raise RuntimeError("a broken transport")

    writelines = write

    def close(self):
        raise RuntimeError("a broken transport")

    has_left = close


def test_outbox_continues_after_a_connection_that_raises(wire):
    rigs = [Rig(wire, ok), Broken(wire, ok), Rig(wire, ok)]
    soon = []
    outbox = wire.outbox.Outbox(soon.append)
    for rig in rigs:
        connection = wire.connection.Connection(rig, rig, outbox, rig.shared, None, None)
        rig.connection = connection
        connection.receive(GET)
    for _ in range(2):
        for callback in soon:
            callback()
        assert [rig.written for rig in rigs] == [OK, b"", OK]
    assert [str(error) for rig in rigs for error in rig.failures] == ["a broken transport"]


def test_tick_continues_after_a_connection_that_raises(wire):
    rigs = [Rig(wire, ok), Broken(wire), Rig(wire, ok)]
    rigs[1].receive(post(200000) + bytes(100000))
    for rig in rigs:
        rig.shared.tick(40)
    wire.endpoint.sweep([rig.connection for rig in rigs], 40)
    for rig in rigs:
        rig.turn()
    assert [rigs[0].calls, rigs[2].calls] == [["close"], ["close"]]
    assert [str(error) for error in rigs[1].failures] == ["a broken transport"]


class BrokenLog:
    level_prefix = before_request = after_request = ""

    def batchable(self):
        return False

    def record(self, *arguments):
        raise RuntimeError("a broken filter")


def test_failed_log_line_does_not_affect_the_response(wire):
    rig = Rig(wire, ok, access_log=wire.access_log.AccessLines(BrokenLog(), None))
    rig.receive(GET * 2)
    assert rig.take() == OK * 2
    assert [str(error) for error in rig.failures] == ["a broken filter"] * 2


# Drain


def test_responses_while_draining_announce_the_close(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.shared.draining = True
    rig.connection.drain()
    ok(rig.request)
    assert rig.take() == OK_CLOSE
    assert rig.calls == ["close"]


def test_idle_connection_closes_at_drain(wire):
    rig = Rig(wire, ok)
    rig.receive(GET)
    rig.turn()
    rig.shared.draining = True
    rig.connection.drain()
    rig.turn()
    assert rig.calls == ["close"]


def test_connection_that_has_sent_nothing_closes_at_drain(wire):
    rig = Rig(wire, ok)
    rig.shared.draining = True
    rig.connection.drain()
    rig.turn()
    assert rig.calls == ["close"]


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "kept"])
@pytest.mark.parametrize("begun", [b"G", GET[:-1], b"\r"])
def test_started_head_gets_its_response_at_drain(wire, before, begun):
    rig = Rig(wire, ok)
    rig.receive(before + begun)
    rig.take()
    rig.shared.draining = True
    rig.connection.drain()
    rig.turn()
    assert rig.calls == []
    rig.receive((b"\r\n" + GET if begun == b"\r" else GET)[len(begun) :])
    assert rig.take() == OK_CLOSE
    assert rig.calls == ["close"]


def test_started_head_keeps_its_deadline_at_drain(wire):
    rig = Rig(wire, ok, head_timeout=3)
    rig.receive(GET + GET[:9])
    rig.take()
    rig.shared.draining = True
    rig.connection.drain()
    rig.tick(2)
    assert rig.calls == []
    rig.tick(4)
    assert rig.take().startswith(b"HTTP/1.1 408 ")
    assert [error.status for error in rig.refused] == [408]


def test_empty_line_does_not_count_as_a_head_at_drain(wire):
    rig = Rig(wire, ok)
    rig.receive(GET)
    rig.receive(b"\r")
    rig.shared.draining = True
    rig.connection.drain()
    rig.receive(b"\n")
    rig.connection.drain()
    rig.turn()
    assert rig.calls == ["close"]


def test_deferred_pipelined_requests_are_served_at_drain(wire):
    rig = Rig(wire, ok)
    rig.receive(GET * 33)
    rig.shared.draining = True
    rig.connection.drain()
    assert rig.take() == OK * 32 + OK_CLOSE
    assert rig.calls[-1] == "close"


def test_request_after_a_response_without_close_is_served_at_drain(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request, (b"content-length", b"2"))
    body(rig.request, b"o", more=True)
    rig.shared.draining = True
    rig.connection.drain()
    body(rig.request, b"k")
    assert rig.take() == OK
    assert rig.calls == []
    rig.receive(GET)
    ok(rig.request)
    assert rig.take() == OK_CLOSE
    assert rig.calls == ["close"]


def test_drain_does_not_shorten_lingering(wire):
    rig = Rig(wire)
    rig.receive(b"bad\r\n\r\nmore")
    rig.turn()
    assert rig.calls == ["finish_writing"]
    rig.shared.draining = True
    rig.connection.drain()
    rig.turn()
    assert rig.calls == ["finish_writing"]
    rig.tick(rig.limits.linger_timeout + 1)
    assert rig.calls == ["finish_writing", "close"]


def test_started_response_is_notified_of_the_drain(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, b"a", more=True)
    drive(rig.request.receive())
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.turn()
    rig.shared.draining = True
    rig.connection.drain()
    assert drive(step) == DISCONNECT
    body(rig.request, b"end")
    rig.turn()
    assert rig.written.endswith(b"3\r\nend\r\n0\r\n\r\n")
    assert rig.calls == []  # its head was sent before: it may have been followed by another request
    rig.connection.drain()
    rig.turn()
    assert rig.calls == ["close"]


def test_request_without_a_response_is_not_notified_of_the_drain(wire):
    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.receive())
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.shared.draining = True
    rig.connection.drain()
    rig.turn()
    assert rig.calls == []
    ok(rig.request)
    assert rig.take() == OK_CLOSE


# Failures


def test_failure_before_the_start_is_answered_500(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.request.fail(500)
    assert rig.take() == refusal(500, "Internal Server Error")
    assert rig.calls == ["close"]


def test_failure_with_a_pending_head_is_answered_500(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request, (b"x-secret", b"1"))
    rig.request.fail(500)
    assert rig.take() == refusal(500, "Internal Server Error")
    assert rig.calls == ["close"]


def test_failure_within_a_chunked_body_leaves_it_unfinished(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, b"a", more=True)
    rig.request.fail(500)
    assert rig.take() == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"
    assert rig.calls == ["close"]


def test_failure_within_a_declared_length_leaves_it_short(wire):
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request, (b"content-length", b"5"))
    body(rig.request, b"a", more=True)
    rig.request.fail(500)
    assert rig.take().endswith(b"content-length: 5\r\n\r\na")
    assert rig.calls == ["close"]


def test_failure_within_a_body_delimited_by_close_resets(wire):
    rig = Rig(wire)
    rig.receive(get(version=b"1.0"))
    start(rig.request)
    body(rig.request, b"a", more=True)
    rig.request.fail(500)
    rig.turn()
    assert "abort" in rig.calls
    assert "close" not in rig.calls[: rig.calls.index("abort")]


def test_failure_is_answered_after_earlier_responses(wire):
    rig = Rig(wire, ok)
    rig.receive(GET)
    rig.application = None
    rig.receive(GET + GET)
    rig.request.fail(500)
    assert rig.take() == OK + refusal(500, "Internal Server Error")
    assert len(rig.requests) == 2


def test_failure_of_a_head_request_is_answered_without_a_body(wire):
    rig = Rig(wire)
    rig.receive(get(method=b"HEAD"))
    rig.request.fail(500)
    full = refusal(500, "Internal Server Error")
    assert rig.take() == full[: full.index(b"\r\n\r\n") + 4]


def test_overload_is_answered_503(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.request.fail(503)
    assert rig.take() == refusal(503, "Service Unavailable")


def test_failure_while_the_body_arrives_lingers(wire):
    rig = Rig(wire)
    rig.receive(post(1000))
    rig.request.fail(500)
    assert rig.take() == refusal(500, "Internal Server Error")
    assert rig.calls == ["finish_writing"]


def test_malformed_body_before_the_response_is_answered_400(wire):
    rig = Rig(wire)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.receive(b"x\r\n")
    assert drive(step) == DISCONNECT
    with pytest.raises(ClientDisconnected):
        start(rig.request)
    assert rig.take() == BAD_REQUEST
    assert [error.status for error in rig.refused] == [400]


def test_malformed_body_aborts_a_started_response(wire):
    rig = Rig(wire)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    start(rig.request)
    body(rig.request, b"a", more=True)
    rig.turn()
    rig.receive(b"x\r\n")
    rig.turn()
    assert rig.written.endswith(b"1\r\na\r\n")
    assert rig.calls[-1] in ("close", "finish_writing")


def test_declared_body_above_the_limit_is_refused_without_the_application(wire):
    rig = Rig(wire, ok, body_size=10)
    rig.receive(post(11))
    answer = rig.take()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert rig.requests == []


def test_chunked_body_that_passes_the_limit_is_refused(wire):
    rig = Rig(wire, body_size=10)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n")
    rig.receive(b"2\r\n12\r\n")
    assert rig.take().startswith(b"HTTP/1.1 413 ")


def test_body_of_exactly_the_limit_is_accepted(wire):
    rig = Rig(wire, echo, body_size=2)
    rig.receive(post(2) + b"ok")
    assert rig.take() == OK


def test_every_refusal_has_its_status(wire):
    rig = Rig(wire, head_fields=2)
    rig.receive(get(b"a: 1", b"b: 2"))
    assert rig.take().startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 20, b"414"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 100, b"431"),
        (b"get", b"400"),
        (b"GET / HTTP/1.1\r\nhost: a\n", b"400"),
        (b"\x16\x03\x01\x02\x00", b"400"),
        (b"\rx", b"400"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\rx", b"400"),
        (b"GET / HTTP/1.1\rx", b"400"),
        (b"PROXY TCP6 ", b"400"),
        (b"PRI * HTTP/2.0\r\n", b"505"),
    ],
    ids=["target", "head", "method", "bare LF", "TLS", "CR at first", "CR at the end", "CR", "PROXY", "HTTP/2"],
)
def test_oversized_head_is_refused_before_it_is_complete(wire, data, status):
    rig = Rig(wire, ok, target_size=10, head_size=100)
    rig.receive(data)
    assert rig.take().startswith(b"HTTP/1.1 " + status)


def test_every_response_of_the_server_has_the_default_fields(wire):
    rig = Rig(wire, date=True, server=b"pronghorn", fields=[(b"x-extra", b"1")])
    rig.receive(b"bad\r\n\r\n")
    lines = rig.take().split(b"\r\n")
    assert [line.partition(b":")[0] for line in lines[1:4]] == [b"date", b"server", b"x-extra"]


def test_reading_state_separates_idle_from_a_started_head(wire):
    rig = Rig(wire)
    assert rig.connection.reading == IDLE
    rig.receive(GET[:1])
    assert rig.connection.reading == HEAD
    rig.receive(GET[1:] + GET[:1])
    assert rig.connection.reading == RESPONDING
    ok(rig.request)
    rig.turn()
    assert rig.connection.reading == HEAD


def test_connection_is_idle_without_an_exchange(wire):
    rig = Rig(wire)
    assert rig.connection.is_idle()
    rig.receive(GET)
    assert not rig.connection.is_idle()
    ok(rig.request)
    assert rig.connection.is_idle()


# The sweep over all connections


def test_error_in_the_sweep_ends_only_its_own_connection(wire):
    swept, crashed = [], []

    class Intact(wire.endpoint.Endpoint):
        def on_tick(self, now):
            swept.append(now)

    class Broken(wire.endpoint.Endpoint):
        def on_tick(self, now):
            raise ValueError(now)

        def crash(self, error):
            crashed.append(str(error))

    wire.endpoint.sweep([Broken(), Intact()], 7)
    assert (swept, crashed) == ([7], ["7"])
