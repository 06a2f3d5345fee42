"""The counters of the wire, in both forms: for single calls, and for the requests of a connection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.constants import COMMON_METHODS
from pronghorn.http2_constants import CANCEL
from pronghorn.metrics import layout, page
from pronghorn.metrics.layout import BOUNDS, METHODS, STATUSES
from tests.support.forms import load_form
from tests.support.http2 import EXTENDED, Peer, get, headers, rst_stream
from tests.support.raw_websocket import handshake
from tests.support.rig import Rig, body, drive, echo, ok, start

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def requests(rig: Rig) -> dict[tuple[str, str], int]:
    """The requests that have ended, by method and status."""
    counted = {}
    for row, method in enumerate(METHODS):
        for column, status in enumerate(STATUSES):
            if count := rig.counted(layout.REQUESTS + row * len(STATUSES) + column):
                counted[method, status] = count
    return counted


def seen(rig: Rig, histogram: int) -> int:
    return rig.counted(histogram, len(BOUNDS) + 1)


@given(seconds=st.lists(st.floats(0, 20) | st.sampled_from([bound / 1e9 for bound in BOUNDS]), max_size=5))
def test_forms_observe_alike(seconds: list[float]) -> None:
    seen = []
    for form in ("compiled", "interpreted"):
        cells = page.allocate()
        observer = load_form(form).kernels.Cells(cells)
        for each in seconds:
            observer.observe(layout.DURATION, each)
        seen.append(cells.tolist())
    assert seen[0] == seen[1]


@pytest.mark.parametrize("method", [*COMMON_METHODS, "QUERY", "get"])
def test_method_has_its_index(wire: Any, method: str) -> None:
    given = method.encode()
    index = wire.kernels.method_index(wire.kernels.method_text(given, 0, len(given)))
    assert METHODS[index] == (method if method in COMMON_METHODS else "_OTHER")
    assert wire.kernels.method_index("".join(method)) == index


def test_request_is_counted_when_its_response_is_complete(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(GET)
    assert rig.counted(layout.ACTIVE_REQUESTS) == 1
    start(rig.request)
    body(rig.request, b"part", more=True)
    assert requests(rig) == {}
    body(rig.request)
    assert rig.counted(layout.ACTIVE_REQUESTS) == 0
    assert requests(rig) == {("GET", "2xx"): 1}
    assert seen(rig, layout.DURATION) == seen(rig, layout.TIME_TO_FIRST_BYTE) == 1


def test_probe_is_counted_apart(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(GET)
    rig.request.set_apart()
    assert (rig.counted(layout.ACTIVE_REQUESTS), rig.counted(layout.PROBES)) == (0, 1)
    ok(rig.request)
    assert (requests(rig), rig.shared.total_requests) == ({}, 0)
    assert seen(rig, layout.DURATION) == rig.counted(layout.CANCELLED) == rig.counted(layout.ACTIVE_REQUESTS) == 0


def test_first_byte_is_earlier_than_the_last(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, b"part", more=True)
    rig.take()
    body(rig.request)
    total = len(BOUNDS) + 1
    assert rig.counted(layout.TIME_TO_FIRST_BYTE + total) < rig.counted(layout.DURATION + total)


@pytest.mark.parametrize(("status", "shown"), [(200, "2xx"), (304, "3xx"), (404, "4xx"), (599, "5xx")])
def test_status_is_counted_by_its_class(wire: Any, status: int, shown: str) -> None:
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request, status=status)
    body(rig.request)
    assert requests(rig) == {("GET", shown): 1}


def test_bytes_are_counted(wire: Any) -> None:
    rig = Rig(wire, echo)
    sent = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"
    rig.receive(sent)
    written = rig.take()
    assert written.endswith(b"hello")
    assert rig.counted(layout.RECEIVED) == len(sent)
    assert rig.counted(layout.SENT) == len(written)


def test_bytes_of_a_file_are_counted(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request, (b"content-length", b"1000"))
    rig.request.begin_file(1000)
    head = rig.take()
    rig.request.file_sent(1000)
    rig.request.end_file(True, False)
    rig.turn()
    assert rig.counted(layout.SENT) == len(head) + 1000


def test_client_that_leaves_before_the_response_is_counted(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(GET)
    rig.connection.lose()
    assert requests(rig) == {("GET", "none"): 1}
    assert rig.counted(layout.CANCELLED) == 1
    assert seen(rig, layout.DURATION) == 0


def test_client_that_leaves_within_the_response_is_counted(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(GET)
    start(rig.request)
    body(rig.request, b"part", more=True)
    rig.connection.lose()
    assert requests(rig) == {("GET", "2xx"): 1}
    assert rig.counted(layout.CANCELLED) == 1


def test_failed_application_is_counted_as_500(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(GET)
    rig.request.fail(500)
    rig.turn()
    assert requests(rig) == {("GET", "5xx"): 1}
    assert rig.counted(layout.CANCELLED) == 0


def test_refused_body_is_counted_as_413(wire: Any) -> None:
    rig = Rig(wire, body_size=10)
    rig.receive(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n")
    rig.turn()
    rig.connection.lose()
    assert requests(rig) == {("PUT", "4xx"): 1}


def test_head_that_cannot_be_parsed_is_no_request(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(b"GET / HTTP/1.1\r\n\r\n")
    rig.turn()
    assert requests(rig) == {}
    assert [error.status for error in rig.refused] == [400]


def test_accepted_websocket_is_counted_as_101(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(handshake())
    drive(rig.sessions[0].receive())
    drive(rig.sessions[0].send({"type": "websocket.accept"}))
    assert requests(rig) == {("GET", "1xx"): 1}
    rig.connection.lose()
    assert rig.counted(layout.ACTIVE_REQUESTS) == 0
    assert rig.counted(layout.CANCELLED) == 0


def test_denied_websocket_is_counted_by_its_status(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(handshake())
    drive(rig.sessions[0].receive())
    drive(rig.sessions[0].send({"type": "websocket.close"}))
    assert requests(rig) == {("GET", "4xx"): 1}


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"", layout.FIRST_BYTE),
        (b"GET / HT", layout.HEAD),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n", layout.BODY),
    ],
)
def test_slow_client_is_counted_by_the_timeout(wire: Any, sent: bytes, kind: int) -> None:
    rig = Rig(wire)
    if sent:
        rig.receive(sent)
    rig.tick(100)
    assert [rig.counted(layout.TIMED_OUT + each) for each in range(len(layout.TIMEOUTS))].index(1) == kind


def test_idle_client_is_counted(wire: Any) -> None:
    rig = Rig(wire, ok)
    rig.receive(GET)
    rig.turn()
    rig.tick(100)
    assert rig.counted(layout.TIMED_OUT + layout.KEEP_ALIVE) == 1


def test_nothing_is_counted_without_metrics(wire: Any) -> None:
    rig = Rig(wire, ok, metrics=None)
    rig.receive(GET)
    rig.turn()
    assert not any(rig.page)
    assert rig.request.began == 0


# Streams of HTTP/2


def test_stream_is_counted_when_its_response_is_complete(wire: Any) -> None:
    peer = Peer(wire, ok)
    peer.exchange(get())
    assert requests(peer.rig) == {("GET", "2xx"): 1}
    assert peer.rig.counted(layout.ACTIVE_REQUESTS) == 0
    assert seen(peer.rig, layout.DURATION) == 1


@pytest.mark.parametrize("has_begun", [False, True])
def test_stream_that_the_client_resets_is_counted(wire: Any, has_begun: bool) -> None:
    peer = Peer(wire)
    peer.exchange(get())
    if has_begun:
        start(peer.rig.request)
        body(peer.rig.request, b"part", more=True)
        peer.take()
    peer.exchange(rst_stream(1, CANCEL))
    assert requests(peer.rig) == {("GET", "2xx" if has_begun else "none"): 1}
    assert peer.rig.counted(layout.CANCELLED) == 1
    assert peer.rig.counted(layout.ACTIVE_REQUESTS) == 0


def test_streams_of_a_lost_connection_are_counted(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(get(1) + get(3))
    peer.rig.connection.lose()
    assert requests(peer.rig) == {("GET", "none"): 2}
    assert peer.rig.counted(layout.ACTIVE_REQUESTS) == 0


def test_failed_application_of_a_stream_is_counted_as_500(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(get())
    peer.rig.request.fail(500)
    peer.take()
    assert requests(peer.rig) == {("GET", "5xx"): 1}


def test_websocket_on_a_stream_is_counted_as_200(wire: Any) -> None:
    peer = Peer(wire)
    peer.exchange(headers(1, *EXTENDED, ends=False))
    drive(peer.rig.sessions[0].receive())
    drive(peer.rig.sessions[0].send({"type": "websocket.accept"}))
    peer.rig.connection.lose()
    assert requests(peer.rig) == {("CONNECT", "2xx"): 1}
    assert peer.rig.counted(layout.CANCELLED) == 0


def test_bytes_of_frames_are_counted(wire: Any) -> None:
    peer = Peer(wire, ok)
    before = peer.rig.counted(layout.RECEIVED), peer.rig.counted(layout.SENT)
    sent = get()
    peer.rig.receive(sent)
    written = peer.rig.take()
    assert (peer.rig.counted(layout.RECEIVED), peer.rig.counted(layout.SENT)) == (
        before[0] + len(sent),
        before[1] + len(written),
    )
