"""One ASGI exchange: the application's scope, `receive()` and `send()`."""

import http
from collections.abc import Mapping

import pytest

from pronghorn.errors import ClientDisconnected
from tests.support.rig import CONTINUE, GET, OK, WAITING, Rig, body, drive, ok, post, start

DISCONNECT = {"type": "http.disconnect"}
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
EXTENSIONS = ("http.response.trailers", "http.response.early_hint")
FILES = ("http.response.pathsend", "http.response.zerocopysend")


def scope_of(wire, data=GET, **options):
    rig = Rig(wire, **options)
    rig.receive(data)
    return rig.request.scope


def started(wire, *headers, data=GET, **more):
    """A rig whose request has its response started."""
    rig = Rig(wire)
    rig.receive(data)
    start(rig.request, *headers, **more)
    return rig


# The scope


def test_scope_has_every_key_with_its_value(wire):
    scope = scope_of(
        wire, b"GET /a%20b/%E2%82%AC?q=%41&r HTTP/1.1\r\nHost: a:80\r\nX-A:  1 \r\nx-a: 2\r\n\r\n", scheme="https"
    )
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "https",
        "method": "GET",
        "root_path": "",
        "path": "/a b/€",
        "raw_path": b"/a%20b/%E2%82%AC",
        "query_string": b"q=%41&r",
        "headers": [(b"host", b"a:80"), (b"x-a", b"1"), (b"x-a", b"2")],
        "state": {},
        "extensions": {name: {} for name in EXTENSIONS},
    }


def test_scope_has_exact_types(wire):
    scope = scope_of(wire, b"GET /a?b HTTP/1.1\r\nhost: a\r\n\r\n", state={"a": 1}, root_path="/root")
    types = {
        "type": str,
        "asgi": dict,
        "http_version": str,
        "server": tuple,
        "client": tuple,
        "scheme": str,
        "method": str,
        "root_path": str,
        "path": str,
        "raw_path": bytes,
        "query_string": bytes,
        "headers": list,
        "state": dict,
        "extensions": dict,
    }
    assert type(scope) is dict
    assert {key: type(value) for key, value in scope.items()} == types
    assert [type(part) for pair in scope["headers"] for part in (pair, *pair)] == [tuple, bytes, bytes]
    assert [type(part) for part in scope["client"]] == [str, int]


def test_scope_of_http10_has_no_extensions(wire):
    scope = scope_of(wire, b"GET / HTTP/1.0\r\n\r\n")
    assert scope["http_version"] == "1.0"
    assert scope["extensions"] == {}


def test_sendfile_adds_the_file_extensions(wire):
    assert scope_of(wire, sendfile=True)["extensions"] == {name: {} for name in EXTENSIONS + FILES}
    http10 = scope_of(wire, b"GET / HTTP/1.0\r\n\r\n", sendfile=True)
    assert http10["extensions"] == {name: {} for name in FILES}


def test_client_may_be_unknown(wire):
    assert scope_of(wire, client=None)["client"] is None


@pytest.mark.parametrize("key", ["asgi", "extensions", "state", "headers"])
def test_mutations_do_not_leak_into_the_next_request(wire, key):
    rig = Rig(wire, state={"a": 1})
    rig.receive(GET)
    before = {**rig.request.scope}
    expected = before[key].copy()
    if key == "headers":
        before[key].append((b"x", b"y"))
    else:
        before[key]["x"] = "y"
        before[key].pop(next(iter(expected)))
    ok(rig.request)
    rig.receive(GET)
    assert rig.request.scope[key] == expected
    assert rig.request.scope[key] is not before[key]


