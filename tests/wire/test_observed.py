"""Observed requests: their ids, and where their time goes."""

import time

import pytest

from pronghorn.http2_constants import RST_STREAM
from tests.logging.test_access_format import Printed
from tests.support.http2 import EXTENDED, Peer, data, get, headers, post, rst_stream
from tests.support.rig import GET, Rig, body, drive, ok, read_body, start
from tests.support.rig import post as http1_post

# Seconds of a pause. The machine may take longer, but not less.
PAUSE = 0.02

HANDSHAKE = b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


class Reports:
    """The reports of an observer, each with the times at that moment."""

    def __init__(self):
        self.all = []

    def __call__(self, request, status):
        self.all.append((status, request.times()))

    @property
    def statuses(self):
        return [status for status, _ in self.all]

    @property
    def only(self):
        """The times of the only report: all, queue, client and application."""
        ((_, times),) = self.all
        return times


def ids(wire):
    return wire.observed.Observer(b"x-request-id", 0.0, None)


def asking(*values):
    return GET[:-2] + b"".join(b"X-Request-Id: %b\r\n" % value for value in values) + b"\r\n"


def opened(wire, request=GET, application=None, **options):
    """A rig that has received a request, which has an id."""
    rig = Rig(wire, application, observer=ids(wire), **options)
    rig.receive(request)
    return rig


