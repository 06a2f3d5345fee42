"""Response framing: the bytes for an application's messages, and everything that must not be sent."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pronghorn import constants

LENGTH_5 = (b"content-length", b"5")
CHUNKED = (b"transfer-encoding", b"chunked")
CRLF_AND_FRIENDS = [b"\r", b"\n", b"\r\n", b"\0", b"\x7f", b"\x01", b"\x0b", b"\x1f"]

with_both_forms = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def make_shared(wire: Any, **options: Any) -> Any:
    options.setdefault("date", False)
    options.setdefault("server", b"")
    return wire.shared.Shared(wire.shared.Limits(), None, **options)


def make_encoder(wire: Any, method: str = "GET", http11: bool = True, keep_alive: bool = True, **options: Any) -> Any:
    return wire.response.new_encoder(make_shared(wire, **options), method, http11, keep_alive)


def respond(encoder: Any, status: Any = 200, headers: Any = (), *parts: bytes, trailers: Any = None) -> bytes:
    """A whole response. `parts` are the body; the last one ends it."""
    out: list[bytes] = []
    encoder.start(status, headers, trailers is not None)
    size = 0
    for index, part in enumerate(parts or (b"",)):
        size += encoder.body(part, index < len(parts) - 1, out)
    if trailers is not None:
        size += encoder.trailers(trailers, out)
    data = b"".join(out)
    assert size == len(data), "the number of bytes is what the connection counts"
    return data


# Framing


def test_declared_length_frames_the_body(wire: Any) -> None:
    data = respond(make_encoder(wire), 200, [LENGTH_5], b"hello")
    assert data == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def test_body_of_declared_length_may_come_in_parts(wire: Any) -> None:
    data = respond(make_encoder(wire), 200, [LENGTH_5], b"he", b"", b"llo", b"")
    assert data == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def test_body_without_a_length_is_chunked(wire: Any) -> None:
    data = respond(make_encoder(wire), 200, [], b"he", b"l" * 20, b"")
    assert (
        data == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n14\r\n" + b"l" * 20 + b"\r\n0\r\n\r\n"
    )


def test_empty_part_is_not_a_chunk(wire: Any) -> None:
    """A chunk of size 0 would end the body (RFC 9112 section 7.1)."""
    data = respond(make_encoder(wire), 200, [], b"a", b"", b"b")
    assert data.endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


def test_body_may_be_empty(wire: Any) -> None:
    assert respond(make_encoder(wire), 200, [(b"content-length", b"0")]).endswith(b"content-length: 0\r\n\r\n")
    assert respond(make_encoder(wire), 200, []).endswith(b"\r\n\r\n0\r\n\r\n")


def test_application_may_declare_chunked(wire: Any) -> None:
    data = respond(make_encoder(wire), 200, [(b"Transfer-Encoding", b"Chunked")], b"a")
    assert data == b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"


def test_http10_body_without_a_length_ends_with_the_connection(wire: Any) -> None:
    """HTTP/1.0 clients do not understand chunks (RFC 9112 section 6.1)."""
    encoder = make_encoder(wire, http11=False)
    assert respond(encoder, 200, [], b"a", b"b") == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab"
    assert encoder.ends_with_connection()
    assert not encoder.keep_alive


def test_http10_response_drops_chunked(wire: Any) -> None:
    data = respond(make_encoder(wire, http11=False), 200, [CHUNKED, (b"x", b"y")], b"a")
    assert data == b"HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\n\r\na"


def test_http10_response_with_a_length_announces_keep_alive(wire: Any) -> None:
    encoder = make_encoder(wire, http11=False)
    assert respond(encoder, 200, [LENGTH_5], b"hello") == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello"
    )
    assert encoder.keep_alive
    assert not encoder.ends_with_connection()


def test_response_to_head_keeps_the_length_and_drops_the_body(wire: Any) -> None:
    encoder = make_encoder(wire, "HEAD")
    assert respond(encoder, 200, [LENGTH_5], b"hello") == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


def test_response_to_head_needs_no_body(wire: Any) -> None:
    assert respond(make_encoder(wire, "HEAD"), 200, [LENGTH_5], b"").endswith(b"content-length: 5\r\n\r\n")


def test_response_to_head_drops_a_chunked_body(wire: Any) -> None:
    assert respond(make_encoder(wire, "HEAD"), 200, [], b"a", b"b") == b"HTTP/1.1 200 OK\r\n\r\n"
    assert respond(make_encoder(wire, "HEAD"), 200, [CHUNKED], b"a", b"b").endswith(b"\r\n\r\n")


def test_response_to_head_keeps_the_connection_open(wire: Any) -> None:
    for http11 in (True, False):
        encoder = make_encoder(wire, "HEAD", http11)
        respond(encoder, 200, [], b"a")
        assert encoder.keep_alive


def test_204_has_neither_length_nor_body(wire: Any) -> None:
    """RFC 9110 section 8.6, RFC 9112 section 6.1."""
    for fields in ([], [LENGTH_5], [(b"Content-Length", b"0")], [CHUNKED]):
        encoder = make_encoder(wire)
        assert respond(encoder, 204, fields, b"hello") == b"HTTP/1.1 204 No Content\r\n\r\n"
        assert encoder.keep_alive


def test_204_that_closes_has_no_length(wire: Any) -> None:
    data = respond(make_encoder(wire), 204, [LENGTH_5, (b"connection", b"close")], b"hello")
    assert data == b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"


def test_304_keeps_the_length_and_has_no_body(wire: Any) -> None:
    data = respond(make_encoder(wire), 304, [LENGTH_5], b"hello")
    assert data == b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"
    assert respond(make_encoder(wire), 304, [], b"hello") == b"HTTP/1.1 304 Not Modified\r\n\r\n"


def test_head_is_written_once(wire: Any) -> None:
    encoder = make_encoder(wire)
    out: list[bytes] = []
    assert encoder.head(out) == 0
    encoder.start(200, [LENGTH_5], False)
    assert encoder.head(out) == len(b"".join(out)) > 0
    assert encoder.head(out) == 0
    encoder.body(b"hello", False, out)
    assert b"".join(out) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


# Declared lengths


@pytest.mark.parametrize("parts", [[b"hell"], [b"he", b"ll"], [b""], [b"he", b""]])
def test_body_shorter_than_declared_is_refused(wire: Any, parts: list[bytes]) -> None:
    with pytest.raises(ValueError, match="shorter"):
        respond(make_encoder(wire), 200, [LENGTH_5], *parts)


@pytest.mark.parametrize("parts", [[b"hello!"], [b"hello", b"!"], [b"hello!", b""], [b"he", b"llo!"]])
def test_body_longer_than_declared_is_refused(wire: Any, parts: list[bytes]) -> None:
    with pytest.raises(ValueError, match="longer"):
        respond(make_encoder(wire), 200, [LENGTH_5], *parts)


def test_body_of_the_wrong_length_writes_nothing(wire: Any) -> None:
    """The head is still pending, so that a 500 can replace it."""
    for body in (b"hell", b"hello!"):
        encoder = make_encoder(wire)
        encoder.start(200, [LENGTH_5], False)
        out: list[bytes] = []
        with pytest.raises(ValueError, match="content-length"):
            encoder.body(body, False, out)
        assert out == []
        assert encoder.head(out) > 0


@pytest.mark.parametrize("value", [b"", b"+5", b"-5", b"0x5", b" 5", b"5 ", b"5,5", b"5.0", b"9" * 19, b"five", b"1_0"])
def test_malformed_length_is_refused(wire: Any, value: bytes) -> None:
    with pytest.raises(ValueError, match="content-length"):
        make_encoder(wire).start(200, [(b"Content-Length", value)], False)


def test_different_lengths_are_refused(wire: Any) -> None:
    with pytest.raises(ValueError, match="two content-lengths: 5 and 6"):
        make_encoder(wire).start(200, [LENGTH_5, (b"Content-Length", b"6")], False)


@pytest.mark.parametrize("again", [[LENGTH_5], [(b"Content-Length", b"05")], [LENGTH_5, (b"x", b"y"), LENGTH_5]])
def test_equal_lengths_become_one(wire: Any, again: Any) -> None:
    head, _, body = respond(make_encoder(wire), 200, [LENGTH_5, *again], b"hello").partition(b"\r\n\r\n")
    assert head.count(b"content-length") == 1
    assert b"content-length: 5" in head.split(b"\r\n")
    assert body == b"hello"


def test_equal_malformed_lengths_are_refused(wire: Any) -> None:
    with pytest.raises(ValueError, match="shorter"):
        respond(make_encoder(wire), 200, [LENGTH_5, LENGTH_5], b"hell")


@pytest.mark.parametrize("length", [b"5", b"3", b"100"])
@pytest.mark.parametrize("order", [1, -1], ids=["length first", "length last"])
def test_chunked_takes_precedence_over_a_length(wire: Any, length: bytes, order: int) -> None:
    """Applications that forward the fields of another response may set both."""
    fields = [(b"Content-Length", length), CHUNKED][::order]
    assert respond(make_encoder(wire), 200, fields, b"hello") == (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )


def test_chunked_takes_precedence_over_two_lengths(wire: Any) -> None:
    data = respond(make_encoder(wire), 200, [LENGTH_5, CHUNKED, LENGTH_5], b"hello")
    assert b"content-length" not in data


def test_http10_response_drops_length_and_chunked(wire: Any) -> None:
    """The length may be wrong, so it is not sent."""
    encoder = make_encoder(wire, http11=False)
    data = respond(encoder, 200, [(b"content-length", b"3"), CHUNKED], b"hello")
    assert data == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_bodiless_response_drops_length_and_chunked(wire: Any, method: str, status: int) -> None:
    head = respond(make_encoder(wire, method), status, [LENGTH_5, CHUNKED], b"")
    assert b"content-length" not in head
    assert b"transfer-encoding" not in head


@pytest.mark.parametrize("fields", [[(b"content-length", b"x"), CHUNKED], [CHUNKED, (b"content-length", b"-1")]])
def test_malformed_length_beside_chunked_is_refused(wire: Any, fields: Any) -> None:
    with pytest.raises(ValueError, match="malformed content-length"):
        make_encoder(wire).start(200, fields, False)


@pytest.mark.parametrize("value", [b"gzip", b"gzip, chunked", b"identity", b"", b"chunked, chunked"])
def test_other_transfer_codings_are_refused(wire: Any, value: bytes) -> None:
    with pytest.raises(ValueError, match="transfer-encoding"):
        make_encoder(wire).start(200, [(b"transfer-encoding", value)], False)


def test_refused_start_leaves_no_trace(wire: Any) -> None:
    """The application may catch the error and start another response."""
    fields = [(b"date", b"d"), (b"server", b"s"), (b"connection", b"close"), CHUNKED, (b"content-length", b"x")]
    encoder = make_encoder(wire, server=b"pronghorn")
    with pytest.raises(ValueError, match="content-length"):
        encoder.start(200, fields, True)
    assert encoder.head([]) == 0
    assert respond(encoder, 200, [LENGTH_5], b"hello") == (
        b"HTTP/1.1 200 OK\r\nserver: pronghorn\r\ncontent-length: 5\r\n\r\nhello"
    )


# Statuses


@pytest.mark.parametrize("status", [200, 204, 206, 299, 304, 404, 418, 499, 500, 599])
def test_status_line_has_the_standard_phrase(wire: Any, status: int) -> None:
    line = respond(make_encoder(wire), status, [(b"content-length", b"0")]).split(b"\r\n")[0]
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
    assert line == f"HTTP/1.1 {status} {phrase}".encode()


def test_status_may_be_an_http_status(wire: Any) -> None:
    data = respond(make_encoder(wire), HTTPStatus.NOT_FOUND, [(b"content-length", b"0")])
    assert data.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert respond(make_encoder(wire), HTTPStatus.NO_CONTENT, [LENGTH_5]) == b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(
    "status", [-1, 0, 1, 99, 100, 101, 103, 199, 600, 999, 1000, 2**64, "200", b"200", None, True, 200.0, 200.5]
)
def test_invalid_status_is_refused(wire: Any, status: Any) -> None:
    encoder = make_encoder(wire)
    with pytest.raises(ValueError, match="not a status"):
        encoder.start(status, [], False)
    assert encoder.head([]) == 0


# Fields of the application and of the server


def test_head_has_a_fixed_order(wire: Any) -> None:
    encoder = make_encoder(wire, keep_alive=False, server=b"pronghorn", fields=[(b"x-default", b"1")])
    assert respond(encoder, 200, [(b"X-App", b"2")], b"") == (
        b"HTTP/1.1 200 OK\r\nserver: pronghorn\r\nx-default: 1\r\nx-app: 2\r\n"
        b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    )


def test_date_is_in_gmt(wire: Any) -> None:
    from email.utils import parsedate_to_datetime

    line = respond(make_encoder(wire, date=True), 200, [LENGTH_5], b"hello").split(b"\r\n")[1].decode()
    assert line.startswith("date: ")
    assert line.endswith(" GMT")
    assert parsedate_to_datetime(line[6:]).tzinfo is not None


def test_date_and_server_of_the_application_take_precedence(wire: Any) -> None:
    options: dict[str, Any] = {"date": True, "server": b"pronghorn", "fields": [(b"x", b"y")]}
    date = b"date: %b\r\n" % dict(make_shared(wire, **options).default_fields)[b"date"]
    both = [(b"Date", b"d"), (b"SERVER", b"s"), LENGTH_5]
    assert respond(make_encoder(wire, **options), 200, both, b"hello") == (
        b"HTTP/1.1 200 OK\r\nx: y\r\ndate: d\r\nserver: s\r\ncontent-length: 5\r\n\r\nhello"
    )
    assert respond(make_encoder(wire, **options), 200, both[:1], b"").startswith(
        b"HTTP/1.1 200 OK\r\nserver: pronghorn\r\nx: y\r\ndate: d\r\n"
    )
    data = respond(make_encoder(wire, **options), 200, both[1:2], b"")
    assert data.startswith(b"HTTP/1.1 200 OK\r\n" + date + b"x: y\r\nserver: s\r\n")


def test_names_are_in_lower_case_and_fields_stay_apart(wire: Any) -> None:
    fields = [(b"Set-Cookie", b"a=B"), (b"SET-COOKIE", b"c"), LENGTH_5]
    assert respond(make_encoder(wire), 200, fields, b"hello").startswith(
        b"HTTP/1.1 200 OK\r\nset-cookie: a=B\r\nset-cookie: c\r\ncontent-length: 5\r\n"
    )


def test_headers_may_be_any_iterable(wire: Any) -> None:
    def generator() -> Iterator[Any]:
        yield [b"A", b"b"]
        yield LENGTH_5

    expected = b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 5\r\n\r\nhello"
    for headers in (
        ((b"A", b"b"), LENGTH_5),
        [[b"A", b"b"], list(LENGTH_5)],
        generator(),
        iter([[b"A", b"b"], LENGTH_5]),
        {b"A": b"b", b"content-length": b"5"}.items(),
    ):
        assert respond(make_encoder(wire), 200, headers, b"hello") == expected


def test_headers_may_be_subclasses_of_bytes_and_tuple(wire: Any) -> None:
    class Name(bytes):
        pass

    class Pair(NamedTuple):
        name: bytes
        value: bytes

    headers = [Pair(b"A", b"b"), (Name(b"Content-Length"), Name(b"5"))]
    expected = b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 5\r\n\r\nhello"
    assert respond(make_encoder(wire), 200, headers, b"hello") == expected


class Bytes(bytes):
    pass


@pytest.mark.parametrize("kind", [bytearray, memoryview, Bytes])
def test_names_and_values_may_be_of_any_bytes_type(wire: Any, kind: Any) -> None:
    """Includes fields the server itself reads."""
    fields = [(b"x", b"y"), (b"Date", b"d"), (b"server", b"s"), (b"Connection", b"close"), LENGTH_5]
    expected = b"HTTP/1.1 200 OK\r\nx: y\r\ndate: d\r\nserver: s\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    for convert in (
        lambda name, value: (kind(name), kind(value)),
        lambda name, value: [kind(name), value],
        lambda name, value: (name, kind(value)),
    ):
        encoder = make_encoder(wire, date=True, server=b"pronghorn")
        assert respond(encoder, 200, [convert(*field) for field in fields], b"hello") == expected
    chunked = respond(make_encoder(wire), 200, [tuple(map(kind, CHUNKED)), tuple(map(kind, LENGTH_5))], b"hello")
    assert chunked == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize("kind", [bytearray, memoryview, Bytes])
def test_trailers_and_early_hints_may_be_of_any_bytes_type(wire: Any, kind: Any) -> None:
    encoder = make_encoder(wire)
    assert hint(encoder, [kind(b"</a>")]) == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    assert respond(encoder, 200, [], b"", trailers=[(kind(b"x"), kind(b"y"))]).endswith(b"0\r\nx: y\r\n\r\n")


@pytest.mark.parametrize("kind", [bytearray, memoryview, Bytes])
def test_other_bytes_types_cannot_inject_fields(wire: Any, kind: Any) -> None:
    for field in ((kind(b"x"), kind(b"a\r\nb: c")), (kind(b"x y"), b"a"), (kind(b""), b"a")):
        with pytest.raises(ValueError, match="malformed header"):
            make_encoder(wire).start(200, [field], False)


def test_value_changed_after_the_start_is_ignored(wire: Any) -> None:
    value = bytearray(b"before")
    encoder = make_encoder(wire)
    encoder.start(200, [(b"connection", value), (b"x", value)], False)
    value[:] = b"a\r\nb: c"
    out: list[bytes] = []
    encoder.body(b"", False, out)
    assert out[0].startswith(b"HTTP/1.1 200 OK\r\nconnection: before\r\nx: before\r\n")


def test_headers_of_the_application_are_not_changed(wire: Any) -> None:
    headers = [(b"Content-Length", b"5"), (b"Connection", b"close")]
    respond(make_encoder(wire), 204, headers, b"")
    assert headers == [(b"Content-Length", b"5"), (b"Connection", b"close")]


# The connection field


def test_close_of_the_application_closes_the_connection(wire: Any) -> None:
    encoder = make_encoder(wire)
    data = respond(encoder, 200, [(b"Connection", b"Close"), LENGTH_5], b"hello")
    assert data == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    assert not encoder.keep_alive


def test_keep_alive_of_the_application_is_kept(wire: Any) -> None:
    for http11 in (True, False):
        data = respond(make_encoder(wire, http11=http11), 200, [(b"Connection", b"keep-alive"), LENGTH_5], b"hello")
        assert data == b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello"


def test_keep_alive_of_the_application_does_not_prevent_a_close(wire: Any) -> None:
    data = respond(make_encoder(wire, keep_alive=False), 200, [(b"Connection", b"keep-alive"), LENGTH_5], b"hello")
    assert data == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"


def test_close_is_matched_as_a_whole_option(wire: Any) -> None:
    """A part of another option's name does not count (RFC 9110 section 7.6.1)."""
    encoder = make_encoder(wire)
    data = respond(encoder, 200, [(b"connection", b"x-close"), LENGTH_5], b"hello")
    assert b"connection: x-close\r\n" in data
    assert encoder.keep_alive