def test_keys_added_to_a_scope_do_not_leak(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.request.scope["path"] = "/changed"
    rig.request.scope["user"] = object()
    ok(rig.request)
    rig.receive(GET)
    assert rig.request.scope["path"] == "/"
    assert "user" not in rig.request.scope


def test_state_is_a_shallow_copy(wire):
    pool = []
    state = {"pool": pool}
    scope = scope_of(wire, state=state)
    assert scope["state"]["pool"] is pool
    scope["state"]["own"] = 1
    assert state == {"pool": pool}


def test_root_path_is_part_of_path_and_raw_path(wire):
    scope = scope_of(wire, b"GET /a%20b HTTP/1.1\r\nhost: a\r\n\r\n", root_path="/root")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/root", "/root/a b", b"/root/a%20b")


def test_asterisk_form_has_no_root_path(wire):
    scope = scope_of(wire, b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", root_path="/root")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/root", "*", b"*")


def test_changing_the_scope_does_not_change_the_framing(wire):
    rig = Rig(wire)
    rig.receive(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
    rig.request.scope["method"] = "GET"
    ok(rig.request)
    assert rig.take() == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


# receive()


def test_request_without_a_body_has_one_empty_message(wire):
    rig = Rig(wire)
    rig.receive(GET)
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"", "more_body": False}


def test_message_is_a_plain_dict_the_application_may_keep(wire):
    rig = Rig(wire)
    rig.receive(post(2) + b"ok")
    message = drive(rig.request.receive())
    assert (type(message), type(message["body"]), type(message["more_body"])) == (dict, bytes, bool)
    message.clear()


def test_body_is_received_in_parts(wire):
    rig = Rig(wire)
    rig.receive(post(4) + b"ab")
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"ab", "more_body": True}
    rig.receive(b"cd")
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"cd", "more_body": False}


def test_small_parts_are_joined_into_one_message(wire):
    rig = Rig(wire)
    rig.receive(post(4) + b"a")
    rig.receive(b"b")
    rig.receive(b"cd")
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"abcd", "more_body": False}


def test_large_parts_are_one_message_each(wire):
    rig = Rig(wire)
    large = bytes(40000)
    rig.receive(post(80003) + large)
    rig.receive(large)
    rig.receive(b"end")
    assert drive(rig.request.receive()) == {"type": "http.request", "body": large, "more_body": True}
    assert rig.request.buffered == 40003
    assert drive(rig.request.receive()) == {"type": "http.request", "body": large, "more_body": True}
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"end", "more_body": False}
    assert rig.request.buffered == 0


def test_end_that_arrives_later_is_a_separate_message(wire):
    rig = Rig(wire)
    rig.receive(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
    assert drive(rig.request.receive())["more_body"] is True
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.receive(b"0\r\n\r\n")
    assert drive(step) == {"type": "http.request", "body": b"", "more_body": False}


def test_receive_after_the_body_waits_for_the_disconnect(wire):
    rig = Rig(wire)
    rig.receive(post(2) + b"ok")
    drive(rig.request.receive())
    step = rig.request.receive()
    assert drive(step) is WAITING
    rig.connection.lose()
    assert drive(step) == DISCONNECT


def test_pipelined_bytes_are_not_part_of_the_body(wire):
    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.receive())
    step = rig.request.receive()
    drive(step)
    rig.receive(post(2) + b"ok")
    assert not step.close()
    assert drive(rig.request.receive()) is WAITING


def test_receive_after_the_response_always_disconnects(wire):
    rig = Rig(wire, ok)
    rig.receive(post(2) + b"ok")
    assert [drive(rig.request.receive()) for _ in range(3)] == [DISCONNECT] * 3


def test_waiting_receive_disconnects_when_the_response_is_complete(wire):
    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.receive())
    step = rig.request.receive()
    assert drive(step) is WAITING
    ok(rig.request)
    assert drive(step) == DISCONNECT


def test_part_of_a_body_is_received_before_the_disconnect(wire):
    rig = Rig(wire)
    rig.receive(post(4) + b"ab")
    rig.connection.lose()
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"ab", "more_body": True}
    assert [drive(rig.request.receive()) for _ in range(2)] == [DISCONNECT] * 2


