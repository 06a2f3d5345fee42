"""The vectors: what a client sends before its marked second request, over HTTP/1.1 and over HTTP/2.

The request inside of a body has the target `/inner`.
"""

from __future__ import annotations

from typing import NamedTuple

from pronghorn.http2_constants import DATA, END_HEADERS, END_STREAM, HEADERS
from tests.support.corpus import load, load_frames
from tests.support.http2 import block, data, frame, headers

INNER = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
# It swallows the line of the request that follows it.
OPEN = b"GET /inner HTTP/1.1\r\nHost: a\r\nX: "
FIELDS = (b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/outer")


class Vector(NamedTuple):
    group: str
    name: str
    data: bytes
    """The bytes for a connection of HTTP/1.1, or the frames for one of HTTP/2."""


def requests() -> list[Vector]:
    """The vectors for HTTP/1.1."""
    corpus = [
        Vector(f"corpus, {folder}", case.name, case.data)
        for folder in ("valid", "refused")
        for case in load(f"requests/{folder}")
    ]
    return [*corpus, *_codings(), *_lengths(), *_chunks(), *_heads(), *_connections(), *_targets()]


def frames() -> list[Vector]:
    """The vectors for HTTP/2, on stream 1."""
    corpus = [
        Vector(f"frames, {folder}", case.name, case.data)
        for folder in ("valid", "refused", "stream", "connection")
        for case in load_frames(f"frames/{folder}")
        if len(case.data) < 100000
    ]
    return [*corpus, *_downgrades()]


def post(fields: bytes, body: bytes, line: bytes = b"POST /outer HTTP/1.1") -> bytes:
    return line + b"\r\nHost: a\r\n" + fields + b"\r\n\r\n" + body


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def _name(line: bytes) -> str:
    return ascii(line.decode("latin-1"))[1:-1]


def _codings() -> list[Vector]:
    lines = [
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding:chunked",
        b"Transfer-Encoding: CHUNKED",
        b"tRANSFER-eNCODING: chunked",
        b"Transfer-Encoding:\tchunked",
        b"Transfer-Encoding: chunked ",
        b"Transfer-Encoding: chunked\t",
        b"Transfer-Encoding:\x0bchunked",
        b"Transfer-Encoding:\x0cchunked",
        b"Transfer-Encoding:\xa0chunked",
        b"Transfer-Encoding: \0chunked",
        b"Transfer-Encoding: chunked\0",
        b"Transfer-Encoding\0: chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding\t: chunked",
        b" Transfer-Encoding: chunked",
        b"Transfer-Encoding\r\n : chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding:\n chunked",
        b"Transfer-Encoding: chunked\r\n ,identity",
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
        b"X: y\r\n Transfer-Encoding: chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunkedx",
        b"Transfer-Encoding: x chunked",
        b"Transfer-Encoding: chun\xe2\x84\xaaed",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding: 'chunked'",
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: ,chunked",
        b"Transfer-Encoding: chunked,",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding:",
        b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        b"Transfer_Encoding: chunked",
        b"Transfer-Encoding; chunked",
        b"Transfer-Encoding=chunked",
        b"Content-Encoding: chunked",
        b"TE: chunked",
    ]
    vectors = []
    ended = b"0\r\n\r\n" + INNER
    inside = chunk(INNER) + b"0\r\n\r\n"
    size = inside.index(b"\r\n") + 2
    for line in lines:
        name = _name(line)
        vectors += [
            Vector("CL.TE", name, post(b"Content-Length: %d\r\n%b" % (len(ended), line), ended)),
            Vector("TE.CL", name, post(b"%b\r\nContent-Length: %d" % (line, size), inside)),
            Vector("TE", name, post(line, inside)),
            Vector("HTTP/1.0 with TE", name, post(line, ended, b"POST /outer HTTP/1.0")),
        ]
    alive = b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"
    vectors += [
        Vector(
            "HTTP/1.0 with TE", f"keep-alive and {_name(length)}", post(alive + length, ended, b"POST /outer HTTP/1.0")
        )
        for length in (b"Content-Length: %d" % len(ended), b"Content-Length: 0")
    ]
    return vectors


def _lengths() -> list[Vector]:
    size = len(INNER)
    values = [
        b"+%d",
        b"-%d",
        b"0%d",
        b"%d ",
        b"\t%d",
        b"\x0b%d",
        b"%d\x0b",
        b"\xa0%d",
        b"%d\0",
        b"%d,",
        b",%d",
        b"%d, " + b"%d" % size,
        b"%d, 0",
        b"0, %d",
        b"%d 0",
        b"0 %d",
        b"0x%x",
        b"%x",
        b"%d.0",
        b"%de0",
        b"'%d'",
        b'"%d"',
        b"%d;a",
        b"\r\n %d",
        b"%d\r\n 0",
        b"%d\n 0",
        b"%d\rX",
        b"4294967296",
        b"18446744073709551616",
        b"18446744073709551617",
        b"-1",
        b"",
        b"\xd9\xa3",
    ]
    numbers = [value % size if b"%" in value else value for value in values]
    fields = [b"Content-Length: " + number for number in numbers]
    plain = b"Content-Length: %d" % size
    fields += [
        plain,
        b"Content-Length: 0",
        b"Content-Length:%d" % size,
        b"Content-Length : %d" % size,
        b"Content-Length\t: %d" % size,
        b"Content-Length\0: %d" % size,
        b" Content-Length: %d" % size,
        b"Content_Length: %d" % size,
        b"X: y\nContent-Length: %d" % size,
        b"X: y\rContent-Length: %d" % size,
        plain + b"\r\n" + plain,
        plain + b"\r\nContent-Length: 0",
        b"Content-Length: 0\r\n" + plain,
        plain + b"\r\nContent-Length: +%d" % size,
        plain + b"\r\nContent-Length:",
        plain + b"\r\nContent-Length : 0",
        plain + b"\r\nContent_Length: 0",
    ]
    vectors = [Vector("Content-Length", _name(field), post(field, INNER)) for field in fields]
    vectors += [
        Vector(
            "Content-Length", f"{method} with {size} bytes", post(plain, INNER, f"{method} /outer HTTP/1.1".encode())
        )
        for method in ("GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO")
    ]
    vectors += [
        Vector("Content-Length", "shorter than the body", post(b"Content-Length: 3", b"abc" + INNER)),
        Vector("Content-Length", "longer, and open", post(b"Content-Length: %d" % len(OPEN), OPEN)),
        Vector("Content-Length", "0, then an open request", post(b"Content-Length: 0", OPEN)),
        Vector("Content-Length", "none, then a body", post(b"X: y", INNER)),
        Vector("Content-Length", "in HTTP/1.0", post(plain, INNER, b"POST /outer HTTP/1.0")),
    ]
    return vectors


def _chunks() -> list[Vector]:
    bodies = {
        "in order": chunk(b"hello") + b"0\r\n\r\n",
        "of capital letters": b"A\r\n0123456789\r\n0\r\n\r\n",
        "only the last": b"0\r\n\r\n",
        "last one of many zeros": b"5\r\nhello\r\n00000000000000000000000\r\n\r\n",
        "last one is -0": b"5\r\nhello\r\n-0\r\n\r\n",
        "last one is 0x0": b"5\r\nhello\r\n0x0\r\n\r\n",
        "last one with an extension": b"5\r\nhello\r\n0;a=b\r\n\r\n",
        "no last one": b"5\r\nhello\r\n",
        "no empty line": b"5\r\nhello\r\n0\r\n",
        "trailer": b"0\r\nX: y\r\n\r\n",
        "trailer Content-Length": b"0\r\nContent-Length: 5\r\n\r\n",
        "trailer Transfer-Encoding": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "trailer Host": b"0\r\nHost: b\r\n\r\n",
        "trailer folded": b"0\r\nX: y\r\n z\r\n\r\n",
        "trailer without a colon": b"0\r\nX\r\n\r\n",
        "trailer with a space before the colon": b"0\r\nX : y\r\n\r\n",
        "trailer with bare LF": b"0\r\nX: y\n\r\n",
        "trailer with bare CR": b"0\r\nX: y\rz\r\n\r\n",
        "trailer with NUL": b"0\r\nX: \0\r\n\r\n",
        "trailer is a request": b"0\r\nGET /inner HTTP/1.1\r\nHost: a\r\n\r\n",
        "trailers of 64 KiB": b"0\r\n" + b"X: y\r\n" * 11000 + b"\r\n",
        "ended by LF LF": b"5\r\nhello\r\n0\n\n",
        "ended by CRLF LF": b"5\r\nhello\r\n0\r\n\n",
        "ended by LF CRLF": b"5\r\nhello\r\n0\n\r\n",
        "ended by CR CR": b"5\r\nhello\r\n0\r\r",
        "LF behind the size": b"5\nhello\r\n0\r\n\r\n",
        "LF behind the content": b"5\r\nhello\n0\r\n\r\n",
        "CR behind the size": b"5\rhello\r\n0\r\n\r\n",
        "CR CR LF behind the size": b"5\r\r\nhello\r\n0\r\n\r\n",
        "CR behind the content": b"5\r\nhello\r0\r\n\r\n",
        "nothing behind the content": b"5\r\nhello0\r\n\r\n",
        "two bytes behind the content": b"5\r\nhelloXX0\r\n\r\n",
        "content longer than the size": b"5\r\nhello world\r\n0\r\n\r\n",
        "content shorter than the size": b"f\r\nhello\r\n0\r\n\r\n",
        "empty size": b"\r\nhello\r\n0\r\n\r\n",
        "extension without a value": b"5;\r\nhello\r\n0\r\n\r\n",
        "extension without a name": b"5;=a\r\nhello\r\n0\r\n\r\n",
        "extension without a semicolon": b"5 a=b\r\nhello\r\n0\r\n\r\n",
        "extension with spaces": b"5 ; a = b\r\nhello\r\n0\r\n\r\n",
        "extension quoted": b'5;a="b;c"\r\nhello\r\n0\r\n\r\n',
        "extension quoted and open": b'5;a="b\r\nhello\r\n0\r\n\r\n',
        "extension with a quoted CRLF": b'5;a="\r\nhello\r\n0\r\n\r\n"\r\nhello\r\n0\r\n\r\n',
        "extension with bare LF": b"5;a\nhello\r\n0\r\n\r\n",
        "extension with bare CR": b"5;a\rhello\r\nhello\r\n0\r\n\r\n",
        "extension with NUL": b"5;\0\r\nhello\r\n0\r\n\r\n",
        "extension of 64 KiB": b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n",
        "extension hides a request (TERM.EXT)": b"2;\nxx\r\n%x\r\n0\r\n\r\n%b\r\n0\r\n\r\n" % (len(INNER) + 5, INNER),
        "extension hides a size (EXT.TERM)": b"%x;\nx\r\n0\r\n\r\n%b" % (len(INNER) + 5, INNER),
        "spill of the content (TERM.SPILL)": b"5\r\nhello\n%x\r\n0\r\n\r\n%b\r\n0\r\n\r\n" % (len(INNER) + 5, INNER),
        "spill of one byte": b"5\r\nhelloX\r\n%x\r\n0\r\n\r\n%b\r\n0\r\n\r\n" % (len(INNER) + 5, INNER),
    }
    sizes = [
        b"+5",
        b"-5",
        b" 5",
        b"5 ",
        b"\t5",
        b"5\t",
        b"5\x0b",
        b"5\0",
        b"\x005",
        b"0x5",
        b"0X5",
        b"5h",
        b"5_",
        b"5,",
        b"5.0",
        b"5e0",
        b'"5"',
        b"05",
        b"0000000000000005",
        b"00000000000000000005",
        b"100000005",
        b"10000000000000005",
        b"100000000000000005",
        b"7fffffffffffffff",
        b"8000000000000005",
        b"ffffffffffffffff",
        b"fffffffffffffffff",
        b"\xef\xbc\x95",
    ]
    for size in sizes:
        bodies[f"size {_name(size)}"] = size + b"\r\nhello\r\n0\r\n\r\n"
    inside = chunk(INNER)
    bodies["a request in one"] = inside + b"0\r\n\r\n"
    bodies["an open request in one"] = chunk(OPEN) + b"0\r\n\r\n"
    return [Vector("chunk", name, post(b"Transfer-Encoding: chunked", body)) for name, body in bodies.items()]


def _heads() -> list[Vector]:
    def get(*lines: bytes) -> bytes:
        return b"".join((b"GET /outer HTTP/1.1\r\nHost: a\r\n", *lines, b"\r\n"))

    heads = {
        "all lines end with LF": b"GET /outer HTTP/1.1\nHost: a\n\n",
        "all lines end with CR": b"GET /outer HTTP/1.1\rHost: a\r\r",
        "LF before CRLF": b"GET /outer HTTP/1.1\r\nHost: a\n\r\n",
        "LF as the empty line": b"GET /outer HTTP/1.1\r\nHost: a\r\n\n",
        "CR CR LF": b"GET /outer HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "LF in a field, then a request": get(b"X: y\n\n" + INNER + b"\r\n"),
        "CR in a field, then a request": get(b"X: y\r\r" + INNER + b"\r\n"),
        "CR LF CR in a field": get(b"X: y\r\n\r" + INNER + b"\r\n"),
        "LF LF between two": b"GET /outer HTTP/1.1\r\nHost: a\r\n\n" + INNER,
        "folded": get(b"X: y\r\n z\r\n"),
        "folded, looks like a request": get(b"X: y\r\n GET /inner HTTP/1.1\r\n Host: a\r\n"),
        "folded into an empty line": get(b"X: y\r\n \r\n" + INNER),
        "folded by a tab and empty": get(b"X: y\r\n\t\r\n" + INNER),
        "folded at first": b"GET /outer HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n",
        "a space before the colon": get(b"X : y\r\n"),
        "Host with a space before the colon": b"GET /outer HTTP/1.1\r\nHost : a\r\n\r\n",
        "a field without a colon": get(b"X\r\n"),
        "a field without a name": get(b": y\r\n"),
        "NUL in a name": get(b"X\0: y\r\n"),
        "NUL in a value": get(b"X: y\0z\r\n"),
        "NUL in a target": b"GET /outer\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "NUL before the empty line": get(b"X: y\0\r\n"),
        "a byte order mark": b"\xef\xbb\xbfGET /outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "two Hosts": get(b"Host: b\r\n"),
        "no Host": b"GET /outer HTTP/1.1\r\n\r\n",
        "a list of hosts": b"GET /outer HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "empty lines before": b"\r\n\r\n\r\nGET /outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "bare LFs before": b"\n\nGET /outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/0.9": b"GET /outer\r\n",
        "HTTP/0.9, then a request": b"GET /outer\r\n\r\n" + INNER,
        "HTTP/1.2": b"GET /outer HTTP/1.2\r\nHost: a\r\n\r\n",
        "HTTP/1.10": b"GET /outer HTTP/1.10\r\nHost: a\r\n\r\n",
        "HTTP/2.0": b"GET /outer HTTP/2.0\r\nHost: a\r\n\r\n",
        "a version followed by a space": b"GET /outer HTTP/1.1 \r\nHost: a\r\n\r\n",
        "two versions": b"GET /outer HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "two spaces": b"GET  /outer  HTTP/1.1\r\nHost: a\r\n\r\n",
        "tabs in the line": b"GET\t/outer\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "a field of 60 KiB": get(b"X: " + b"y" * 61440 + b"\r\n"),
        "1000 fields": get(b"X: y\r\n" * 1000),
    }
    return [Vector("head", name, data) for name, data in heads.items()]


def _connections() -> list[Vector]:
    size = len(INNER)
    ended = b"0\r\n\r\n" + INNER
    plain = b"Content-Length: %d\r\n" % size
    websocket = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

    def get(fields: bytes) -> bytes:
        return b"GET /outer HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n\r\n"

    connections = {
        "close": get(b"Connection: close"),
        "close, then a request": get(b"Connection: close") + INNER,
        "close and keep-alive": get(b"Connection: close, keep-alive") + INNER,
        "keep-alive in HTTP/1.0": b"GET /outer HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + INNER,
        "Proxy-Connection": get(b"Proxy-Connection: keep-alive"),
        "names Content-Length": post(plain + b"Connection: content-length", INNER),
        "names Content-Length, and closes": post(plain + b"Connection: close, content-length", INNER),
        "names Transfer-Encoding": post(b"Transfer-Encoding: chunked\r\nConnection: transfer-encoding", ended),
        "names Transfer-Encoding of two": post(
            b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\nConnection: transfer-encoding" % len(ended), ended
        ),
        "names Host": get(b"Connection: host"),
        "names X-Forwarded-For": get(b"X-Forwarded-For: 192.0.2.1\r\nConnection: x-forwarded-for"),
        "names TE": post(b"TE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked", ended),
        "Keep-Alive": get(b"Keep-Alive: timeout=1, max=1"),
        "Expect: 100-continue": post(plain + b"Expect: 100-continue", INNER),
        "Expect: 100-continue, chunked": post(b"Transfer-Encoding: chunked\r\nExpect: 100-continue", ended),
        "Expect: 100-continue, without a body": get(b"Expect: 100-continue") + INNER,
        "Expect: 100-continue twice": post(plain + b"Expect: 100-continue\r\nExpect: 100-continue", INNER),
        "Expect: something else": post(plain + b"Expect: x 100-continue", INNER),
        "Expect, folded": post(plain + b"Expect:\r\n 100-continue", INNER),
        "Upgrade: h2c": get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
        "Upgrade: h2c, without settings": get(b"Connection: Upgrade\r\nUpgrade: h2c") + INNER,
        "Upgrade: h2c with a body": post(
            plain + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", INNER
        ),
        "Upgrade: websocket": get(websocket + b"Sec-WebSocket-Version: 13") + INNER,
        "Upgrade: websocket, version 777": get(websocket + b"Sec-WebSocket-Version: 777") + INNER,
        "Upgrade: websocket, no version": get(websocket.removesuffix(b"\r\n")) + INNER,
        "Upgrade: websocket, malformed key": get(
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x"
        )
        + INNER,
        "Upgrade: websocket with a body": post(plain + websocket + b"Sec-WebSocket-Version: 13", INNER),
        "Upgrade: websocket in a POST": post(
            b"Content-Length: 0\r\n" + websocket + b"Sec-WebSocket-Version: 13", INNER
        ),
        "Upgrade: websocket in HTTP/1.0": b"GET /outer HTTP/1.0\r\nHost: a\r\n"
        + websocket
        + b"Sec-WebSocket-Version: 13\r\n\r\n"
        + INNER,
        "Upgrade: websocket, not named in Connection": get(
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        )
        + INNER,
        "Upgrade: TLS/1.0": get(b"Connection: Upgrade\r\nUpgrade: TLS/1.0") + INNER,
        "Upgrade: HTTP/2.0, x": get(b"Connection: Upgrade\r\nUpgrade: HTTP/2.0, x") + INNER,
    }
    return [Vector("connection", name, data) for name, data in connections.items()]


def _targets() -> list[Vector]:
    lines = [
        b"GET http://a/outer HTTP/1.1",
        b"GET http://b/outer HTTP/1.1",
        b"GET https://b/outer HTTP/1.1",
        b"GET http://b@a/outer HTTP/1.1",
        b"GET http:///outer HTTP/1.1",
        b"GET //b/outer HTTP/1.1",
        b"GET @b/outer HTTP/1.1",
        b"GET ftp://a/outer HTTP/1.1",
        b"GET http://a HTTP/1.1",
        b"GET http://a?x HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"OPTIONS http://b HTTP/1.1",
        b"CONNECT a:80 HTTP/1.1",
        b"CONNECT a:80 HTTP/1.0",
        b"CONNECT /outer HTTP/1.1",
        b"CONNECT http://a/outer HTTP/1.1",
        b"GET /outer#f HTTP/1.1",
        b"GET outer HTTP/1.1",
        b"GET ?x HTTP/1.1",
        b"GET /\\..\\outer HTTP/1.1",
        b"GET /outer%0d%0aX:%20y HTTP/1.1",
        b"GET /outer%20HTTP/1.1%0d%0aHost:%20b%0d%0a%0d%0a HTTP/1.1",
        b"GET /outer%00 HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /a\rb HTTP/1.1",
        b"GET /a\x0bb HTTP/1.1",
        b"get /outer HTTP/1.1",
        b"G\xffT /outer HTTP/1.1",
        b"GET:/outer HTTP/1.1",
    ]
    vectors = [Vector("target", _name(line), line + b"\r\nHost: a\r\n\r\n") for line in lines]
    vectors += [
        Vector("target", _name(line) + ", with a body", post(b"Content-Length: %d" % len(INNER), INNER, line))
        for line in (b"CONNECT a:80 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"POST http://b/outer HTTP/1.1")
    ]
    return vectors


def _downgrades() -> list[Vector]:
    size = len(INNER)
    ended = b"0\r\n\r\n" + INNER

    def fields(*more: tuple[bytes, bytes], **changed: bytes) -> bytes:
        pseudo = [(name, changed.get(name[1:].decode(), value)) for name, value in FIELDS]
        return block(*pseudo, *more)

    def request(body: bytes, *more: tuple[bytes, bytes], **changed: bytes) -> bytes:
        return frame(HEADERS, END_HEADERS, 1, fields(*more, **changed)) + data(1, body, ends=True)

    def without_body(*more: tuple[bytes, bytes], **changed: bytes) -> bytes:
        return frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(*more, **changed))

    lengths = [
        b"0",
        b"3",
        b"%d" % (size + 5),
        b"%d" % size,
        b"+%d" % size,
        b"-1",
        b"0%d" % size,
        b"%d, %d" % (size, size),
    ]
    lengths += [b"%d " % size, b"0x%x" % size, b"", b"18446744073709551616", b"%d\r\nTransfer-Encoding: chunked" % size]
    vectors = {f"content-length {_name(value)}": request(INNER, (b"content-length", value)) for value in lengths}
    for first, second in ((size, size), (0, size), (size, 0)):
        pair = (b"content-length", b"%d" % first), (b"content-length", b"%d" % second)
        vectors[f"content-length {first} and {second}"] = request(INNER, *pair)
    short = frame(HEADERS, END_HEADERS, 1, fields((b"content-length", b"%d" % (size + 5)))) + data(1, INNER)
    vectors["content-length longer, with trailers"] = short + headers(1, (b"x", b"y"))
    vectors["no content-length"] = request(INNER)
    vectors["content-length without DATA"] = without_body((b"content-length", b"%d" % size))
    for value in (b"chunked", b"identity", b"gzip", b"", b"chunked\r\nX: y"):
        vectors[f"transfer-encoding {_name(value)}"] = request(ended, (b"transfer-encoding", value))
        both = (b"content-length", b"%d" % len(ended)), (b"transfer-encoding", value)
        vectors[f"content-length and transfer-encoding {_name(value)}"] = request(ended, *both)
    for name, value in (
        (b"connection", b"close"),
        (b"connection", b"transfer-encoding"),
        (b"proxy-connection", b"keep-alive"),
        (b"keep-alive", b"1"),
        (b"upgrade", b"h2c"),
        (b"upgrade", b"websocket"),
        (b"te", b"trailers, chunked"),
        (b"expect", b"100-continue"),
        (b"host", b"b"),
        (b"host", b"a"),
        (b"transfer_encoding", b"chunked"),
        (b"Transfer-Encoding", b"chunked"),
        (b"transfer-encoding ", b"chunked"),
        (b" transfer-encoding", b"chunked"),
        (b"transfer-encoding\0", b"chunked"),
        (b"transfer-encoding: chunked", b""),
        (b"transfer-encoding: chunked\r\nx", b"y"),
        (b"x: y\r\ntransfer-encoding", b"chunked"),
        (b"x: y\ntransfer-encoding", b"chunked"),
        (b"x", b"y\r\nTransfer-Encoding: chunked"),
        (b"x", b"y\nTransfer-Encoding: chunked"),
        (b"x", b"y\rTransfer-Encoding: chunked"),
        (b"x", b"y\0Transfer-Encoding: chunked"),
        (b"x", b"y\r\n\r\n" + INNER),
        (b"x", b" y "),
        (b"x", b"y\r\n"),
        (b"", b"y"),
        (b":x", b"y"),
        (b":path", b"/inner"),
        (b":authority", b"b"),
    ):
        vectors[f"{_name(name)}: {_name(value)[:60]}"] = request(ended, (name, value))
    for name, value in (
        ("method", b"GET"),
        ("method", b"HEAD"),
        ("method", b"CONNECT"),
        ("method", b"post"),
        ("method", b""),
        ("method", b"POST /inner HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y"),
        ("method", b"POST /inner"),
        ("path", b""),
        ("path", b"outer"),
        ("path", b"*"),
        ("path", b"http://b/outer"),
        ("path", b"/outer#f"),
        ("path", b"/outer HTTP/1.1"),
        ("path", b"/outer HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y"),
        ("path", b"/outer\nX"),
        ("path", b"/outer\0"),
        ("path", b"/outer\tx"),
        ("path", b"/outer\xff"),
        ("scheme", b"http://b/inner?"),
        ("scheme", b"http\r\nX: y"),
        ("scheme", b"gopher"),
        ("scheme", b""),
        ("authority", b"a\r\nTransfer-Encoding: chunked"),
        ("authority", b"a b"),
        ("authority", b"u@a"),
        ("authority", b"a, b"),
        ("authority", b"a/inner"),
        ("authority", b""),
    ):
        vectors[f":{name} {_name(value)[:60]}"] = request(ended, **{name: value})
    trailers = {
        "content-length": (b"content-length", b"0"),
        "transfer-encoding": (b"transfer-encoding", b"chunked"),
        ":path": (b":path", b"/inner"),
        "line breaks": (b"x", b"y\r\n\r\n" + INNER),
    }
    for name, field in trailers.items():
        end = frame(HEADERS, END_HEADERS | END_STREAM, 1, block(field))
        vectors[f"trailer: {name}"] = frame(HEADERS, END_HEADERS, 1, fields()) + data(1, ended) + end
    vectors["DATA without END_STREAM"] = frame(HEADERS, END_HEADERS, 1, fields()) + data(1, ended)
    vectors["padding is a request"] = frame(HEADERS, END_HEADERS, 1, fields()) + frame(
        DATA, END_STREAM | 8, 1, bytes((len(INNER),)) + b"x" + INNER
    )
    return [Vector("HTTP/2", name, each) for name, each in vectors.items()]