def test_close_is_found_among_other_options(wire: Any) -> None:
    encoder = make_encoder(wire)
    data = respond(encoder, 200, [(b"connection", b"x ,\tCLOSE"), LENGTH_5], b"hello")
    assert data.count(b"connection: ") == 1
    assert b"connection: close\r\n" in data
    assert not encoder.keep_alive


def test_close_is_found_in_one_of_two_fields(wire: Any) -> None:
    for fields in ([b"close", b"keep-alive"], [b"keep-alive", b"close"]):
        encoder = make_encoder(wire)
        data = respond(encoder, 200, [*((b"connection", value) for value in fields), LENGTH_5], b"hello")
        assert data == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
        assert not encoder.keep_alive


def test_second_transfer_encoding_is_refused(wire: Any) -> None:
    """The recipient would read them as chunked twice (RFC 9112 section 6.1)."""
    with pytest.raises(ValueError, match="transfer-encoding"):
        make_encoder(wire).start(200, [CHUNKED, CHUNKED], False)


def test_close_of_the_request_is_announced(wire: Any) -> None:
    for http11 in (True, False):
        encoder = make_encoder(wire, http11=http11, keep_alive=False)
        data = respond(encoder, 200, [LENGTH_5], b"hello")
        assert data == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"


def test_draining_closes_the_connection(wire: Any) -> None:
    shared = make_shared(wire)
    encoder = wire.response.new_encoder(shared, "GET", True, True)
    encoder.start(200, [LENGTH_5], False)
    shared.draining = True
    out: list[bytes] = []
    encoder.body(b"hello", False, out)
    assert b"".join(out) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    assert not encoder.keep_alive