def id_in(answer):
    """The id in the only response in `answer`."""
    (line,) = [line for line in answer.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    return line.partition(b": ")[2].decode()


# Ids


@pytest.mark.parametrize("value", [b"7", b"a" * 128, b"00-ab_c.~!/\\", b"{1}"])
def test_id_of_the_client_is_kept(wire, value):
    rig = opened(wire, asking(value), ok)
    assert rig.request.scope["state"] == {"request_id": value.decode()}
    assert id_in(rig.take()) == value.decode()


@pytest.mark.parametrize(
    "values", [[], [b""], [b"a b"], [b"a" * 129], [b'a"'], [b"a'"], [b"\xe9"], [b"a\tb"], [b"a", b"a"]]
)
def test_other_requests_get_a_new_id(wire, values):
    given = opened(wire, asking(*values)).request.scope["state"]["request_id"]
    assert len(given) == 32
    assert set(given) <= set("0123456789abcdef")


def test_new_ids_are_unique(wire):
    observer = ids(wire)
    rig = Rig(wire, ok, observer=observer)
    for _ in range(1000):
        rig.receive(GET)
        rig.turn()
    assert len({each.scope["state"]["request_id"] for each in rig.requests}) == 1000


def test_state_of_the_lifespan_is_not_changed(wire):
    state = {"pool": 1}
    rig = opened(wire, asking(b"7"), state=state)
    assert rig.request.scope["state"] == {"pool": 1, "request_id": "7"}
    assert state == {"pool": 1}


@pytest.mark.parametrize("name", [b"x-request-id", b"X-Request-ID", bytearray(b"X-REQUEST-ID")])
def test_id_of_the_application_replaces_it(wire, name):
    rig = opened(wire, asking(b"7"))
    start(rig.request, (name, b"own"), (b"content-length", b"0"))
    body(rig.request)
    assert id_in(rig.take()) == "own"


def test_message_of_the_application_is_not_changed(wire):
    rig = opened(wire)
    fields = [(b"content-length", b"0")]
    message = {"type": "http.response.start", "status": 200, "headers": fields}
    drive(rig.request.send(message))
    assert message["headers"] == [(b"content-length", b"0")]


def test_head_may_be_an_iterator(wire):
    rig = opened(wire, asking(b"7"))
    message = {"type": "http.response.start", "status": 200, "headers": iter([(b"content-length", b"0")])}
    drive(rig.request.send(message))
    body(rig.request)
    answer = rig.take()
    assert b"content-length: 0\r\n" in answer
    assert id_in(answer) == "7"


@pytest.mark.parametrize("fields", [[("x", b"y")], [(b"x", "y")], [b"x"], [(1, b"y")], [(b"x", b"a\nb")]])
def test_invalid_head_can_be_replaced(wire, fields):
    rig = opened(wire, asking(b"7"))
    with pytest.raises((TypeError, ValueError)):
        rig.request.send({"type": "http.response.start", "status": 200, "headers": fields}).send(None)
    ok(rig.request)
    assert id_in(rig.take()) == "7"


@pytest.mark.parametrize("status", [500, 503])
def test_response_of_the_server_has_the_id(wire, status):
    rig = opened(wire, asking(b"7"))
    rig.request.fail(status)
    answer = rig.take()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert id_in(answer) == "7"


def test_refusal_of_a_body_has_the_id(wire):
    rig = opened(wire, http1_post(11, b"x-request-id: 7\r\n"), body_size=10)
    answer = rig.take()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert id_in(answer) == "7"


def test_refusal_of_a_head_has_no_id(wire):
    assert b"x-request-id" not in opened(wire, b"GET / HTTP/1.1\r\nx-request-id: 7\r\n\r\n").take()


def test_acceptance_of_a_websocket_has_the_id(wire):
    rig = opened(wire, HANDSHAKE + b"x-request-id: 7\r\n" + KEY)
    (session,) = rig.sessions
    assert session.scope["state"] == {"request_id": "7"}
    drive(session.receive())
    drive(session.send({"type": "websocket.accept"}))
    answer = rig.take()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert id_in(answer) == "7"


def test_acceptance_keeps_the_id_of_the_application(wire):
    rig = opened(wire, HANDSHAKE + b"x-request-id: 7\r\n" + KEY)
    drive(rig.sessions[0].receive())
    drive(rig.sessions[0].send({"type": "websocket.accept", "headers": [(b"X-Request-ID", b"own")]}))
    assert id_in(rig.take()) == "own"


def test_denial_of_a_websocket_has_the_id(wire):
    rig = opened(wire, HANDSHAKE + b"x-request-id: 7\r\n" + KEY)
    drive(rig.sessions[0].receive())
    drive(rig.sessions[0].send({"type": "websocket.close"}))
    answer = rig.take()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert id_in(answer) == "7"


def test_refusal_of_a_handshake_has_the_id(wire):
    rig = opened(wire, HANDSHAKE + b"x-request-id: 7\r\n\r\n")
    answer = rig.take()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert id_in(answer) == "7"
    assert not rig.sessions


def test_responses_of_http2_have_the_id(wire):
    peer = Peer(wire, ok, observer=ids(wire))
    answers = peer.answers(peer.exchange(get(1, b"/", (b"x-request-id", b"7")), get(3)))
    assert (b"x-request-id", b"7") in answers[1].fields
    assert [len(value) for name, value in answers[3].fields if name == b"x-request-id"] == [32]


def test_refusal_of_http2_has_the_id(wire):
    peer = Peer(wire, observer=ids(wire), body_size=10)
    answers = peer.answers(peer.exchange(post(1, (b"x-request-id", b"7")), data(1, b"a" * 11)))
    assert answers[1].status == 413
    assert (b"x-request-id", b"7") in answers[1].fields


def test_websocket_of_http2_has_the_id(wire):
    peer = Peer(wire, observer=ids(wire))
    peer.send(headers(1, *EXTENDED, (b"x-request-id", b"7"), ends=False))
    drive(peer.rig.sessions[0].receive())
    drive(peer.rig.sessions[0].send({"type": "websocket.accept"}))
    assert (b"x-request-id", b"7") in peer.answers(peer.take())[1].fields


def test_id_is_in_the_access_log(wire):
    printed = Printed(wire, access_format="%(request_id)s", application=ok, observer=ids(wire))
    printed.rig.receive(asking(b"7"))
    printed.rig.receive(asking(b"a b"))
    printed.turn()
    first, second = printed.text.split()
    assert first == "7"
    assert second == printed.rig.requests[1].scope["state"]["request_id"]


def test_field_may_have_another_name(wire):
    rig = Rig(wire, ok, observer=wire.observed.Observer(b"x-trace", 0.0, None))
    rig.receive(GET[:-2] + b"X-Trace: 9\r\nx-request-id: 7\r\n\r\n")
    assert b"\r\nx-trace: 9\r\n" in rig.take()


# Times


def watched(wire, application=None, slow=0.0, **options):
    """A rig whose requests are reported, and the reports."""
    reports = Reports()
    rig = Rig(wire, application, observer=wire.observed.Observer(b"", slow, reports), **options)
    return rig, reports


def call(request, application):
    """Call an application for `request`, as a server does."""
    return request.call(application)


def test_requests_without_ids_have_none(wire):
    rig, _ = watched(wire, ok)
    rig.receive(GET)
    assert rig.request.scope["state"] == {}
    assert b"x-request-id" not in rig.take()


def test_fast_request_is_not_reported(wire):
    rig, reports = watched(wire, ok, slow=60.0)
    rig.receive(GET)
    rig.take()
    assert reports.all == []


def test_each_slow_request_is_reported_once(wire):
    rig, reports = watched(wire, ok)
    rig.receive(GET * 3)
    rig.take()
    assert reports.statuses == [200, 200, 200]


def test_parts_add_up(wire):
    rig, reports = watched(wire)
    rig.receive(http1_post(1))
    time.sleep(PAUSE)
    call(rig.request, lambda scope, receive, send: None)
    rig.request.receive().send(None)
    rig.receive(b"a")
    ok(rig.request)
    total, *parts = reports.only
    assert total == pytest.approx(sum(parts))
    assert min(parts) >= 0


def test_time_before_the_call_is_the_queue(wire):
    rig, reports = watched(wire)
    rig.receive(GET)
    time.sleep(PAUSE)
    call(rig.request, lambda scope, receive, send: None)
    ok(rig.request)
    _, queue, client, _ = reports.only
    assert queue >= PAUSE
    assert client == 0


def test_time_of_a_request_that_is_refused_is_the_queue(wire):
    rig, reports = watched(wire)
    rig.receive(GET)
    rig.request.fail(503)
    total, queue, client, application = reports.only
    assert (reports.statuses, total, client, application) == ([503], queue, 0, 0)


def test_other_time_is_the_application(wire):
    rig, reports = watched(wire)
    rig.receive(GET)
    call(rig.request, lambda scope, receive, send: None)
    time.sleep(PAUSE)
    ok(rig.request)
    assert reports.only[3] >= PAUSE


def test_time_until_the_body_arrives_is_the_client(wire):
    rig, reports = watched(wire)
    rig.receive(http1_post(2))
    call(rig.request, lambda scope, receive, send: None)
    for part in (b"a", b"b"):
        rig.request.receive().send(None)
        time.sleep(PAUSE)
        rig.receive(part)
        rig.request.take()
    ok(rig.request)
    total, _, client, application = reports.only
    assert client >= 2 * PAUSE
    assert application < total - 2 * PAUSE


def test_two_waits_at_a_time_count_once(wire):
    rig, reports = watched(wire)
    rig.receive(http1_post(1))
    rig.request.receive().send(None)
    rig.request.receive().send(None)
    time.sleep(PAUSE)
    rig.receive(b"a")
    ok(rig.request)
    total, _, client, _ = reports.only
    assert PAUSE <= client <= total


def test_body_that_nobody_waits_for_is_not_the_client(wire):
    rig, reports = watched(wire)
    rig.receive(http1_post(1))
    time.sleep(PAUSE)
    rig.receive(b"a")
    ok(rig.request)
    assert reports.only[2] == 0


def test_wait_for_the_disconnect_is_not_the_client(wire):
    rig, reports = watched(wire)
    rig.receive(GET)
    drive(rig.request.receive())
    rig.request.receive().send(None)
    time.sleep(PAUSE)
    ok(rig.request)
    assert reports.only[2] == 0


def test_abandoned_wait_ends(wire):
    rig, reports = watched(wire)
    rig.receive(http1_post(1))
    rig.request.receive().send(None).set_result(None)  # as a cancelled future, it calls back
    time.sleep(PAUSE)
    ok(rig.request)
    total, _, client, _ = reports.only
    assert client <= total - PAUSE


@pytest.mark.parametrize("end", ["resume", "throw", "close"])
def test_time_until_the_client_reads_is_the_client(wire, end):
    rig, reports = watched(wire)
    rig.receive(GET)
    start(rig.request)
    rig.connection.pause_writing()
    step = rig.request.send({"type": "http.response.body", "body": b"a", "more_body": True})
    step.send(None)
    time.sleep(PAUSE)
    rig.connection.resume_writing()
    if end == "resume":
        with pytest.raises(StopIteration):
            step.send(None)
    elif end == "throw":
        with pytest.raises(ZeroDivisionError):
            step.throw(ZeroDivisionError())
    else:
        step.close()
    time.sleep(PAUSE)
    body(rig.request)
    total, _, client, _ = reports.only
    assert PAUSE <= client <= total - PAUSE


def test_send_of_a_lost_client_is_not_the_client(wire):
    rig, reports = watched(wire, ignores_lost=True)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, b"a", more=True)
    rig.connection.lose()
    drive(rig.request.send({"type": "http.response.body", "body": b"a", "more_body": True}))
    assert rig.request.times()[2] == 0
    assert reports.statuses == [200]


