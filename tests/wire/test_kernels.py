"""The leaf kernels: the result of each, and equal results of both forms for all valid arguments."""

from __future__ import annotations

import itertools
import select
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pronghorn._wire import kernels as interpreted
from pronghorn.constants import COMMON_FIELD_NAMES
from tests.support.rig import Rig

TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FIELD_VALUE = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
EVERY_BYTE = [bytes([byte]) for byte in range(256)]

# Bytes that kernels treat specially, mixed with any others.
PIECES = st.one_of(
    st.sampled_from(
        [
            b"\r\n",
            b"\r",
            b"\n",
            b"\r\n\r\n",
            b": ",
            b":",
            b" ",
            b"\t",
            b"Host",
            b"X-A",
            b"%41",
            b"%",
            b"\0",
            b"\x7f",
            b"\x80",
            b"\xff",
            b"a",
            b"9",
            b"/",
        ]
    ),
    st.binary(max_size=4),
)
TEXT = st.lists(PIECES, max_size=12).map(b"".join)
SPANS = TEXT.flatmap(lambda data: st.tuples(st.just(data), *[st.integers(0, len(data))] * 2)).map(
    lambda it: (it[0], min(it[1:]), max(it[1:]))
)
LINES = st.lists(
    st.tuples(
        st.sampled_from(
            [b"", b"Host", b"x" * 63, b"x" * 64, b"X" * 65, b"Content-Length", b" A", b"A ", b"\x80", b"\0"]
        ),
        st.sampled_from([b":", b": ", b"", b" :", b":\t "]),
        TEXT,
    ),
    max_size=4,
)
SECTIONS = LINES.map(lambda lines: b"".join(b"".join(line) + b"\r\n" for line in lines))
TARGETS = st.lists(
    st.sampled_from([b"%", b"%4", b"%C3%A9", b"%ff", b"%F0%9F%90%8E", b"%e2%82", b"%00", b"a", b"~", b"F"]), max_size=8
).map(b"".join)
TOKENS = st.binary(min_size=1, max_size=70).map(lambda data: bytes(TOKEN[byte % len(TOKEN)] for byte in data))


def same_on_both_forms(*strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test that gets the compiled form once, and generated arguments for its kernels."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
        drawn: Callable[..., None] = once(given(*strategies)(test))
        return pytest.mark.parametrize("wire", ["compiled"], indirect=True)(drawn)

    return decorate


# find_byte


def test_find_byte_returns_the_first_position_in_its_range(wire: Any) -> None:
    find = wire.kernels.find_byte
    assert find(b"a:b:c", b":", 0, 5) == 1
    assert find(b"a:b:c", b":", 2, 5) == 3
    assert find(b"a:b:c", b":", 2, 3) == -1
    assert find(b"", b":", 0, 0) == -1
    assert find(b"a\0b", b"\0", 0, 3) == 1
    assert find(b"ab", b"\0", 0, 2) == -1


# find_head_end


@pytest.mark.parametrize(
    ("data", "start", "resume", "end"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 0, 0, 18),
        (b"GET / HTTP/1.1\r\n\r\nGET", 0, 0, 18),
        (b"GET / HTTP/1.1\r\n\r", 0, 0, -1),
        (b"", 0, 0, -1),
        (b"a\r\nb\r\n\r\n", 0, 3, 8),
        (b"a\r\nb\r\n\r\n", 0, 5, 8),
        (b"a\r\nb\r\n\r\n", 0, 6, 8),
        (b"a\r\nb\r\n\r\n", 0, 7, 8),
        (b"a\nb\r\n\r\n", 0, 0, -2),
        (b"a\n", 0, 0, -2),
        (b"a\r\n\n", 0, 0, -2),
        (b"a\r\n\r\n\n", 0, 0, 5),
        (b"\n", 0, 0, -2),
        (b"body\r\n", 5, 5, -2),
        (b"body\r\n\r\n", 5, 5, -2),
        (b"\r\n\r\na", 2, 2, -1),
        (b"\r\n\r\na\r\n\r\n", 2, 2, 9),
        (b"xy\r\n\r\n", 2, 2, 6),
    ],
)
def test_find_head_end_returns_the_end_or_where_to_resume(
    wire: Any, data: bytes, start: int, resume: int, end: int
) -> None:
    assert wire.kernels.find_head_end(data, start, resume) == end