# Header injection


@pytest.mark.parametrize("bad", CRLF_AND_FRIENDS)
@pytest.mark.parametrize("around", [(b"", b"x"), (b"a", b"b"), (b"a", b"")])
def test_control_characters_in_values_are_refused(wire: Any, bad: bytes, around: tuple[bytes, bytes]) -> None:
    encoder = make_encoder(wire)
    with pytest.raises(ValueError, match="malformed header"):
        encoder.start(200, [(b"x", around[0] + bad + around[1])], False)
    assert encoder.head([]) == 0


@pytest.mark.parametrize("bad", [*CRLF_AND_FRIENDS, b" ", b"\t", b":", b"(", b"/", b"@", b"\x80", b"\xff", b'"'])
def test_name_must_be_a_token(wire: Any, bad: bytes) -> None:
    for name in (bad, b"a" + bad, bad + b"a", b"a" + bad + b"b"):
        with pytest.raises(ValueError, match="malformed header"):
            make_encoder(wire).start(200, [(name, b"v")], False)


def test_empty_name_is_refused(wire: Any) -> None:
    with pytest.raises(ValueError, match="malformed header"):
        make_encoder(wire).start(200, [(b"", b"v")], False)


@pytest.mark.parametrize(
    "pair",
    [
        ("x", b"v"),
        (b"x", "v"),
        (b"x", 1),
        (b"x", None),
        (None, b"v"),
        (b"x", [118]),
        (b"x", array("b", b"v")),
        "xv",
        b"xv",
    ],
)
def test_names_and_values_must_be_bytes(wire: Any, pair: Any) -> None:
    with pytest.raises(TypeError, match="bytes"):
        make_encoder(wire).start(200, [(b"good", b"v"), pair], False)


