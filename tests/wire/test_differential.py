"""Heads compared with llhttp, every difference with its reason, and between the two forms."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pronghorn._wire import head, kernels, shared
from pronghorn._wire.http1 import head as http1_head
from pronghorn.errors import ProtocolError

httptools = pytest.importorskip("httptools")

INTERPRETED = SimpleNamespace(http1_head=http1_head, kernels=kernels, shared=shared)
BOTH_FORMS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=400
)

# Refused only by us, by our reason: an example and the justification.
WE_REFUSE = {
    "malformed request target": (
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "llhttp checks a target's characters, and reads HTTP/0.9",
    ),
    "fragment in the request target": (
        b"GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
        "a target has none (RFC 9112 section 3.2)",
    ),
    "malformed authority in the request target": (
        b"GET http://u@a/ HTTP/1.0\r\n\r\n",
        "llhttp takes userinfo and any other authority",
    ),
    "malformed request line": (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "llhttp skips spaces, and knows ICE and RTSP"),
    "malformed method": (
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "llhttp skips any CR and LF; the connection skips one CRLF",
    ),
    "HTTP version not supported": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "llhttp knows 0.9 and 2.0, its user decides"),
    "bare LF in a head": (b"GET /a\nHost: a\r\n\r\n", "llhttp takes a bare LF behind a request of HTTP/0.9"),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", "llhttp leaves Host to its user"),
    "more than one Host": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "llhttp leaves Host to its user"),
    "malformed Host": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "llhttp leaves Host to its user"),
    "malformed Content-Length": (
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0000000000000000000\r\n\r\n",
        "we count digits before we sum them; llhttp takes what fits 64 bits",
    ),
    "Transfer-Encoding in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "faulty framing (RFC 9112 section 6.1)",
    ),
    "transfer coding not implemented": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "llhttp leaves other codings to its user",
    ),
    "more than one body length": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "llhttp reads two Transfer-Encodings as a list (RFC 9110 section 5.3); TE.TE attacks send two",
    ),
    "body not ended by chunked": (
        b"CONNECT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        "llhttp ignores the framing of a CONNECT",
    ),
}

# Refused only by llhttp: an example and the justification.
LLHTTP_REFUSES = {
    "method": (
        b"FOOBAR / HTTP/1.1\r\nHost: a\r\n\r\n",
        "llhttp knows a list; any token is a method (RFC 9110 section 9.1)",
    ),
    "empty elements": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n",
        "empty elements of a list are ignored (RFC 9110 section 5.6.1.2)",
    ),
}

# Accepted by both with different keep-alive: an example and the justification.
KEEP_ALIVE_DIFFERS = {
    "Proxy-Connection": (
        b"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
        "no field of HTTP (RFC 9110 section 7.6.1 warns of it)",
    ),
    "close and keep-alive": (
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n",
        "close wins (RFC 9112 section 9.3); llhttp sees only keep-alive in HTTP/1.0",
    ),
}

# The parts of a head: usual values and odd ones.
PARTS = {
    "method": (
        [b"GET", b"POST", b"OPTIONS", b"HEAD"],
        [b"CONNECT", b"FOOBAR", b"M-SEARCH", b"PRI", b"SOURCE", b"DESCRIBE", b"get", b"Get", b"G(T", b""],
    ),
    "first space": ([b" "], [b"  ", b"\t", b"", b"\r"]),
    "target": (
        [b"/", b"/a?b", b"/%41", b"http://a/b?c"],
        [
            b"*",
            b"http://a",
            b"https://a/",
            b"http://b/",
            b"http://u@a/",
            b"http://a:80/",
            b"http:///",
            b"http://a?b",
            b"http://a/#f",
            b"HTTP://A/",
            b"ftp://a/",
            b"a:443",
            b"//",
            b"/#f",
            b"/?",
            b"/\x80",
            b"/\x7f",
            b"",
            b"a",
            b"?",
            b'/"<>[\\]^`{|}~',
            b"/a\tb",
        ],
    ),
    "second space": ([b" "], [b"  ", b"\t", b"", b"\r"]),
    "version": (
        [b"HTTP/1.1", b"HTTP/1.0"],
        [
            b"HTTP/1.2",
            b"HTTP/2.0",
            b"HTTP/0.9",
            b"HTTP/3.0",
            b"http/1.1",
            b"HTTP/1.10",
            b"HTTP/1",
            b"HTTP/1,1",
            b"ICE/1.0",
            b"RTSP/1.0",
            b"",
        ],
    ),
    "end of line": ([b"\r\n"], [b"\n", b"\r", b"\r\r\n", b" \r\n", b"\r\n ", b"\rX"]),
    "host": (
        [b"Host: a\r\n"],
        [
            b"",
            b"Host:\r\n",
            b"Host: a\r\nHost: a\r\n",
            b"Host: a b\r\n",
            b"Host: u@a\r\n",
            b"Host: [::1]\r\n",
            b"Host: a:x\r\n",
        ],
    ),
    "end of head": ([b"\r\n"], [b"\n", b"\r\r\n"]),
}
VALUES: dict[bytes, tuple[list[bytes], list[bytes]]] = {
    b"X": (
        [b"v", b"", b"a b", b"v ", b"\x80\xff", b"a\tb"],
        [b"\0", b"\x01", b"\x7f", b"\x0bv", b"a\rb", b"a\nb", b"a\r\n b", b"a\r\n\tb"],
    ),
    b"Content-Length": (
        [b"3", b"0", b" 03 "],
        [b"+3", b"-3", b"0x3", b"3,3", b"3 3", b"", b"9" * 19, b"0" * 19, b"9" * 24, b"3_0"],
    ),
    b"Transfer-Encoding": (
        [b"chunked", b"Chunked"],
        [
            b"gzip, chunked",
            b"chunked, gzip",
            b"chunked, chunked",
            b"identity",
            b"gzip",
            b"xchunked",
            b"chunked;a",
            b",chunked",
            b"chunked,",
            b"",
            b'"chunked"',
            b"chunked\x0b",
        ],
    ),
    b"Connection": (
        [b"close", b"keep-alive", b"Close, x", b"upgrade"],
        [b"keep-alive, close", b"close, keep-alive", b"x-close", b"closed", b",close", b"close;x"],
    ),
    b"Proxy-Connection": ([b"close"], []),
    b"Upgrade": ([b"websocket", b"h2c"], []),
    b"Expect": ([b"100-continue"], [b"x"]),
}
SEPARATORS: tuple[list[bytes], list[bytes]] = (
    [b": ", b":", b":\t "],
    [b" : ", b"\t:", b"", b"\0:", b"\x80:", b"(:", b":\r"],
)


class Llhttp:
    """One head as llhttp reads it, or its `error`."""

    def __init__(self, data: bytes) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.keep_alive: bool | None = None
        self.error = ""
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data[: data.index(b"\r\n\r\n") + 4])
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            self.error = str(error)
        if self.keep_alive is None:
            self.error = self.error or "incomplete"
        self.method = self._parser.get_method().decode()
        self.version = self._parser.get_http_version()

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.keep_alive = self._parser.should_keep_alive()


def read(wire: Any, data: bytes) -> Any:
    """The `Head`, or the reason for its refusal, as a connection gets it."""
    end = wire.kernels.find_head_end(data, 0, 0)
    if end == -2:
        return "bare LF in a head"
    try:
        return wire.http1_head.parse(data, 0, end, wire.shared.Limits())
    except ProtocolError as error:
        return error.reason


def why_llhttp_refuses(ours: Any) -> str:
    """The key in `LLHTTP_REFUSES` for a head that we accept."""
    if Llhttp(f"{ours.method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()).error:
        return "method"
    codings = [value for name, value in ours.headers if name == b"transfer-encoding"]
    if codings and b"" in [coding.strip() for coding in codings[0].split(b",")]:
        return "empty elements"
    return ""


def with_host_of_target(theirs: Llhttp) -> list[tuple[bytes, bytes]]:
    """The fields as we return them. The absolute form replaces Host, which llhttp leaves to its user."""
    _, absolute, rest = theirs.target.partition(b"://")
    if theirs.target.startswith(b"/") or not absolute:
        return theirs.headers
    host = (b"host", re.split(b"[/?]", rest)[0])
    headers = [host if field[0] == b"host" else field for field in theirs.headers]
    return headers if host in headers else [*headers, host]


def why_keep_alive_differs(ours: Any) -> str:
    """The key in `KEEP_ALIVE_DIFFERS` for a head that both accept."""
    if any(name == b"proxy-connection" for name, _ in ours.headers):
        return "Proxy-Connection"
    options = b",".join(value for name, value in ours.headers if name == b"connection").lower()
    if ours.version == "1.0" and not ours.keep_alive and b"close" in options and b"keep-alive" in options:
        return "close and keep-alive"
    return ""


def one_of(choices: tuple[list[bytes], list[bytes]], odd: bool) -> Any:
    usual, others = choices
    return st.sampled_from(others if odd and others else usual)


@st.composite
def heads(draw: Any) -> bytes:
    """A head with at most two oddities, and sometimes a byte changed."""
    fields = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=3))
    places = [*PARTS, *(f"{kind} {index}" for index in range(len(fields)) for kind in ("separator", "value"))]
    odd = draw(st.sets(st.sampled_from(places), max_size=2))
    parts = [draw(one_of(choices, name in odd)) for name, choices in PARTS.items()]
    for index, name in enumerate(fields):
        separator = draw(one_of(SEPARATORS, f"separator {index}" in odd))
        parts.insert(-1, name + separator + draw(one_of(VALUES[name], f"value {index}" in odd)) + b"\r\n")
    data = b"".join(parts)
    if draw(st.integers(0, 4)) == 0:
        index = draw(st.integers(0, len(data) - 4))
        data = data[:index] + draw(st.binary(max_size=2)) + data[index + 1 :]
    return data if data.endswith(b"\r\n\r\n") else data + b"\r\n\r\n"


@given(heads())
@BOTH_FORMS
def test_every_difference_from_llhttp_is_known(wire: Any, data: bytes) -> None:
    ours, theirs = read(wire, data), Llhttp(data)
    if isinstance(ours, str):
        assert theirs.error or ours in WE_REFUSE
    elif theirs.error:
        assert why_llhttp_refuses(ours) in LLHTTP_REFUSES, theirs.error
    else:
        assert ours.method == theirs.method
        assert ours.version == theirs.version
        assert ours.headers == with_host_of_target(theirs)
        if theirs.target.startswith(b"/"):
            path, _, query = theirs.target.partition(b"?")
            assert (ours.raw_path, ours.query) == (path, query)
        if ours.keep_alive is not theirs.keep_alive:
            assert why_keep_alive_differs(ours) in KEEP_ALIVE_DIFFERS


@pytest.mark.parametrize("reason", WE_REFUSE)
def test_head_that_only_llhttp_accepts_has_its_reason(wire: Any, reason: str) -> None:
    data = WE_REFUSE[reason][0]
    assert read(wire, data) == reason
    assert not Llhttp(data).error


@pytest.mark.parametrize("key", LLHTTP_REFUSES)
def test_head_that_only_llhttp_refuses_has_its_reason(wire: Any, key: str) -> None:
    data = LLHTTP_REFUSES[key][0]
    assert why_llhttp_refuses(read(wire, data)) == key
    assert Llhttp(data).error


@pytest.mark.parametrize("key", KEEP_ALIVE_DIFFERS)
def test_different_keep_alive_has_its_reason(wire: Any, key: str) -> None:
    data = KEEP_ALIVE_DIFFERS[key][0]
    ours = read(wire, data)
    assert why_keep_alive_differs(ours) == key
    assert ours.keep_alive is not Llhttp(data).keep_alive


@pytest.mark.parametrize("wire", ["compiled"], indirect=True)
@given(heads())
@BOTH_FORMS
def test_both_forms_read_heads_alike(wire: Any, data: bytes) -> None:
    ours, twin = read(wire, data), read(INTERPRETED, data)
    if isinstance(ours, str) or isinstance(twin, str):
        assert ours == twin
    else:
        for name in head.Head.__slots__:
            assert getattr(ours, name) == getattr(twin, name), name