def test_find_head_end_may_resume_anywhere(wire: Any) -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nGET"
    for resume in range(data.index(b"\r\n\r\n") + 3):
        assert wire.kernels.find_head_end(data[:resume], 0, 0) == -1
        assert wire.kernels.find_head_end(data, 0, resume) == len(data) - 3


# find_bare_cr


@pytest.mark.parametrize(
    ("data", "start", "end", "found"),
    [
        (b"a\r\nb\rc", 0, 6, 4),
        (b"a\r\nb\rc", 0, 5, -1),
        (b"a\r\r\n", 0, 4, 1),
        (b"a\r\n", 0, 3, -1),
        (b"a\r\n", 1, 2, -1),
        (b"\r", 0, 1, -1),
        (b"\ra", 0, 2, 0),
        (b"\ra", 1, 2, -1),
        (b"", 0, 0, -1),
    ],
)
def test_find_bare_cr_returns_the_first_position(wire: Any, data: bytes, start: int, end: int, found: int) -> None:
    assert wire.kernels.find_bare_cr(data, start, end) == found


@same_on_both_forms(SPANS)
def test_find_bare_cr_agrees_on_both_forms(wire: Any, span: Any) -> None:
    assert wire.kernels.find_bare_cr(*span) == interpreted.find_bare_cr(*span)


# cut, glue, method_end, visible_end


def test_cut_returns_the_span(wire: Any) -> None:
    assert wire.kernels.cut(b"abc", 1, 2) == b"b"
    assert wire.kernels.cut(b"abc", 0, 3) == b"abc"
    assert wire.kernels.cut(b"abc", 3, 3) == b""
    assert wire.kernels.cut(b"a\0\xffc", 1, 3) == b"\0\xff"


def test_glue_joins_five_pieces(wire: Any) -> None:
    assert wire.kernels.glue(b"a", b"", b"b\0", b"\xff", b"cd") == b"ab\0\xffcd"
    assert wire.kernels.glue(b"", b"", b"", b"", b"") == b""


def test_method_end_takes_tokens_without_lower_case(wire: Any) -> None:
    for byte in EVERY_BYTE:
        taken = byte in TOKEN and not byte.islower()
        assert wire.kernels.method_end(byte, 0, 1) == taken, byte


def test_method_end_stays_in_its_range(wire: Any) -> None:
    assert wire.kernels.method_end(b"GET /", 0, 5) == 3
    assert wire.kernels.method_end(b"GET /", 0, 2) == 2
    assert wire.kernels.method_end(b"GET", 0, 3) == 3
    assert wire.kernels.method_end(b" GET", 0, 4) == 0
    assert wire.kernels.method_end(b"GET", 3, 3) == 3


def test_visible_end_takes_visible_ascii(wire: Any) -> None:
    for code, byte in enumerate(EVERY_BYTE):
        assert wire.kernels.visible_end(byte, 0, 1) == (33 <= code <= 126), byte


def test_visible_end_stays_in_its_range(wire: Any) -> None:
    assert wire.kernels.visible_end(b"/a b", 0, 4) == 2
    assert wire.kernels.visible_end(b"/abc", 1, 3) == 3
    assert wire.kernels.visible_end(b"/abc", 4, 4) == 4


# split_fields


def split(wire: Any, data: bytes) -> Any:
    return wire.kernels.split_fields(data, 0, len(data))


def test_split_fields_returns_names_in_lower_case_and_values(wire: Any) -> None:
    assert split(wire, b"") == []
    assert split(wire, b"Host: a\r\nX-B:c\r\n") == [(b"host", b"a"), (b"x-b", b"c")]
    assert wire.kernels.split_fields(b"zzA: b\r\n\r\n", 2, 8) == [(b"a", b"b")]