@pytest.mark.parametrize("pair", [(), (b"x",), (b"x", b"v", b"w"), b"xyz", None, 5])
def test_header_must_be_a_pair(wire: Any, pair: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        make_encoder(wire).start(200, [pair], False)


def test_headers_must_be_iterable(wire: Any) -> None:
    for headers in (None, 5):
        with pytest.raises(TypeError):
            make_encoder(wire).start(200, headers, False)


def test_values_may_have_bytes_above_127_and_tabs(wire: Any) -> None:
    assert b"x: \tcaf\xe9 \r\n" in respond(make_encoder(wire), 200, [(b"x", b"\tcaf\xe9 ")], b"")


@given(st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=6)), max_size=3))
@with_both_forms
def test_head_has_one_line_per_field(wire: Any, fields: list[tuple[bytes, bytes]]) -> None:
    """The head that is sent splits into exactly the application's fields; otherwise nothing is sent."""
    encoder = make_encoder(wire, "HEAD")
    try:
        data = respond(encoder, 200, fields)
    except ValueError:
        return
    lines = data.removeprefix(b"HTTP/1.1 200 OK\r\n").removesuffix(b"\r\n")
    expected = [(name.lower(), value.strip(b" \t")) for name, value in fields]
    assert wire.kernels.split_fields(data, len(data) - len(lines) - 2, len(data) - 2) == expected


