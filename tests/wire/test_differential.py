"""Heads compared with llhttp, every difference with its reason, and between the two forms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pronghorn._wire import kernels, shared
from pronghorn._wire.http1 import head as http1_head

pytest.importorskip("httptools")

from tests.support.oracles.llhttp import (
    KEEP_ALIVE_DIFFERS,
    LLHTTP_REFUSES,
    WE_REFUSE,
    Llhttp,
    check,
    check_alike,
    read,
    why_keep_alive_differs,
    why_llhttp_refuses,
)

INTERPRETED = SimpleNamespace(http1_head=http1_head, kernels=kernels, shared=shared)
BOTH_FORMS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=400
)

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
    check(wire, data)


@pytest.mark.parametrize("reason", WE_REFUSE)
def test_head_that_only_llhttp_accepts_has_its_reason(wire: Any, reason: str) -> None:
    data = WE_REFUSE[reason][0]
    assert read(wire, data) == reason
    assert not Llhttp(data).error


@pytest.mark.parametrize("key", LLHTTP_REFUSES)
def test_head_that_only_llhttp_refuses_has_its_reason(wire: Any, key: str) -> None:
    data = LLHTTP_REFUSES[key][0]
    assert why_llhttp_refuses(read(wire, data), data) == key
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
    check_alike(read(wire, data), read(INTERPRETED, data))