def test_split_fields_trims_white_space(wire: Any) -> None:
    assert split(wire, b"A: \t b \t c\t \r\nB:\t\r\nC: \r\nD:\r\n") == [
        (b"a", b"b \t c"),
        (b"b", b""),
        (b"c", b""),
        (b"d", b""),
    ]


def test_split_fields_takes_tokens_as_names(wire: Any) -> None:
    for byte in EVERY_BYTE:
        expected = [(b"a" + byte.lower(), b"v")] if byte in TOKEN else [(b"a", b": v")] if byte == b":" else None
        assert split(wire, b"A" + byte + b": v\r\n") == expected, byte


def test_split_fields_takes_every_valid_byte_in_values(wire: Any) -> None:
    for byte in EVERY_BYTE:
        assert split(wire, b"A: x" + byte + b"y\r\n") == (
            [(b"a", b"x" + byte + b"y")] if byte in FIELD_VALUE else None
        ), byte


@pytest.mark.parametrize("size", [1, 62, 63, 64, 65, 66, 127, 128, 1000])
def test_split_fields_takes_names_of_any_length(wire: Any, size: int) -> None:
    assert split(wire, b"N" * size + b": v\r\n") == [(b"n" * size, b"v")]


def test_split_fields_separates_names_that_share_a_slot(wire: Any) -> None:
    for name in COMMON_FIELD_NAMES:
        for index in range(len(name)):
            other = name[:index] + b"z" + name[index + 1 :]
            assert split(wire, name + b":\r\n" + other.upper() + b":\r\n") == [(name, b""), (other, b"")]


@pytest.mark.parametrize(
    "section",
    [
        b": v\r\n",
        b"A\r\n",
        b"A : v\r\n",
        b"A: v\r\n B: w\r\n",
        b"A: v\r\n\tw\r\n",
        b" A: v\r\n",
        b"A: v\rB: w\r\n",
        b"A: v\r\r\n",
        b"A:\r\r\n",
        b"A: \0\r\n",
        b"\r\n",
        b"A: v\r\n\r\n",
    ],
)
def test_split_fields_refuses_malformed_lines(wire: Any, section: bytes) -> None:
    assert split(wire, section) is None


def test_split_fields_scans_a_long_run_of_spaces_once(wire: Any) -> None:
    """A run may be as long as a head. Scanning it again for each character would block the loop for seconds."""
    assert split(wire, b"A:" + b" " * 65536 + b"\0\r\n") is None
    assert split(wire, b"A: x" + b" " * 65536 + b"\0\r\n") is None
    assert split(wire, b"A: " + b"x " * 32768 + b"\0\r\n") is None


# encode_fields


def test_encode_fields_joins_lines_with_names_in_lower_case(wire: Any) -> None:
    assert wire.kernels.encode_fields([]) == b""
    assert wire.kernels.encode_fields([(b"X-A", b"b"), [b"c", b""]]) == b"x-a: b\r\nc: \r\n"


def test_encode_fields_takes_tokens_as_names(wire: Any) -> None:
    for byte in EVERY_BYTE:
        expected = b"a" + byte.lower() + b": v\r\n" if byte in TOKEN else None
        assert wire.kernels.encode_fields([(b"A" + byte, b"v")]) == expected, byte


def test_encode_fields_takes_every_valid_byte_in_values(wire: Any) -> None:
    for byte in EVERY_BYTE:
        expected = b"a: x" + byte + b"y\r\n" if byte in FIELD_VALUE else None
        assert wire.kernels.encode_fields([(b"a", b"x" + byte + b"y")]) == expected, byte


@pytest.mark.parametrize(
    "pair",
    [
        (b"", b"v"),
        ("a", b"v"),
        (b"a", "v"),
        (b"a", None),
        (b"a",),
        (b"a", b"v", b"w"),
        b"ab",
        "ab",
        None,
        {b"a": b"v"},
        (bytearray(b"a"), b"v"),
        (b"a", memoryview(b"v")),
    ],
)
def test_encode_fields_refuses_malformed_fields(wire: Any, pair: object) -> None:
    assert wire.kernels.encode_fields([(b"good", b"v"), pair]) is None