# Trailers


def test_trailers_follow_the_last_chunk(wire: Any) -> None:
    data = respond(make_encoder(wire), 200, [], b"a", trailers=[(b"X-Sum", b"1"), [b"y", b""]])
    assert data.endswith(b"\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\ny: \r\n\r\n")


def test_trailers_may_be_empty(wire: Any) -> None:
    assert respond(make_encoder(wire), 200, [], b"a", trailers=()).endswith(b"1\r\na\r\n0\r\n\r\n")


def test_trailers_without_chunks_are_dropped(wire: Any) -> None:
    fields = [(b"x", b"y")]
    assert respond(make_encoder(wire), 200, [LENGTH_5], b"hello", trailers=fields).endswith(b"\r\n\r\nhello")
    assert respond(make_encoder(wire, http11=False), 200, [], b"hello", trailers=fields).endswith(b"\r\n\r\nhello")
    assert respond(make_encoder(wire, "HEAD"), 200, [], b"hello", trailers=fields).endswith(b"200 OK\r\n\r\n")


@pytest.mark.parametrize(
    "name",
    [
        b"content-length",
        b"Transfer-Encoding",
        b"host",
        b"trailer",
        b"te",
        b"connection",
        b"set-cookie",
        b"authorization",
        b"content-type",
        b"content-encoding",
        b"content-range",
        b"cache-control",
        b"expect",
        b"max-forwards",
        b"WWW-Authenticate",
        b"proxy-authenticate",
        b"proxy-authorization",
    ],
)
def test_forbidden_trailers_are_refused(wire: Any, name: bytes) -> None:
    """They frame, route or authenticate, which must happen before the body (RFC 9110 section 6.5.1)."""
    with pytest.raises(ValueError, match="trailer"):
        respond(make_encoder(wire), 200, [], b"a", trailers=[(name, b"1")])


