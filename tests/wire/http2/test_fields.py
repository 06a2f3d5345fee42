"""The head of a request from its fields: what it becomes, and what is refused (RFC 9113 section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from pronghorn.errors import ProtocolError, StreamError
from pronghorn.http2_constants import PROTOCOL_ERROR

METHOD, SCHEME, AUTHORITY, PATH = (b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")
PSEUDO = (METHOD, SCHEME, AUTHORITY, PATH)
EXTENDED = ((b":method", b"CONNECT"), (b":protocol", b"websocket"), SCHEME, AUTHORITY, PATH)
HOST = (b"host", b"a")


def read(wire: Any, *fields: tuple[bytes, bytes], ends: bool = True, **limits: int) -> Any:
    return wire.http2.fields.read_head(list(fields), ends, wire.shared.Limits(**limits))


def test_pseudo_header_fields_become_the_head(wire: Any) -> None:
    head = read(wire, METHOD, (b":path", b"/a%20b?c=%41"), SCHEME, (b":authority", b"a:80"), (b"accept", b"*/*"))
    assert (head.method, head.path, head.raw_path, head.query) == ("GET", "/a b", b"/a%20b", b"c=%41")
    assert head.headers == [(b"host", b"a:80"), (b"accept", b"*/*")]
    assert head.version == "2"
    assert head.upgrade is None
    assert not head.expects_continue


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ((METHOD, SCHEME, PATH, (b"x", b"y"), HOST), [HOST, (b"x", b"y")]),
        ((*PSEUDO, (b"x", b"y"), HOST), [HOST, (b"x", b"y")]),
        ((METHOD, SCHEME, (b":authority", b"Example.org"), PATH, (b"host", b"example.ORG")), [(b"host", b"Example.org")]),
        (
            (*PSEUDO, (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"), (b"cookie", b"c=3"), (b"z", b"")),
            [HOST, (b"cookie", b"a=1; b=2; c=3"), (b"x", b"y"), (b"z", b"")],
        ),
        ((*PSEUDO, (b"te", b"trailers")), [HOST, (b"te", b"trailers")]),
    ],
    ids=["Host without :authority", "Host equal to :authority", "Host in other letters", "cookie crumbs", "TE"],
)
def test_headers_begin_with_host(wire: Any, fields: Any, headers: Any) -> None:
    assert read(wire, *fields).headers == headers


def test_asterisk_is_for_options(wire: Any) -> None:
    head = read(wire, (b":method", b"OPTIONS"), SCHEME, AUTHORITY, (b":path", b"*"))
    assert (head.path, head.raw_path, head.query) == ("*", b"*", b"")


@pytest.mark.parametrize(("ends", "fields", "has_body", "length"), [
    (True, (), False, 0),
    (True, ((b"content-length", b"0"),), False, 0),
    (False, (), True, 0),
    (False, ((b"content-length", b"5"),), True, 5),
])  # fmt: skip
def test_end_of_the_stream_says_whether_there_is_a_body(
    wire: Any, ends: bool, fields: Any, has_body: bool, length: int
) -> None:
    head = read(wire, *PSEUDO, *fields, ends=ends)
    assert (head.framing != 0, head.length) == (has_body, length)


@pytest.mark.parametrize(("value", "ends", "expects"), [
    (b"100-continue", False, True), (b"100-Continue", False, True), (b"100-continue", True, False), (b"x", False, False)
])  # fmt: skip
def test_expectation_needs_a_body(wire: Any, value: bytes, ends: bool, expects: bool) -> None:
    assert read(wire, *PSEUDO, (b"expect", value), ends=ends).expects_continue is expects


def test_te_trailers_says_that_trailers_are_accepted(wire: Any) -> None:
    assert read(wire, *PSEUDO, (b"te", b"Trailers")).accepts_trailers
    assert not read(wire, *PSEUDO).accepts_trailers


def test_extended_connect_names_its_protocol(wire: Any) -> None:
    head = read(wire, *EXTENDED, ends=False)
    assert (head.method, head.upgrade, head.path) == ("CONNECT", b"websocket", "/")


MALFORMED = {
    "no :method": (SCHEME, AUTHORITY, PATH),
    "no :scheme": (METHOD, AUTHORITY, PATH),
    "no :path": (METHOD, SCHEME, AUTHORITY),
    "empty :path": (METHOD, SCHEME, AUTHORITY, (b":path", b"")),
    "relative :path": (METHOD, SCHEME, AUTHORITY, (b":path", b"a")),
    "absolute :path": (METHOD, SCHEME, AUTHORITY, (b":path", b"http://a/")),
    "asterisk for GET": (METHOD, SCHEME, AUTHORITY, (b":path", b"*")),
    "fragment": (METHOD, SCHEME, AUTHORITY, (b":path", b"/#a")),
    "space in :path": (METHOD, SCHEME, AUTHORITY, (b":path", b"/a b")),
    "non-ASCII :path": (METHOD, SCHEME, AUTHORITY, (b":path", b"/\xe9")),
    "tab in :path": (METHOD, SCHEME, AUTHORITY, (b":path", b"/a\tb")),
    "unknown :scheme": (METHOD, (b":scheme", b"ftp"), AUTHORITY, PATH),
    "lower-case :method": ((b":method", b"get"), SCHEME, AUTHORITY, PATH),
    "empty :method": ((b":method", b""), SCHEME, AUTHORITY, PATH),
    "separator in :method": ((b":method", b"G T"), SCHEME, AUTHORITY, PATH),
    "two :method": (METHOD, *PSEUDO),
    "two :scheme": (SCHEME, *PSEUDO),
    "two :authority": (AUTHORITY, *PSEUDO),
    "two :path": (PATH, *PSEUDO),
    "two :protocol": (EXTENDED[1], *EXTENDED),
    ":path after a field": (METHOD, SCHEME, AUTHORITY, (b"x", b"y"), PATH),
    ":protocol without CONNECT": (*PSEUDO, (b":protocol", b"websocket")),
    "CONNECT with :path": ((b":method", b"CONNECT"), AUTHORITY, PATH),
    "CONNECT without :authority": ((b":method", b"CONNECT"),),
    "extended CONNECT without :path": EXTENDED[:-1],
    "userinfo": (METHOD, SCHEME, (b":authority", b"u@a"), PATH),
    "empty :authority": (METHOD, SCHEME, (b":authority", b""), PATH),
    ":authority without a host": (METHOD, SCHEME, (b":authority", b":80"), PATH),
    "path in :authority": (METHOD, SCHEME, (b":authority", b"a/b"), PATH),
    "Host differs": (*PSEUDO, (b"host", b"b")),
    "two Hosts": (METHOD, SCHEME, PATH, HOST, HOST),
    "malformed Host": (METHOD, SCHEME, PATH, (b"host", b"a/b")),
    "Connection": (*PSEUDO, (b"connection", b"close")),
    "Keep-Alive": (*PSEUDO, (b"keep-alive", b"5")),
    "Proxy-Connection": (*PSEUDO, (b"proxy-connection", b"close")),
    "Transfer-Encoding": (*PSEUDO, (b"transfer-encoding", b"chunked")),
    "Upgrade": (*PSEUDO, (b"upgrade", b"h2c")),
    "TE": (*PSEUDO, (b"te", b"gzip")),
    "TE with more": (*PSEUDO, (b"te", b"trailers, gzip")),
    "two TE": (*PSEUDO, (b"te", b"trailers"), (b"te", b"trailers")),
    "two Content-Lengths": (*PSEUDO, (b"content-length", b"0"), (b"content-length", b"0")),
    "signed Content-Length": (*PSEUDO, (b"content-length", b"+0")),
    "empty Content-Length": (*PSEUDO, (b"content-length", b"")),
    "body missing": (*PSEUDO, (b"content-length", b"1")),
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_malformed_request_is_a_stream_error(wire: Any, fields: Any) -> None:
    with pytest.raises(StreamError) as caught:
        read(wire, *fields)
    assert caught.value.code == PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("fields", "status", "limits"),
    [
        ((METHOD, SCHEME, PATH), 400, {}),
        (((b":method", b"CONNECT"), AUTHORITY), 501, {}),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"/" * 11)), 414, {"target_size": 10}),
        ((*PSEUDO, *[(b"x", b"y")] * 3), 431, {"head_fields": 2}),
        ((*PSEUDO, *[(b"cookie", b"y")] * 257), 431, {}),
    ],
    ids=["no Host", "CONNECT", "long target", "many fields", "many cookies"],
)
def test_well_formed_request_is_refused_with_a_status(wire: Any, fields: Any, status: int, limits: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(wire, *fields, **limits)
    assert caught.value.status == status


def test_crumbs_count_as_one_field(wire: Any) -> None:
    head = read(wire, *PSEUDO, *[(b"cookie", b"%d" % index) for index in range(256)], (b"x", b"y"), head_fields=2)
    assert len(head.headers) == 3


@pytest.mark.parametrize("field", [(b":path", b"/"), (b"connection", b"close"), (b"transfer-encoding", b"chunked")])
def test_malformed_trailer_section_is_a_stream_error(wire: Any, field: tuple[bytes, bytes]) -> None:
    wire.http2.fields.check_trailers([(b"x", b"y")])
    with pytest.raises(StreamError):
        wire.http2.fields.check_trailers([field])