# same_name, is_plain_host, is_plain_path, decimal


def test_same_name_ignores_case(wire: Any) -> None:
    assert wire.kernels.same_name(b"Content-LENGTH", b"content-length")
    assert wire.kernels.same_name(b"", b"")
    assert not wire.kernels.same_name(b"content-lengt", b"content-length")
    assert not wire.kernels.same_name(b"content_length", b"content-length")
    assert not wire.kernels.same_name(b"\x64ate\xe0", b"date`")


def test_is_plain_host_judges_every_character(wire: Any) -> None:
    for byte in EVERY_BYTE:
        assert wire.kernels.is_plain_host(b"a" + byte + b"a") == (byte.isalnum() or byte in b".-"), byte
        assert wire.kernels.is_plain_host(b"a:1" + byte) == byte.isdigit(), byte


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (b"a", True),
        (b"a.b-c:80", True),
        (b"a:", True),
        (b"", False),
        (b":80", False),
        (b"a:80:", False),
        (b"a\0", False),
        (b"[::1]", False),
    ],
)
def test_is_plain_host_takes_names_with_an_optional_port(wire: Any, value: bytes, plain: bool) -> None:
    assert wire.kernels.is_plain_host(value) == plain


def test_is_plain_path_agrees_with_quote(wire: Any) -> None:
    from urllib.parse import quote

    for code in [*range(0x180), 0x20AC, 0x10000]:
        assert wire.kernels.is_plain_path("/" + chr(code)) == (quote("/" + chr(code)) == "/" + chr(code)), code
    assert wire.kernels.is_plain_path("")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"0", 0),
        (b"007", 7),
        (b"9" * 18, 10**18 - 1),
        (b"0" * 18, 0),
        (b"9" * 19, -1),
        (b"0" * 19, -1),
        (b"", -1),
        (b"+1", -1),
        (b"-1", -1),
        (b" 1", -1),
        (b"1 ", -1),
        (b"1\n", -1),
        (b"1_0", -1),
        (b"0x1", -1),
        (b"1\0", -1),
        ("\u0663".encode(), -1),
    ],
)
def test_decimal_reads_digits_only(wire: Any, value: bytes, number: int) -> None:
    assert wire.kernels.decimal(value) == number


# unquote


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"/a", "/a"),
        (b"%41%62", "Ab"),
        (b"%2525", "%25"),
        (b"%", "%"),
        (b"%4", "%4"),
        (b"%zz", "%zz"),
        (b"%%41", "%A"),
        (b"%4%41", "%4A"),
        (b"%00", "\0"),
        (b"%C3%A9", "\xe9"),
        (b"%c3%a9", "\xe9"),
        (b"%ff", "\ufffd"),
        (b"%C3", "\ufffd"),
        (b"%C3x", "\ufffdx"),
        (b"%ED%A0%80", "\ufffd" * 3),
        (b"+", "+"),
    ],
)
def test_unquote_decodes_as_urllib(wire: Any, raw: bytes, text: str) -> None:
    assert wire.kernels.unquote(raw, 0, len(raw)) == text


def test_unquote_does_not_look_past_its_end(wire: Any) -> None:
    assert wire.kernels.unquote(b"/%41", 0, 3) == "/%4"
    assert wire.kernels.unquote(b"/%41", 0, 2) == "/%"
    assert wire.kernels.unquote(b"%41/a%41", 3, 5) == "/a"


# monotonic, stop_with


def test_monotonic_reads_the_clock_of_time(wire: Any) -> None:
    from time import monotonic

    assert monotonic() <= wire.kernels.monotonic() <= monotonic()


def test_stop_with_ends_an_iterator(wire: Any) -> None:
    """Tested through `receive()`, since only compiled code can call the compiled kernel."""
    rig = Rig(wire)
    rig.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(StopIteration) as caught:
        next(rig.request.receive())
    assert caught.value.value == {"type": "http.request", "body": b"", "more_body": False}