def test_client_that_leaves_before_the_response_is_reported(wire):
    rig, reports = watched(wire)
    rig.receive(GET)
    rig.connection.lose()
    assert reports.statuses == [0]


def test_request_that_is_given_up_is_reported_once(wire):
    rig, reports = watched(wire)
    rig.receive(GET)
    rig.connection.end_input()
    rig.request.abandon()
    rig.take()
    rig.connection.lose()
    assert reports.statuses == [0]


def test_client_that_leaves_after_the_response_is_reported_once(wire):
    rig, reports = watched(wire, ok)
    rig.receive(GET)
    rig.take()
    rig.connection.lose()
    assert reports.statuses == [200]


def test_body_that_times_out_is_reported(wire):
    rig, reports = watched(wire, body_timeout=1)
    rig.receive(http1_post(1))
    rig.request.receive().send(None)
    for now in (1, 2, 3):
        rig.tick(now)
    rig.connection.lose()
    assert reports.statuses == [408]


@pytest.mark.parametrize("accepts", [True, False])
def test_websockets_are_not_reported(wire, accepts):
    rig, reports = watched(wire)
    rig.receive(HANDSHAKE + KEY)
    drive(rig.sessions[0].receive())
    drive(rig.sessions[0].send({"type": "websocket.accept" if accepts else "websocket.close"}))
    rig.take()
    rig.connection.lose()
    assert reports.all == []


def test_streams_of_http2_are_reported(wire):
    reports = Reports()

    async def application(request):
        if await read_body(request) is not None:
            ok(request)

    peer = Peer(wire, application, observer=wire.observed.Observer(b"", 0.0, reports))
    peer.exchange(post(1), get(3))
    assert reports.statuses == [200]
    time.sleep(PAUSE)
    peer.exchange(data(1, b"a", ends=True))
    assert reports.statuses == [200, 200]
    assert reports.all[1][1][2] >= PAUSE


def test_stream_that_is_reset_is_reported(wire):
    reports = Reports()
    peer = Peer(wire, observer=wire.observed.Observer(b"", 0.0, reports))
    peer.exchange(get(1))
    assert RST_STREAM not in [each.kind for each in peer.exchange(rst_stream(1, 8))]
    assert reports.statuses == [0]