@pytest.mark.parametrize("field", [(b"x", b"a\r\nb"), (b"x\n", b"a"), (b"", b"a"), (b"x", b"\0")])
def test_malformed_trailers_are_refused(wire: Any, field: Any) -> None:
    with pytest.raises(ValueError, match="malformed header"):
        respond(make_encoder(wire), 200, [], b"a", trailers=[field])
    with pytest.raises(TypeError):
        respond(make_encoder(wire), 200, [], b"a", trailers=[(b"x", "str")])


# Early hints


def hint(encoder: Any, links: Any) -> bytes:
    out: list[bytes] = []
    size = encoder.early_hints(links, out)
    assert size == len(b"".join(out))
    return b"".join(out)


def test_early_hints_have_one_line_per_link(wire: Any) -> None:
    encoder = make_encoder(wire, server=b"pronghorn")
    expected = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nlink: </b>\r\n\r\n"
    assert hint(encoder, [b"</a>", b"</b>"]) == expected
    encoder.start(200, [LENGTH_5], False)
    assert hint(encoder, (b"</a>", b"</b>")) == expected
    assert encoder.head([]) > 0


def test_early_hints_after_the_head_are_dropped(wire: Any) -> None:
    encoder = make_encoder(wire)
    encoder.start(200, [], False)
    encoder.head([])
    assert hint(encoder, [b"</a>"]) == b""