def test_stop_with_does_not_change_earlier_exceptions(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    receive = rig.request.receive
    with pytest.raises(StopIteration) as first:
        next(receive())
    rig.connection.lose()
    with pytest.raises(StopIteration) as second:
        next(receive())
    assert [caught.value.value["type"] for caught in (first, second)] == ["http.request", "http.disconnect"]


# mask_key, rotate, unmask, unmask_pieces, unmask_text

KEY = 0x78563412


def masked(data: bytes) -> bytes:
    return bytes(byte ^ b"\x12\x34\x56\x78"[index % 4] for index, byte in enumerate(data))


def test_mask_key_reads_the_first_byte_lowest(wire: Any) -> None:
    assert wire.kernels.mask_key(b"ab\x12\x34\x56\x78c", 2) == KEY
    assert wire.kernels.mask_key(b"\xff\xff\xff\xff", 0) == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("count", "rotated"), [(0, KEY), (1, 0x12785634), (2, 0x34127856), (3, 0x56341278), (4, KEY), (1001, 0x12785634)]
)
def test_rotate_turns_the_key(wire: Any, count: int, rotated: int) -> None:
    assert wire.kernels.rotate(KEY, count) == rotated


@pytest.mark.parametrize("size", [*range(20), 63, 64, 65, 1000, 70000])
def test_unmask_restores_the_content(wire: Any, size: int) -> None:
    content = bytes(index * 7 % 256 for index in range(size))
    assert wire.kernels.unmask(b"ab" + masked(content) + b"c", 2, 2 + size, KEY) == content


