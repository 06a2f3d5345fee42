"""Header compression: RFC 7541's examples, its errors, and the table that follows the client's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.errors import HTTP2Error
from pronghorn.http2_constants import COMPRESSION_ERROR, ENHANCE_YOUR_CALM
from tests.support.forms import FORMS, load_form
from tests.support.http2 import literal

LIMIT = 65536
GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]


def decoder(wire: Any) -> Any:
    return wire.http2.hpack.Decoder()


def decode(wire: Any, *blocks: bytes) -> Any:
    """The fields of the last block."""
    each = decoder(wire)
    for block in blocks:
        fields = each.decode(block, LIMIT)
    return fields


def insert(name: bytes, value: bytes) -> bytes:
    """A literal that the table keeps."""
    return b"\x40" + literal(name, value)[1:]


# RFC 7541 appendix C.3 and C.4: the same requests without and with Huffman code.
@pytest.mark.parametrize(
    "blocks",
    [
        (
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ),
        (
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ),
    ],
    ids=["plain", "Huffman"],
)
def test_requests_of_the_specification(wire: Any, blocks: tuple[str, ...]) -> None:
    each = decoder(wire)
    first, second, third = (each.decode(bytes.fromhex(block), LIMIT) for block in blocks)
    assert first == GET
    assert second == [*GET, (b"cache-control", b"no-cache")]
    assert third == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ]
    assert each.malformed is None


def test_literal_without_a_table_entry_is_not_kept(wire: Any) -> None:
    each = decoder(wire)
    assert each.decode(literal(b"a", b"b") + b"\x10" + literal(b"c", b"d")[1:], LIMIT) == [(b"a", b"b"), (b"c", b"d")]
    with pytest.raises(HTTP2Error):
        each.decode(b"\xbe", LIMIT)


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # no entry yet
        b"\xff\xff\xff\xff\xff\xff\x01",  # integer too long
        b"\xff",  # integer cut off
        b"\x00",  # no name
        b"\x00\x01",  # name cut off
        b"\x00\x01a",  # no value
        b"\x00\x01a\x7f\x00",  # value cut off
        b"\x00\x81\xff\x00",  # padding of 8 bits
        b"\x3f\xe2\x1f",  # table above 4096
        b"\x82\x20",  # size update after a field
        b"\x20\x20\x20\x82",  # three size updates
        b"\x7e",  # name of an entry that does not exist
    ],
)
def test_malformed_block_is_an_error_of_compression(wire: Any, block: bytes) -> None:
    with pytest.raises(HTTP2Error) as caught:
        decode(wire, block)
    assert caught.value.code == COMPRESSION_ERROR


def test_table_size_changes_at_the_start_of_a_block(wire: Any) -> None:
    kept = insert(b"a", b"b")
    assert decode(wire, kept, b"\xbe") == [(b"a", b"b")]
    assert decode(wire, kept, b"\x3f\xe1\x1f\xbe") == [(b"a", b"b")]
    with pytest.raises(HTTP2Error):
        decode(wire, kept, b"\x20\x3f\xe1\x1f\xbe")


def test_oldest_entry_makes_room(wire: Any) -> None:
    # Each has 32 bytes more than its name and value: four fill the table exactly.
    blocks = [insert(b"%d" % index, b"v" * 991) for index in range(5)]
    each = decoder(wire)
    for block in blocks:
        each.decode(block, LIMIT)
    assert [each.decode(bytes((0xBE + index,)), LIMIT)[0][0] for index in range(4)] == [b"4", b"3", b"2", b"1"]
    with pytest.raises(HTTP2Error):
        each.decode(b"\xc2", LIMIT)


def test_entry_larger_than_the_table_empties_it(wire: Any) -> None:
    each = decoder(wire)
    each.decode(insert(b"a", b"b"), LIMIT)
    assert each.decode(insert(b"c", b"v" * 4096), LIMIT) == [(b"c", b"v" * 4096)]
    with pytest.raises(HTTP2Error):
        each.decode(b"\xbe", LIMIT)


def test_entry_takes_its_name_from_the_one_that_it_evicts(wire: Any) -> None:
    each = decoder(wire)
    each.decode(insert(b"n" * 2000, b"v" * 2000), LIMIT)
    assert each.decode(b"\x7e\x7f\xb1\x0e" + b"w" * 1968, LIMIT) == [(b"n" * 2000, b"w" * 1968)]


@pytest.mark.parametrize(("name", "value"), [(b"A", b"b"), (b"", b"b"), (b"a", b"b\n"), (b"a", b" b"), (b":a", b"b")])
def test_malformed_field_is_left_out_and_kept_in_the_table(wire: Any, name: bytes, value: bytes) -> None:
    each = decoder(wire)
    assert each.decode(insert(b"x", b"y") + insert(name, value), LIMIT) == [(b"x", b"y")]
    assert each.malformed[:2] == (name, value)
    assert each.decode(b"\xbf", LIMIT) == [(b"x", b"y")]
    assert each.malformed is None
    assert each.decode(b"\xbe", LIMIT) == []
    assert each.malformed[:2] == (name, value)


def test_list_above_its_limit_is_cut_off_but_followed(wire: Any) -> None:
    each = decoder(wire)
    fields = each.decode(insert(b"a", b"b" * 67) + b"\xbe" * 38 + insert(b"c", b"d"), 1000)
    assert fields == [(b"a", b"b" * 67)] * 10
    assert each.size == 39 * 100 + 34
    assert each.decode(b"\xbe\xbf", LIMIT) == [(b"c", b"d"), (b"a", b"b" * 67)]


def test_list_far_above_its_limit_is_not_decoded(wire: Any) -> None:
    with pytest.raises(HTTP2Error) as caught:
        decoder(wire).decode(insert(b"a", b"b" * 67) + b"\xbe" * 40, 1000)
    assert caught.value.code == ENHANCE_YOUR_CALM


NAMES = st.sampled_from([b":path", b":method", b"cookie", b"accept", b"x-own", b"x" * 100])
VALUES = st.one_of(
    st.sampled_from([b"GET", b"/", b"", b"gzip, deflate"]),
    st.text("abcXYZ0189-_/?=&;~^|", max_size=60).map(str.encode),
    st.integers(1, 3000).map(lambda size: b"v" * size),
)
BLOCKS = st.lists(st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=8), min_size=1, max_size=6)


@given(blocks=BLOCKS, huffman=st.booleans(), sizes=st.lists(st.integers(0, 4096), min_size=6, max_size=6))
def test_agrees_with_another_implementation(blocks: Any, huffman: bool, sizes: list[int]) -> None:
    hpack = pytest.importorskip("hpack", reason="hpack is not installed")
    encoder = hpack.Encoder()
    decoders = [decoder(load_form(form)) for form in FORMS]
    for fields, size in zip(blocks, sizes, strict=False):
        encoder.header_table_size = size
        block = encoder.encode(fields, huffman=huffman)
        for each in decoders:
            assert each.decode(block, 1 << 20) == [(name, value) for name, value, _ in fields]


@given(blocks=st.lists(st.binary(max_size=60), max_size=4))
def test_both_forms_read_any_bytes_alike(blocks: list[bytes]) -> None:
    decoders = [decoder(load_form(form)) for form in FORMS]
    for block in blocks:
        results = []
        for each in decoders:
            try:
                results.append((each.decode(block, LIMIT), each.malformed, each.size))
            except HTTP2Error as error:
                results.append(str(error))
        assert results[0] == results[1]
        if isinstance(results[0], str):
            break
