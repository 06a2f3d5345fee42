"""The checks find what must not happen, in invented requests and answers."""

import pytest

from tests.smuggling.checks import Answer, Marks, changes, check_answers
from tests.smuggling.front_ends import MARK, SECRET
from tests.smuggling.recorder import Seen


def seen(line, method="GET", target=b"/", *, identifier="1", host=b"a", body=b"", port=1):
    """A request that the front end has marked with `line`."""
    mark = f"{SECRET} {identifier} a {line}".encode()
    return Seen(("127.0.0.1", port), method, target, [(b"host", host), (MARK, mark)], body)


def faults(*requests, program="nginx"):
    return list(Marks(program).check(list(requests)))


@pytest.mark.parametrize(
    ("method", "target", "line"),
    [
        ("GET", b"/", "GET / HTTP/1.1"),
        ("GET", b"/", "GET /"),
        ("GET", b"/a", "GET  /a  HTTP/1.1"),
        ("GET", b"/b?c", "GET http://a/b?c HTTP/1.1"),
        ("GET", b"/?c", "GET http://a?c HTTP/1.1"),
        ("GET", b"/", "GET http://a HTTP/1.1"),
        ("GET", b"/", "GET /? HTTP/1.1"),
        ("OPTIONS", b"*", "OPTIONS * HTTP/1.1"),
        ("", b"/", "GET / HTTP/1.1"),
        ("", b"/", "CONNECT / HTTP/2.0"),
    ],
)
def test_request_like_its_mark_is_right(method, target, line):
    assert faults(seen(line, method, target)) == []


@pytest.mark.parametrize(
    ("method", "target", "line"),
    [
        ("T", b"/", "GET / HTTP/1.1"),
        ("GE", b"/", "GET / HTTP/1.1"),
        ("GETS", b"/", "GET / HTTP/1.1"),
        ("", b"/", "POST / HTTP/1.1"),
        ("GET", b"/b", "GET / HTTP/1.1"),
        ("GET", b"/", "GET /?a HTTP/1.1"),
        ("GET", b"//", "GET / HTTP/1.1"),
        ("GET", b"/a", "GET a HTTP/1.1"),
        ("GET", b"/a/b", "GET //a/b HTTP/1.1"),
        ("GET", b"http://a/", "GET http://a/ HTTP/1.1"),
        ("OPTIONS", b"*", "OPTIONS http://a HTTP/1.1"),
        ("GET", b"/", "GET"),
        ("GET", b"/", ""),
    ],
)
def test_request_unlike_its_mark_is_a_fault(method, target, line):
    assert faults(seen(line, method, target)) == [f"{method} {target!r} was {line.encode()!r} for the front end"]


@pytest.mark.parametrize(
    ("program", "target", "rewritten"),
    [
        ("haproxy", "http://a", b"*"),
        ("apache2", "//a/b", b"/a/b"),
        ("apache2", "//a/../b", b"/b"),
        ("apache2", "http:/a/", b"/a/"),
        ("apache2", "http://a/b#c", b"/b"),
        ("apache2", "?x", b"/?x"),
    ],
)
def test_known_rewrite_is_noted(program, target, rewritten):
    request = seen(f"OPTIONS {target} HTTP/1.1", "OPTIONS", rewritten)
    assert faults(request, program=program) == []
    assert list(changes([request])) == [f"the target {target.encode()!a} becomes {rewritten!a}"]
    assert faults(request, program="nginx") != []


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(MARK, SECRET.encode())],
        [(MARK, b"x 1 a GET / HTTP/1.1")],
        [(MARK, f"{SECRET} 1 a GET / HTTP/1.1".encode())] * 2,
    ],
)
def test_request_without_a_mark_of_its_own_is_a_fault(fields):
    assert faults(Seen(("127.0.0.1", 1), "GET", b"/", fields)) == ["GET b'/' was no request for the front end"]


def test_mark_in_a_body_is_a_fault():
    body = f"x{SECRET} 1 a GET / HTTP/1.1".encode()
    assert faults(seen("GET / HTTP/1.1", body=body)) == ["the body of b'/' has another request's head"]


def test_mark_seen_twice_over_one_connection_is_a_fault():
    twice = [seen("GET / HTTP/1.1"), seen("GET / HTTP/1.1")]
    assert faults(*twice) == ["b'/' was seen twice"]


def test_request_sent_again_is_noted():
    again = [seen("GET / HTTP/1.1"), seen("GET / HTTP/1.1", port=2)]
    assert faults(*again) == []
    assert list(changes(again)) == ["sends the request again, over another connection"] * 2


def test_other_host_is_noted():
    assert list(changes([seen("GET / HTTP/1.1", host=b"b")])) == ["the host b'a' becomes b'b'"]


@pytest.mark.parametrize(
    ("numbers", "over_http2", "fault"),
    [
        ([5, None, 6], False, None),
        ([6, 5], True, None),
        ([6, 5], False, "the client got answers to [6, 5], in this order"),
        ([5, 5], True, "the client got an answer twice: [5, 5]"),
        ([4], True, "the client got answers to [4], and sent 5 to 6"),
        ([7], True, "the client got answers to [7], and sent 5 to 6"),
    ],
)
def test_answers_are_the_clients_own_in_order(numbers, over_http2, fault):
    answers = [Answer(200, number) for number in numbers]
    assert list(check_answers(answers, 5, 2, over_http2)) == ([] if fault is None else [fault])