@pytest.mark.parametrize("cuts", [(0,), (1,), (9,), (1, 2, 3), (4, 8, 8, 9), (5000, 5001), (9999,)])
def test_unmask_pieces_restores_content_cut_anywhere(wire: Any, cuts: tuple[int, ...]) -> None:
    content = bytes(index * 7 % 256 for index in range(10000))
    data = b"ab" + masked(content) + b"c"
    bounds = [0, *(2 + cut for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(bounds)]
    assert wire.kernels.unmask_pieces(pieces, 2, len(content), KEY) == content


@pytest.mark.parametrize(
    "text", ["", "a", "plain text of some length", "\x7f" * 9, "é", "aé", "x" * 100 + "€", "😀" * 9, "\0"]
)
def test_unmask_text_restores_the_text(wire: Any, text: str) -> None:
    data = text.encode()
    assert wire.kernels.unmask_text(b"ab" + masked(data) + b"c", 2, 2 + len(data), KEY) == text


@pytest.mark.parametrize(
    "data", [b"\x80", b"a" * 50 + b"\xff", b"\xe2\x82", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
)
def test_unmask_text_refuses_what_is_not_utf8(wire: Any, data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        wire.kernels.unmask_text(masked(data), 0, len(data), KEY)


# whole_frame, ascii_frame


@pytest.mark.parametrize(
    ("size", "header"), [(0, b"\x82\0"), (125, b"\x82\x7d"), (126, b"\x82\x7e\0\x7e"), (65535, b"\x82\x7e\xff\xff")]
)
def test_whole_frame_has_the_right_header(wire: Any, size: int, header: bytes) -> None:
    assert wire.kernels.whole_frame(0x82, b"x" * size) == header + b"x" * size


@pytest.mark.parametrize(("size", "header"), [(0, b"\x81\0"), (125, b"\x81\x7d"), (65535, b"\x81\x7e\xff\xff")])
def test_ascii_frame_has_the_right_header(wire: Any, size: int, header: bytes) -> None:
    assert wire.kernels.ascii_frame("x" * size) == header + b"x" * size


@pytest.mark.parametrize("text", ["é", "x" * 65536, "aaa€", "\ud800"], ids=["latin", "too long", "euro", "surrogate"])
def test_ascii_frame_returns_none_for_other_text(wire: Any, text: str) -> None:
    assert wire.kernels.ascii_frame(text) is None


# send_now

sends = pytest.mark.skipif(sys.platform == "win32", reason="only the transport writes to a socket there")


@sends
def test_send_now_sends(wire: Any) -> None:
    near, far = socket.socketpair()
    with near, far:
        assert wire.kernels.send_now(near.fileno(), b"content") == 7
        assert far.recv(100) == b"content"


# Both functions that send, called with a descriptor and one object.
SENDING = {
    "send_now": lambda kernels, fd, content: kernels.send_now(fd, content),
    "send_buffers_now": lambda kernels, fd, content: kernels.send_buffers_now(fd, [content[:1], content[1:]]),
}
sending = pytest.mark.parametrize("send", SENDING.values(), ids=SENDING)


@sends
@sending
def test_sending_does_not_wait(wire: Any, send: Any) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        content = bytes(10_000_000)
        assert 0 < send(wire.kernels, near.fileno(), content) < len(content)
        while send(wire.kernels, near.fileno(), content) > 0:
            pass
        assert send(wire.kernels, near.fileno(), b"xy") == -1


@sends
@sending
def test_sending_reports_a_closed_peer(wire: Any, send: Any) -> None:
    near, far = socket.socketpair()
    with near:
        far.close()
        assert send(wire.kernels, near.fileno(), b"xy") == -1


# send_buffers_now


@sends
def test_send_buffers_now_sends(wire: Any) -> None:
    near, far = socket.socketpair()
    with near, far:
        assert wire.kernels.send_buffers_now(near.fileno(), [b"con", b"", memoryview(b"patent")[2:]]) == 7
        assert far.recv(100) == b"content"


@sends
def test_send_buffers_now_sends_64_at_most(wire: Any) -> None:
    near, far = socket.socketpair()
    with near, far:
        assert wire.kernels.send_buffers_now(near.fileno(), [b"x"] * 64) == 64


# receive_now and receive_large

receives = pytest.mark.parametrize("receive", ["receive_now", "receive_large"])


@sends
@receives
def test_receive_receives(wire: Any, receive: str) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.send(b"content")
        assert getattr(wire.kernels, receive)(near.fileno(), 4) == b"cont"
        assert getattr(wire.kernels, receive)(near.fileno(), 4) == b"ent"


@sends
@receives
def test_receive_does_not_wait(wire: Any, receive: str) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        assert getattr(wire.kernels, receive)(near.fileno(), 10) is None


@sends
@receives
def test_receive_reports_the_end(wire: Any, receive: str) -> None:
    near, far = socket.socketpair()
    with near:
        near.setblocking(False)
        far.close()
        assert getattr(wire.kernels, receive)(near.fileno(), 10) == b""


@sends
@receives
def test_receive_raises_an_error(wire: Any, receive: str) -> None:
    near, far = socket.socketpair()
    with near:
        near.setblocking(False)
        near.send(b"never read")
        far.close()
        with pytest.raises(ConnectionResetError):
            getattr(wire.kernels, receive)(near.fileno(), 10)


@sends
@receives
@pytest.mark.parametrize("size", [0, 1, 600, 100_000])
def test_receive_returns_exactly_what_has_arrived(wire: Any, receive: str, size: int) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        content = bytes(range(256)) * 400
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 262144)  # elsewhere it is smaller
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        far.sendall(content[:size])
        far.shutdown(socket.SHUT_WR)
        received = getattr(wire.kernels, receive)(near.fileno(), 262144)
        assert received == content[:size]
        assert sys.getsizeof(received) == sys.getsizeof(content[:size])


# readable


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="the system has no epoll")
def test_readable_returns_readable_descriptors(wire: Any) -> None:
    near, far = socket.socketpair()
    with near, far, select.epoll() as epoll:
        epoll.register(near.fileno(), select.EPOLLIN)
        epoll.register(far.fileno(), select.EPOLLIN)
        assert wire.kernels.readable(epoll, 10) == []
        far.send(b"x")
        assert wire.kernels.readable(epoll, 10) == [near.fileno()]
        near.send(b"x")
        assert len(wire.kernels.readable(epoll, 1)) == 1
        assert set(wire.kernels.readable(epoll, 10)) == {near.fileno(), far.fileno()}


# Both forms


@same_on_both_forms(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 9))
def test_unmask_kernels_agree_on_both_forms(wire: Any, data: bytes, key: int, before: int, behind: int) -> None:
    start = min(before, len(data))
    end = max(start, len(data) - behind)
    assert wire.kernels.unmask(data, start, end, key) == interpreted.unmask(data, start, end, key)
    assert wire.kernels.rotate(key, end) == interpreted.rotate(key, end)