def test_whole_body_is_received_before_the_disconnect(wire):
    rig = Rig(wire)
    rig.receive(post(2) + b"ab")
    rig.connection.lose()
    assert drive(rig.request.receive()) == {"type": "http.request", "body": b"ab", "more_body": False}
    assert drive(rig.request.receive()) == DISCONNECT


def test_two_receives_share_the_messages(wire):
    rig = Rig(wire)
    rig.receive(post(4))
    first, second = rig.request.receive(), rig.request.receive()
    assert (drive(first), drive(second)) == (WAITING, WAITING)
    rig.receive(b"ab")
    assert drive(first)["body"] == b"ab"
    assert drive(second) is WAITING
    rig.receive(b"cd")
    assert drive(second) == {"type": "http.request", "body": b"cd", "more_body": False}


def test_receive_does_nothing_before_it_is_awaited(wire):
    rig = Rig(wire)
    rig.receive(post(2, b"expect: 100-continue\r\n"))
    rig.request.receive()
    assert CONTINUE not in rig.take()


# send()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.body", "body": b"a"},
        {"type": "http.response.trailers", "headers": []},
        {"type": "http.response.pathsend", "path": "/a"},
        {"type": "http.response.zerocopysend", "file": None},
        {"type": "http.response.debug", "info": {}},
        {"type": "websocket.accept"},
        {"type": "http.request"},
        {"type": "unknown"},
        {"type": None},
    ],
)
def test_message_before_the_start_is_refused(wire, message):
    rig = Rig(wire)
    rig.receive(GET)
    with pytest.raises(RuntimeError):
        drive(rig.request.send(message))
    ok(rig.request)
    assert rig.take() == OK


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.trailers", "headers": []},
        {"type": "http.response.debug", "info": {}},
        {"type": "websocket.send"},
    ],
)
def test_message_out_of_order_after_the_start_is_refused(wire, message):
    rig = started(wire, (b"content-length", b"2"))
    with pytest.raises(RuntimeError):
        drive(rig.request.send(message))
    body(rig.request, b"ok")
    assert rig.take() == OK


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.body", "body": b"a"},
        {"type": "http.response.body"},
        {"type": "http.response.trailers", "headers": []},
        {"type": "http.response.early_hint", "links": []},
        {"type": "http.response.pathsend", "path": "/a"},
    ],
)
def test_message_after_a_complete_response_is_refused(wire, message):
    rig = Rig(wire, ok)
    rig.receive(GET)
    with pytest.raises(RuntimeError):
        drive(rig.request.send(message))
    assert rig.take() == OK


@pytest.mark.parametrize("message", [{}, {"status": 200}])
def test_message_without_a_type_is_refused(wire, message):
    rig = Rig(wire)
    rig.receive(GET)
    with pytest.raises(KeyError):
        drive(rig.request.send(message))


def test_start_without_a_status_is_refused(wire):
    rig = Rig(wire)
    rig.receive(GET)
    with pytest.raises(KeyError):
        drive(rig.request.send({"type": "http.response.start"}))
    assert not rig.request.is_started()


@pytest.mark.parametrize("status", [99, 100, 101, 199, 600, -1, "200", b"200", None, 200.5])
def test_invalid_status_is_refused(wire, status):
    rig = Rig(wire)
    rig.receive(GET)
    with pytest.raises((ValueError, TypeError)):
        start(rig.request, status=status)
    ok(rig.request)
    assert rig.take() == OK


def test_status_may_be_an_http_status(wire):
    rig = started(wire, (b"content-length", b"2"), status=http.HTTPStatus.OK)
    body(rig.request, b"ok")
    assert rig.take() == OK


def test_send_does_nothing_before_it_is_awaited(wire):
    rig = Rig(wire)
    rig.receive(GET)
    rig.request.send({"type": "http.response.start", "status": 200})
    assert not rig.request.is_started()
    assert rig.take() == b""


def test_headers_and_body_are_optional(wire):
    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.send({"type": "http.response.start", "status": 200}))
    drive(rig.request.send({"type": "http.response.body"}))
    assert rig.take() == CHUNKED_HEAD + b"0\r\n\r\n"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))])
