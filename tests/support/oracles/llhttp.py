"""Heads as llhttp reads them, by httptools, and every difference from our reading with its reason."""

from __future__ import annotations

import re
from typing import Any

import httptools

from pronghorn._wire.head import Head
from pronghorn.errors import ProtocolError

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
    "too many header fields": (
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 100 + b"\r\n",
        "llhttp leaves the number of fields to its user",
    ),
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
    "tab at the end": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n",
        "spaces and tabs around a value are no part of it (RFC 9112 section 5)",
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


def why_llhttp_refuses(ours: Any, data: bytes) -> str:
    """The key in `LLHTTP_REFUSES` for a head that we accept."""
    if Llhttp(f"{ours.method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()).error:
        return "method"
    codings = [value for name, value in ours.headers if name == b"transfer-encoding"]
    if codings and b"" in [coding.strip() for coding in codings[0].split(b",")]:
        return "empty elements"
    if re.search(rb"(?i)\ntransfer-encoding:[^\r]*\t[ \t]*\r", data):
        return "tab at the end"
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


def check(wire: Any, data: bytes) -> Any:
    """Compare the reading of `wire` with llhttp's. Return the `Head`, or the reason for its refusal."""
    ours, theirs = read(wire, data), Llhttp(data)
    if isinstance(ours, str):
        assert theirs.error or ours in WE_REFUSE
    elif theirs.error:
        assert why_llhttp_refuses(ours, data) in LLHTTP_REFUSES, theirs.error
    else:
        assert ours.method == theirs.method
        assert ours.version == theirs.version
        assert ours.headers == with_host_of_target(theirs)
        if theirs.target.startswith(b"/"):
            path, _, query = theirs.target.partition(b"?")
            assert (ours.raw_path, ours.query) == (path, query)
        if ours.keep_alive is not theirs.keep_alive:
            assert why_keep_alive_differs(ours) in KEEP_ALIVE_DIFFERS
    return ours


def check_alike(ours: Any, twin: Any) -> None:
    """Compare what the two forms read."""
    if isinstance(ours, str) or isinstance(twin, str):
        assert ours == twin
    else:
        for name in Head.__slots__:
            assert getattr(ours, name) == getattr(twin, name), name


# Chunked bodies that only we refuse, by our reason, and the justification.
WE_REFUSE_BODIES = {
    "malformed chunk size": 'an extension has a token or a quoted string (RFC 9112 section 7.1.1); llhttp takes a=b"c"',
}

# Chunked bodies that only llhttp refuses, by the beginning of its reason, and the justification.
LLHTTP_REFUSES_BODIES = {
    "Invalid character in chunk extensions": "extensions are ignored, whatever characters they have but controls",
}


def check_body(ours: tuple[bytes, bytes | None, str], data: bytes) -> None:
    """Compare a chunked body with llhttp's reading: its content, what follows its end, or the reason of a refusal."""
    content, rest, reason = ours
    theirs = Body(data)
    if reason:
        assert theirs.error or reason in WE_REFUSE_BODIES, ours
    elif rest is not None:
        if theirs.error:
            assert theirs.error.startswith(tuple(LLHTTP_REFUSES_BODIES)), (ours, theirs.error)
        else:
            assert theirs.is_complete
            assert (theirs.content, data[theirs.size :]) == (content, rest)
    else:
        assert not theirs.is_complete, ours
        assert theirs.error or theirs.content == content


class Body:
    """A chunked body as llhttp reads it, up to its end: its `size` is that of the chunked form."""

    def __init__(self, data: bytes) -> None:
        self.content = b""
        self.size = 0
        self.is_complete = False
        self.error = ""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while self.size < len(data) and not self.is_complete:
                self.size += 1
                parser.feed_data(data[self.size - 1 : self.size])
        except httptools.HttpParserError as error:
            self.error = str(error)

    def on_body(self, content: bytes) -> None:
        self.content += content

    def on_message_complete(self) -> None:
        self.is_complete = True
