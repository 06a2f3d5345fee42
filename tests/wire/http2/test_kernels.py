"""The kernels of HTTP/2, in both forms: RFC 7541's Huffman code and literals, and RFC 9113's frames."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn._wire.http2 import kernels
from pronghorn.hpack_tables import STATIC_TABLE
from tests.support.forms import load_form
from tests.support.http2 import decode, split_frames

NAMES = st.sampled_from([name for name, _ in STATIC_TABLE[14:]] + [b"x-own", b"Content-Type", b"X" * 200])
VALUES = st.binary(max_size=200).map(
    lambda value: bytes(byte for byte in value if byte == 9 or (byte >= 32 and byte != 127))
)


# RFC 7541 appendix C.4 to C.6.
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", b""),
        ("f1e3c2e5f23a6ba0ab90f4ff", b"www.example.com"),
        ("a8eb10649cbf", b"no-cache"),
        ("25a849e95ba97d7f", b"custom-key"),
        ("6402", b"302"),
        ("aec3771a4b", b"private"),
        ("d07abe941054d444a8200595040b8166e082a62d1bff", b"Mon, 21 Oct 2013 20:13:21 GMT"),
        ("9d29ad171863c78f0b97c8e9ae82ae43d3", b"https://www.example.com"),
    ],
)
def test_huffman_code_is_decoded(wire: Any, code: str, text: bytes) -> None:
    data = b"before" + bytes.fromhex(code) + b"after"
    assert wire.http2.kernels.unhuffman(data, 6, len(data) - 5) == text


@pytest.mark.parametrize(
    "code",
    ["ff", "f8ff", "00", "fffffffc", "ffffffff", "1fff"],
    ids=["padding of 8 bits", "padding of 8 bits after text", "padding of zeros", "EOS", "EOS and more", "11 bits"],
)
def test_malformed_huffman_code_is_refused(wire: Any, code: str) -> None:
    data = bytes.fromhex(code)
    assert wire.http2.kernels.unhuffman(data, 0, len(data)) is None


@given(data=st.binary(max_size=600))
def test_both_forms_decode_any_huffman_code_alike(data: bytes) -> None:
    assert load_form("compiled").http2.kernels.unhuffman(data, 0, len(data)) == kernels.unhuffman(data, 0, len(data))


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        (b"accept", b"*/*", True),
        (b":method", b"GET", True),
        (b"x", b"", True),
        (b"x", b"a b\tc\xff", True),
        (b"", b"a", False),
        (b"Accept", b"a", False),
        (b"a b", b"a", False),
        (b"a:", b"a", False),
        (b":status", b"200", False),
        (b":", b"a", False),
        (b"x", b" a", False),
        (b"x", b"a\t", False),
        (b"x", b"a\rb", False),
        (b"x", b"a\nb", False),
        (b"x", b"a\0b", False),
        (b"x", b"\x7f", False),
    ],
)
def test_field_of_a_request_is_checked(wire: Any, name: bytes, value: bytes, valid: bool) -> None:
    assert bool(wire.http2.kernels.is_field(name, value)) is valid


@given(fields=st.lists(st.tuples(NAMES, VALUES), max_size=20))
def test_literals_decode_to_the_same_fields(fields: list[tuple[bytes, bytes]]) -> None:
    encoded = kernels.encode_literals(fields)
    assert load_form("compiled").http2.kernels.encode_literals(fields) == encoded
    assert decode(encoded) == [(name.lower(), value.strip(b" \t")) for name, value in fields]


@pytest.mark.parametrize(
    "fields",
    [
        [(b"a", "b")],
        [(b"a",)],
        [b"a"],
        [(b"", b"b")],
        [(b"a b", b"c")],
        [(b"a", b"b\r\n")],
        [(b"a", bytearray(b"b"))],
        [(b"a", b"b", b"c")],
        [(b":status", b"200")],
    ],
)
def test_unsendable_fields_have_no_literals(wire: Any, fields: list[Any]) -> None:
    assert wire.http2.kernels.encode_literals(fields) is None


def test_secrets_are_never_indexed(wire: Any) -> None:
    assert wire.http2.kernels.encode_literals([(b"Set-Cookie", b"a"), [b"authorization", b"b"], (b"date", b"c")]) == (
        b"\x1f\x28\x01a\x1f\x08\x01b\x0f\x12\x01c"
    )


@pytest.mark.parametrize(("content", "ends"), [(b"", False), (b"", True), (b"abc", False), (b"abc", True)])
def test_response_is_one_or_two_frames(wire: Any, content: bytes, ends: bool) -> None:
    frames = split_frames(wire.http2.kernels.frame_response(5, b"\x88", b"default", b"own", content, ends))
    assert frames[0][1:] == (4 | (ends and not content), 5, b"\x88defaultown")
    assert [each[1:] for each in frames[1:]] == ([(int(ends), 5, b"abc")] if content else [])


@pytest.mark.parametrize(("size", "stream"), [(0, 0), (16384, 1), (16777215, 0x7FFFFFFF)])
def test_frame_header_holds_its_numbers(wire: Any, size: int, stream: int) -> None:
    header = wire.http2.kernels.frame_header(size, 3, 4, stream)
    assert header == size.to_bytes(3, "big") + b"\3\4" + stream.to_bytes(4, "big")


def test_word_frame_holds_a_number(wire: Any) -> None:
    assert split_frames(wire.http2.kernels.word_frame(8, 3, 0x7FFFFFFF)) == [(8, 0, 3, b"\x7f\xff\xff\xff")]