def test_body_may_be_any_bytes_like_object(wire, kind):
    rig = started(wire, (b"content-length", b"2"))
    drive(rig.request.send({"type": "http.response.body", "body": kind(b"ok")}))
    assert rig.take() == OK


def test_body_may_be_a_subclass_of_bytes(wire):
    class Body(bytes):
        pass

    rig = started(wire, (b"content-length", b"2"))
    drive(rig.request.send({"type": "http.response.body", "body": Body(b"ok")}))
    assert rig.take() == OK


def test_mutable_body_is_copied(wire):
    rig = started(wire, (b"content-length", b"2"))
    data = bytearray(b"ok")
    drive(rig.request.send({"type": "http.response.body", "body": data}))
    data[:] = b"no"
    assert rig.take() == OK


@pytest.mark.parametrize("data", ["ok", None, 5, [1, 2], object()])
def test_body_that_is_not_bytes_is_refused(wire, data):
    rig = started(wire, (b"content-length", b"2"))
    with pytest.raises(TypeError):
        drive(rig.request.send({"type": "http.response.body", "body": data}))
    body(rig.request, b"ok")
    assert rig.take() == OK


def test_message_may_be_a_subclass_of_dict(wire):
    class Message(dict):
        pass

    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.send(Message(type="http.response.start", status=200, headers=[(b"content-length", b"2")])))
    drive(rig.request.send(Message(type="http.response.body", body=b"ok")))
    assert rig.take() == OK


def test_message_may_be_any_mapping(wire):
    class Message(Mapping):
        def __init__(self, **items):
            self._items = items

        def __getitem__(self, key):
            return self._items[key]

        def __iter__(self):
            return iter(self._items)

        def __len__(self):
            return len(self._items)

    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.send(Message(type="http.response.start", status=200, headers=[(b"content-length", b"2")])))
    drive(rig.request.send(Message(type="http.response.body", body=b"ok")))
    assert rig.take() == OK


@pytest.mark.parametrize("message", [None, 5, "http.response.start", [("a",)]])
def test_message_that_is_not_a_mapping_is_refused(wire, message):
    rig = Rig(wire)
    rig.receive(GET)
    with pytest.raises((TypeError, ValueError, KeyError)):
        drive(rig.request.send(message))
    ok(rig.request)
    assert rig.take() == OK


def test_unknown_keys_are_ignored(wire):
    rig = Rig(wire)
    rig.receive(GET)
    fields = [(b"content-length", b"2")]
    drive(rig.request.send({"type": "http.response.start", "status": 200, "headers": fields, "x": 1}))
    drive(rig.request.send({"type": "http.response.body", "body": b"ok", "more_body": False, "x": object()}))
    assert rig.take() == OK


def test_message_is_not_changed(wire):
    rig = Rig(wire)
    rig.receive(GET)
    message = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"2")]}
    before = {**message, "headers": [*message["headers"]]}
    drive(rig.request.send(message))
    body(rig.request, b"ok")
    assert message == before


@pytest.mark.parametrize(
    "headers",
    [
        lambda: [(b"content-length", b"2")],
        lambda: ((b"content-length", b"2"),),
        lambda: [[b"content-length", b"2"]],
        lambda: {b"content-length": b"2"}.items(),
        lambda: iter([(b"Content-Length", b"2")]),
        lambda: (pair for pair in [(b"content-length", b"2")]),
    ],
    ids=["list", "tuple", "lists", "items", "iterator", "generator"],
)
def test_headers_may_be_any_iterable(wire, headers):
    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.send({"type": "http.response.start", "status": 200, "headers": headers()}))
    body(rig.request, b"ok")
    assert rig.take() == OK