@same_on_both_forms(SPANS, st.sampled_from([b":", b"\n", b"\0", b"\xff", b"%"]))
def test_find_byte_agrees_on_both_forms(wire: Any, span: tuple[bytes, int, int], byte: bytes) -> None:
    data, start, end = span
    assert wire.kernels.find_byte(data, byte, start, end) == interpreted.find_byte(data, byte, start, end)


@same_on_both_forms(SPANS)
@example((b"\r\n", 1, 1))
@example((b"a\r\n\r\n", 2, 2))
def test_find_head_end_agrees_on_both_forms(wire: Any, span: tuple[bytes, int, int]) -> None:
    data, start, resume = span
    assert wire.kernels.find_head_end(data, start, resume) == interpreted.find_head_end(data, start, resume)


@same_on_both_forms(SPANS)
def test_span_kernels_agree_on_both_forms(wire: Any, span: tuple[bytes, int, int]) -> None:
    for name in ("cut", "method_end", "visible_end"):
        assert getattr(wire.kernels, name)(*span) == getattr(interpreted, name)(*span), name


@same_on_both_forms(TEXT, TEXT, TEXT, TEXT, TEXT)
def test_glue_agrees_on_both_forms(
    wire: Any, line: bytes, fields: bytes, block: bytes, end: bytes, body: bytes
) -> None:
    assert wire.kernels.glue(line, fields, block, end, body) == interpreted.glue(line, fields, block, end, body)


@same_on_both_forms(SECTIONS, st.binary(max_size=3))
def test_split_fields_agrees_on_both_forms(wire: Any, section: bytes, before: bytes) -> None:
    data, end = before + section + b"\r\n", len(before) + len(section)
    assert wire.kernels.split_fields(data, len(before), end) == interpreted.split_fields(data, len(before), end)


@same_on_both_forms(st.lists(st.tuples(st.one_of(TOKENS, st.sampled_from(COMMON_FIELD_NAMES)), TEXT), max_size=4))
def test_encode_fields_agrees_on_both_forms(wire: Any, fields: list[tuple[bytes, bytes]]) -> None:
    assert wire.kernels.encode_fields(fields) == interpreted.encode_fields(fields)


@same_on_both_forms(st.one_of(TOKENS, TEXT), TOKENS.map(bytes.lower))
def test_same_name_agrees_on_both_forms(wire: Any, name: bytes, lower: bytes) -> None:
    assert wire.kernels.same_name(name, lower) == interpreted.same_name(name, lower)
    assert wire.kernels.same_name(lower.upper(), lower)


@same_on_both_forms(st.one_of(TEXT, st.from_regex(rb"[a-z.\-]*:?[0-9]*.?", fullmatch=True)))
def test_is_plain_host_agrees_on_both_forms(wire: Any, value: bytes) -> None:
    assert wire.kernels.is_plain_host(value) == interpreted.is_plain_host(value)


@same_on_both_forms(st.text(max_size=8))
def test_is_plain_path_agrees_on_both_forms(wire: Any, path: str) -> None:
    assert wire.kernels.is_plain_path(path) == interpreted.is_plain_path(path)


@same_on_both_forms(st.one_of(TEXT, st.integers(0, 10**20).map(lambda number: b"%d" % number)))
def test_decimal_agrees_on_both_forms(wire: Any, value: bytes) -> None:
    assert wire.kernels.decimal(value) == interpreted.decimal(value)


@same_on_both_forms(TARGETS, st.integers(0, 3), st.integers(0, 3))
def test_unquote_agrees_on_both_forms(wire: Any, data: bytes, before: int, behind: int) -> None:
    start = min(before, len(data))
    end = max(start, len(data) - behind)
    assert wire.kernels.unquote(data, start, end) == interpreted.unquote(data, start, end)