def test_http10_has_no_interim_responses(wire: Any) -> None:
    """RFC 9110 section 15.2."""
    assert hint(make_encoder(wire, http11=False), [b"</a>"]) == b""


@pytest.mark.parametrize("link", [*(b"</a>" + bad for bad in CRLF_AND_FRIENDS), "</a>", None])
def test_malformed_early_hints_are_refused(wire: Any, link: Any) -> None:
    encoder = make_encoder(wire)
    with pytest.raises((ValueError, TypeError)):
        hint(encoder, [b"</a>", link])


# Files


def test_rest_of_a_declared_length_is_counted(wire: Any) -> None:
    encoder = make_encoder(wire)
    assert encoder.left() == -1
    encoder.start(200, [LENGTH_5], False)
    assert encoder.left() == 5
    encoder.body(b"he", True, [])
    assert encoder.left() == 3
    encoder.file(2, [])
    assert encoder.left() == 1


@pytest.mark.parametrize(("method", "fields"), [("GET", []), ("GET", [CHUNKED]), ("HEAD", [LENGTH_5])])
def test_rest_is_unknown_without_a_length(wire: Any, method: str, fields: Any) -> None:
    encoder = make_encoder(wire, method)
    encoder.start(200, fields, False)
    assert encoder.left() == -1