def test_headers_changed_after_the_start_are_ignored(wire):
    rig = Rig(wire)
    rig.receive(GET)
    fields = [(b"content-length", b"2")]
    drive(rig.request.send({"type": "http.response.start", "status": 200, "headers": fields}))
    fields.append((b"x-late", b"1"))
    body(rig.request, b"ok")
    assert rig.take() == OK


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [("x", b"1")],
        [(b"x", "1")],
        [(b"x", b"a\r\nset-cookie: b")],
        [(b"x", b"a\nb")],
        [(b"x\r\ny", b"1")],
        [(b"x", b"\x00")],
        [(b"", b"1")],
        [(b"x y", b"1")],
        [(b"x",)],
        [(b"x", b"1", b"2")],
        5,
    ],
)
def test_invalid_headers_are_refused(wire, headers):
    rig = Rig(wire)
    rig.receive(GET)
    with pytest.raises((TypeError, ValueError)):
        drive(rig.request.send({"type": "http.response.start", "status": 200, "headers": headers}))
    ok(rig.request)
    assert rig.take() == OK


def test_send_to_a_lost_client_raises(wire):
    rig = started(wire)
    rig.connection.lose()
    for message in ({"type": "http.response.body", "body": b"a"}, {"type": "http.response.start", "status": 200}):
        with pytest.raises(ClientDisconnected):
            drive(rig.request.send(message))


def test_send_after_a_complete_response_to_a_lost_client_raises(wire):
    rig = Rig(wire, ok)
    rig.receive(GET)
    rig.connection.lose()
    with pytest.raises((ClientDisconnected, RuntimeError)):
        body(rig.request, b"a")


# Lengths


@pytest.mark.parametrize("data", [b"long", b"x"])
def test_body_of_the_wrong_length_is_refused(wire, data):
    rig = started(wire, (b"content-length", b"2"))
    with pytest.raises(ValueError):
        body(rig.request, data)
    assert not rig.request.is_complete()


def test_body_of_declared_length_may_come_in_parts(wire):
    rig = started(wire, (b"content-length", b"2"))
    body(rig.request, b"o", more=True)
    body(rig.request, b"k", more=True)
    body(rig.request)
    assert rig.take() == OK


# Trailers


def test_trailers_follow_the_last_chunk(wire):
    rig = started(wire, trailers=True)
    body(rig.request, b"ok")
    assert not rig.request.is_complete()
    drive(rig.request.send({"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")]}))
    assert rig.request.is_complete()
    assert rig.take() == CHUNKED_HEAD + b"2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"


def test_trailers_may_come_in_parts(wire):
    rig = started(wire, trailers=True)
    body(rig.request)
    drive(rig.request.send({"type": "http.response.trailers", "headers": [(b"a", b"1")], "more_trailers": True}))
    assert not rig.request.is_complete()
    drive(rig.request.send({"type": "http.response.trailers", "headers": iter([(b"b", b"2")])}))
    assert rig.take() == CHUNKED_HEAD + b"0\r\na: 1\r\nb: 2\r\n\r\n"


def test_trailers_may_be_empty(wire):
    rig = started(wire, trailers=True)
    body(rig.request)
    drive(rig.request.send({"type": "http.response.trailers"}))
    assert rig.take() == CHUNKED_HEAD + b"0\r\n\r\n"


def test_unannounced_trailers_are_refused(wire):
    rig = started(wire)
    body(rig.request, b"a", more=True)
    with pytest.raises(RuntimeError):
        drive(rig.request.send({"type": "http.response.trailers", "headers": []}))


@pytest.mark.parametrize("name", [b"content-length", b"Transfer-Encoding", b"host", b"trailer", b"set-cookie"])
def test_forbidden_trailers_are_refused(wire, name):
    rig = started(wire, trailers=True)
    body(rig.request)
    with pytest.raises(ValueError):
        drive(rig.request.send({"type": "http.response.trailers", "headers": [(name, b"1")]}))
    assert not rig.request.is_complete()


def test_connection_is_reused_after_trailers(wire):
    rig = started(wire, trailers=True)
    body(rig.request)
    drive(rig.request.send({"type": "http.response.trailers", "headers": []}))
    rig.receive(GET)
    rig.turn()
    assert len(rig.requests) == 2


# Early hints and debug


HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"
HINT_MESSAGE = {"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]}


def test_early_hint_is_sent_before_the_start(wire):
    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.send(HINT_MESSAGE))
    assert rig.take() == HINT
    ok(rig.request)
    assert rig.take() == OK


def test_early_hint_after_the_start_is_sent_before_the_head(wire):
    rig = started(wire, (b"content-length", b"2"))
    drive(rig.request.send(HINT_MESSAGE))
    body(rig.request, b"ok")
    assert rig.take() == HINT + OK


def test_early_hint_after_the_head_is_dropped(wire):
    rig = started(wire)
    head = rig.take()
    drive(rig.request.send(HINT_MESSAGE))
    assert (head, rig.take()) == (CHUNKED_HEAD, b"")


def test_early_hint_may_have_several_links(wire):
    rig = Rig(wire)
    rig.receive(GET)
    drive(rig.request.send({"type": "http.response.early_hint", "links": (link for link in (b"<a>", b"<b>"))}))
    assert rig.take() == b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\nlink: <b>\r\n\r\n"


def test_early_hint_cannot_inject_fields(wire):
    rig = Rig(wire)
    rig.receive(GET)
    with pytest.raises(ValueError):
        drive(rig.request.send({"type": "http.response.early_hint", "links": [b"<a>\r\nx: y"]}))
    assert rig.take() == b""


# Files


@pytest.mark.parametrize("kind", FILES)
def test_files_are_sent_by_the_owner(wire, kind):
    rig = Rig(wire, sendfile=True)
    rig.receive(GET)
    start(rig.request)
    drive(rig.request.send({"type": kind}))
    assert rig.calls == ["send_file"]


@pytest.mark.parametrize("kind", FILES)
def test_files_are_refused_without_sendfile(wire, kind):
    rig = started(wire, (b"content-length", b"2"))
    with pytest.raises(RuntimeError, match="not offered without --sendfile"):
        drive(rig.request.send({"type": kind, "path": "/a", "file": 0}))
    assert rig.calls == []
    body(rig.request, b"ok")
    assert rig.take() == OK


def test_file_may_have_a_declared_length(wire):
    rig = started(wire, (b"content-length", b"2"))
    assert rig.request.begin_file(2)
    head = rig.take()
    rig.request.end_file(True, False)
    assert head + b"ok" == OK
    assert (rig.take(), rig.request.is_complete()) == (b"", True)


def test_file_without_a_length_is_one_chunk(wire):
    rig = started(wire)
    assert rig.request.begin_file(10)
    assert rig.take() == CHUNKED_HEAD + b"a\r\n"
    rig.request.end_file(True, False)
    assert rig.take() == b"\r\n0\r\n\r\n"


def test_file_may_come_between_other_parts(wire):
    rig = started(wire)
    body(rig.request, b"a", more=True)
    rig.request.begin_file(1)
    rig.take()
    rig.request.end_file(True, True)
    body(rig.request, b"b")
    assert rig.take() == b"\r\n1\r\nb\r\n0\r\n\r\n"


def test_body_is_refused_while_a_file_is_sent(wire):
    rig = started(wire)
    rig.request.begin_file(10)
    with pytest.raises(RuntimeError):
        body(rig.request, b"a", more=True)


def test_empty_file_as_a_chunk_does_not_end_the_body(wire):
    rig = started(wire)
    present = rig.request.begin_file(0)
    assert not present
    rig.request.end_file(present, True)
    assert not rig.request.is_complete()
    assert rig.take() == CHUNKED_HEAD


def test_file_is_not_sent_for_a_head_request(wire):
    rig = started(wire, (b"content-length", b"2"), data=b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
    present = rig.request.begin_file(2)
    assert not present
    rig.request.end_file(present, False)
    assert rig.take() == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    assert rig.request.is_complete()