def send_file(encoder: Any, size: int, more: bool = False) -> tuple[bool, bytes]:
    out: list[bytes] = []
    present = encoder.file(size, out)
    if present:
        out.append(b"F" * size)
        encoder.file_end(out)
    encoder.body(b"", more, out)
    return present, b"".join(out)


def test_file_of_the_declared_length_is_sent(wire: Any) -> None:
    encoder = make_encoder(wire)
    encoder.start(200, [LENGTH_5], False)
    assert send_file(encoder, 5) == (True, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nFFFFF")


def test_file_without_a_length_is_one_chunk(wire: Any) -> None:
    encoder = make_encoder(wire)
    encoder.start(200, [], False)
    present, data = send_file(encoder, 17)
    assert present
    assert data.endswith(b"\r\n\r\n11\r\n" + b"F" * 17 + b"\r\n0\r\n\r\n")


def test_empty_file_is_not_a_chunk(wire: Any) -> None:
    encoder = make_encoder(wire)
    encoder.start(200, [], False)
    present, data = send_file(encoder, 0)
    assert not present
    assert data.endswith(b"\r\n\r\n0\r\n\r\n")


def test_file_is_not_sent_for_head(wire: Any) -> None:
    encoder = make_encoder(wire, "HEAD")
    encoder.start(200, [LENGTH_5], False)
    assert send_file(encoder, 5) == (False, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")


@pytest.mark.parametrize(("size", "error"), [(6, "longer"), (4, "shorter")])
def test_file_of_the_wrong_length_is_refused(wire: Any, size: int, error: str) -> None:
    encoder = make_encoder(wire)
    encoder.start(200, [LENGTH_5], False)
    with pytest.raises(ValueError, match=error):
        send_file(encoder, size)


# Round trip


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.booleans(), st.booleans())
@with_both_forms
def test_decoder_reads_the_output_of_the_encoder(wire: Any, parts: list[bytes], declared: bool, http11: bool) -> None:
    content = b"".join(parts)
    encoder = make_encoder(wire, http11=http11)
    fields = [(b"content-length", b"%d" % len(content))] if declared else []
    head, _, body = respond(encoder, 200, fields, *parts).partition(b"\r\n\r\n")
    if b"chunked" in head:
        decoder = wire.body.Decoder(constants.CHUNKED, 0, wire.shared.Limits())
        decoded = decoder.feed(body, 0)
        assert decoder.done
        assert decoder.position == len(body)
        assert decoded == content
    else:
        assert body == content
