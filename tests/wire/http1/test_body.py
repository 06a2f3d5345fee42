"""Bodies: the Decoder's results, refusals and limits, however the input is split."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pronghorn import constants
from pronghorn.errors import ProtocolError
from tests.support.splits import three_ways

TAIL = b"GET /tail HTTP/1.1\r\n\r\n"
WAYS = ("whole", "byte by byte", "with a tail")
by_way = pytest.mark.parametrize("way", WAYS)
with_both_forms = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def make_decoder(wire: Any, length: int | None = None, **limits: int) -> Any:
    """A decoder of a body of `length` bytes, or of a chunked one."""
    kind = constants.CHUNKED if length is None else constants.LENGTH
    return wire.body.Decoder(kind, length or 0, wire.shared.Limits(**limits))


def decode(decoder: Any, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Feed pieces as a connection does, with unused bytes before the next; return the content and the rest."""
    content, buffer = b"", b""
    for piece in pieces:
        buffer += piece
        if not decoder.done and buffer:
            content += decoder.feed(buffer, 0)
            buffer = buffer[decoder.position :]
    return content, buffer


def refusal(wire: Any, pieces: list[bytes], **limits: int) -> tuple[int, str]:
    with pytest.raises(ProtocolError) as caught:
        decode(make_decoder(wire, **limits), pieces)
    return caught.value.status, caught.value.reason


# Declared length


@by_way
def test_body_of_declared_length_is_read_whole(wire: Any, way: str) -> None:
    decoder = make_decoder(wire, 11)
    assert decode(decoder, three_ways(b"hello\0\r\n\r\n\xff", TAIL)[way]) == (
        b"hello\0\r\n\r\n\xff",
        TAIL if way == "with a tail" else b"",
    )
    assert (decoder.done, decoder.remaining, decoder.size) == (True, 0, 11)


def test_body_of_length_zero_is_done_from_the_start(wire: Any) -> None:
    assert make_decoder(wire, 0).done


def test_body_of_declared_length_is_not_done_early(wire: Any) -> None:
    decoder = make_decoder(wire, 3)
    assert decoder.feed(b"ab", 0) == b"ab"
    assert (decoder.done, decoder.remaining, decoder.position) == (False, 1, 2)


def test_body_begins_at_the_given_position(wire: Any) -> None:
    decoder = make_decoder(wire, 3)
    assert decoder.feed(b"head\r\n\r\nabcTAIL", 8) == b"abc"
    assert (decoder.done, decoder.position) == (True, 11)


def test_whole_piece_is_not_copied(wire: Any) -> None:
    piece = b"x" * 1000
    assert make_decoder(wire, 2000).feed(piece, 0) is piece


def test_length_may_have_eighteen_digits(wire: Any) -> None:
    decoder = make_decoder(wire, 10**18 - 1)
    assert decoder.feed(b"ab", 0) == b"ab"
    assert decoder.remaining == 10**18 - 3


def test_declared_length_is_limited(wire: Any) -> None:
    assert not make_decoder(wire, 10, body_size=10).done
    with pytest.raises(ProtocolError) as caught:
        make_decoder(wire, 11, body_size=10)
    assert (caught.value.status, caught.value.reason) == (413, "body too long")


# Chunked

CHUNKED = {
    "nothing": (b"0\r\n\r\n", b""),
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "chunks": (b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "hexadecimal, either case": (b"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", b"01234567890123456789a"),
    "leading zeros": (b"005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "fifteen digits": (b"000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
    "content like framing": (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
    "content of every byte": (b"100\r\n" + bytes(range(256)) + b"\r\n0\r\n\r\n", bytes(range(256))),
    "extension": (b"5;a\r\nhello\r\n0;b\r\n\r\n", b"hello"),
    "extension with a value": (b'5;a=b;c="d; e"\r\nhello\r\n0\r\n\r\n', b"hello"),
    "extension with white space": (b"5; \ta = b\r\nhello\r\n0\r\n\r\n", b"hello"),
    "extension behind white space": (b"5 \t;a=b\r\nhello\r\n0 ;c\r\n\r\n", b"hello"),
    "extension before white space": (b"5;a=b \r\nhello\r\n0;c \r\n\r\n", b"hello"),
    "extension with a quoted pair": (b'5;a="b\\"c;\\\\";d\r\nhello\r\n0\r\n\r\n', b"hello"),
    "extension with an empty string": (b'5;a = "" ; b\r\nhello\r\n0\r\n\r\n', b"hello"),
    "extension with a string that is not ASCII": (b'5;a="\xff\\\xff\t"\r\nhello\r\n0\r\n\r\n', b"hello"),
    "extension with a value that is no token": (b"5;signature=a+/b==:c\r\nhello\r\n0\r\n\r\n", b"hello"),
    "empty extensions": (b"5;;=; ;\r\nhello\r\n0\r\n\r\n", b"hello"),
    "extension that is not ASCII": (b"5;a=\xc3\xa9\r\nhello\r\n0\r\n\r\n", b"hello"),
    "empty extension": (b"5;\r\nhello\r\n0\r\n\r\n", b"hello"),
    "trailer": (b"1\r\nx\r\n0\r\nA: b\r\n\r\n", b"x"),
    "trailers": (b"0\r\nA: b\r\nContent-Length: 9\r\nHost:\r\n\r\n", b""),
}


@by_way
@pytest.mark.parametrize("name", CHUNKED)
def test_chunked_body_is_read_whole(wire: Any, name: str, way: str) -> None:
    data, content = CHUNKED[name]
    decoder = make_decoder(wire)
    assert decode(decoder, three_ways(data, TAIL)[way]) == (content, TAIL if way == "with a tail" else b"")
    assert decoder.done
    assert decoder.size == len(content)


@pytest.mark.parametrize("name", CHUNKED)
def test_chunked_body_may_be_split_anywhere(wire: Any, name: str) -> None:
    data, content = CHUNKED[name]
    for index in range(len(data)):
        decoder = make_decoder(wire)
        assert decode(decoder, [data[:index], data[index:]]) == (content, b""), index
        assert decoder.done


@pytest.mark.parametrize("name", CHUNKED)
def test_chunked_body_is_not_done_early(wire: Any, name: str) -> None:
    data = CHUNKED[name][0]
    for index in range(len(data)):
        decoder = make_decoder(wire)
        decode(decoder, [data[:index]])
        assert not decoder.done, index


REFUSED = {
    "no size": (b"\r\nhello\r\n", "malformed chunk size"),
    "no size before an extension": (b";a\r\nhello\r\n", "malformed chunk size"),
    "not hexadecimal": (b"g\r\nhello\r\n", "malformed chunk size"),
    "0x": (b"0x5\r\nhello\r\n", "malformed chunk size"),
    "plus": (b"+5\r\nhello\r\n", "malformed chunk size"),
    "minus": (b"-5\r\nhello\r\n", "malformed chunk size"),
    "underscore": (b"0_5\r\nhello\r\n", "malformed chunk size"),
    "space before": (b" 5\r\nhello\r\n", "malformed chunk size"),
    "space behind": (b"5 \r\nhello\r\n", "malformed chunk size"),
    "tab behind": (b"5\t\r\nhello\r\n", "malformed chunk size"),
    "NUL behind": (b"5\0\r\nhello\r\n", "malformed chunk size"),
    "vertical tab before": (b"\x0b5\r\nhello\r\n", "malformed chunk size"),
    "digit of another script": ("\u0665\r\nhello\r\n".encode(), "malformed chunk size"),
    "sixteen digits": (b"1000000000000005\r\nhello\r\n", "malformed chunk size"),
    "sixteen digits, zeros": (b"0000000000000005\r\nhello\r\n", "malformed chunk size"),
    "quoted": (b'"5"\r\nhello\r\n', "malformed chunk size"),
    "comma": (b"5,5\r\nhello\r\n", "malformed chunk size"),
    "bare LF behind the size": (b"5\nhello\r\n", "malformed chunk size"),
    "bare LF behind an extension": (b"5;a\nhello\r\n", "malformed chunk size"),
    "bare CR in an extension": (b"5;a\rb\r\nhello\r\n", "malformed chunk size"),
    "two CRs behind the size": (b"5\r\r\nhello\r\n", "malformed chunk size"),
    "bare CR behind the size, no LF": (b"5\rX", "malformed chunk size"),
    "bare CR in an extension, no LF": (b"5;a\rb", "malformed chunk size"),
    "white space before nothing": (b"5 \t\r\nhello\r\n", "malformed chunk size"),
    "quote without end": (b'5;a="b\r\nhello\r\n', "malformed chunk size"),
    "quote that ends behind the line": (b'5;a="b\r\nhello\r\n0;c="\r\n\r\n', "malformed chunk size"),
    "quote with an escaped end": (b'5;a="b\\"\r\nhello\r\n', "malformed chunk size"),
    "quoted pair without its second": (b'5;a="b\\\r\nhello\r\n', "malformed chunk size"),
    "quote behind another": (b'5;a="b";c="d\r\nhello\r\n', "malformed chunk size"),
    "characters behind a quote": (b'5;a="b"c\r\nhello\r\n', "malformed chunk size"),
    "quote inside a value": (b'5;a=b"c"\r\nhello\r\n', "malformed chunk size"),
    "quote in a name": (b'5;a"="b\r\nhello\r\n', "malformed chunk size"),
    "quotes in place of a name": (b'5;"a"\r\nhello\r\n', "malformed chunk size"),
    "quotes over an equals sign": (b'5;a"="\r\nhello\r\n', "malformed chunk size"),
    "quote behind two equals signs": (b'5;a=="b"\r\nhello\r\n', "malformed chunk size"),
    "backslash outside of quotes": (b'5;a=\\"b"\r\nhello\r\n', "malformed chunk size"),
    "backslash at the end": (b"5;a=b\\\r\nhello\r\n", "malformed chunk size"),
    "control character in a string": (b'5;a="\x01"\r\nhello\r\n', "malformed chunk size"),
    "escaped control character": (b'5;a="\\\0"\r\nhello\r\n', "malformed chunk size"),
    "quote in the last chunk's line": (b'0;a="\r\n\r\n', "malformed chunk size"),
    "NUL in an extension": (b"5;a\0\r\nhello\r\n", "malformed chunk size"),
    "DEL in an extension": (b"5;a\x7f\r\nhello\r\n", "malformed chunk size"),
    "empty line between chunks": (b"1\r\nx\r\n\r\n0\r\n\r\n", "malformed chunk size"),
    "no CRLF behind the content": (b"5\r\nhello0\r\n\r\n", "chunk longer than its size"),
    "content longer than its size": (b"4\r\nhello\r\n0\r\n\r\n", "chunk longer than its size"),
    "bare LF behind the content": (b"5\r\nhello\n0\r\n\r\n", "chunk longer than its size"),
    "bare CR behind the content": (b"5\r\nhello\r0\r\n\r\n", "chunk longer than its size"),
    "trailer without a colon": (b"0\r\nA\r\n\r\n", "malformed trailer"),
    "trailer with a space before the colon": (b"0\r\nA : b\r\n\r\n", "malformed trailer"),
    "folded trailer": (b"0\r\nA: b\r\n c\r\n\r\n", "malformed trailer"),
    "trailer with a NUL": (b"0\r\nA: \0\r\n\r\n", "malformed trailer"),
    "trailer with a bare CR": (b"0\r\nA: b\rC: d\r\n\r\n", "malformed trailer"),
    "bare CR in place of the last line": (b"0\r\n\rA: b\r\n\r\n", "malformed trailer"),
    "bare CR in place of the last line, no LF": (b"0\r\n\rX", "malformed trailer"),
    "trailer with a bare CR, no LF": (b"0\r\nA: b\rX", "malformed trailer"),
    "a request in place of trailers": (b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed trailer"),
    "bare LF in a trailer": (b"0\r\nA: b\nC: d\r\n\r\n", "malformed trailer"),
    "bare LF in place of the last line": (b"0\r\n\n", "malformed trailer"),
    "bare CR before a bare LF": (b"0\r\n\rA: b\n", "malformed trailer"),
    "bare LF behind trailers": (b"0\r\nA: b\r\n\n", "malformed trailer"),
}


@by_way
@pytest.mark.parametrize("name", REFUSED)
def test_malformed_chunked_body_is_refused(wire: Any, name: str, way: str) -> None:
    data, reason = REFUSED[name]
    assert refusal(wire, three_ways(data, TAIL)[way]) == (400, reason)


def test_chunk_size_takes_hexadecimal_digits_only(wire: Any) -> None:
    for byte in range(256):
        data = bytes([byte]) + b"\r\n"
        if byte in b"0123456789abcdefABCDEF":
            decoder = make_decoder(wire)
            decode(decoder, [data])
            assert decoder.remaining == int(chr(byte), 16)
        elif byte != 10:
            assert refusal(wire, [data]) == (400, "malformed chunk size"), byte


def test_chunk_size_may_have_fifteen_digits(wire: Any) -> None:
    decoder = make_decoder(wire)
    assert decode(decoder, [b"fffffffffffffff\r\nab"]) == (b"ab", b"")
    assert decoder.remaining == 0xFFFFFFFFFFFFFFF - 2


def test_endless_chunk_is_passed_on_as_it_arrives(wire: Any) -> None:
    decoder = make_decoder(wire)
    decode(decoder, [b"ffff\r\n"])
    assert [decode(decoder, [b"x" * 100]) for _ in range(3)] == [(b"x" * 100, b"")] * 3


# Limits


@by_way
def test_chunk_extensions_are_limited(wire: Any, way: str) -> None:
    line = b"1;" + b"x" * 4092 + b"\r\n"
    decoder = make_decoder(wire)
    assert decode(decoder, three_ways(line + b"a\r\n0\r\n\r\n", TAIL)[way])[0] == b"a"
    assert refusal(wire, three_ways(b"1;x" + line[2:], TAIL)[way]) == (400, "chunk extensions too long")


def test_chunk_line_is_scanned_once(wire: Any) -> None:
    """Holds for any extensions. Quadratic scanning would exceed the time of a test."""
    for part in (b" ;", b';"', b";=", b';a="\\', b'; a = "b" '):
        assert refusal(wire, [b"1" + part * (4000 // len(part)) + b"\0\r\n"]) == (400, "malformed chunk size")


def test_trailers_are_scanned_once(wire: Any) -> None:
    """Holds for any split. Quadratic scanning would exceed the time of a test."""
    decoder = make_decoder(wire, head_size=1 << 23)
    decode(decoder, [b"0\r\n"])
    data = b""
    for _ in range(1 << 9):
        data += b"a: b\r\n" * (1 << 10)
        assert decoder.feed(data, 0) == b""
    assert not decoder.done


def test_chunk_line_without_end_is_limited(wire: Any) -> None:
    assert refusal(wire, [b"1;" + b"x" * 4095]) == (400, "chunk extensions too long")


@by_way
def test_content_of_chunks_is_limited(wire: Any, way: str) -> None:
    data = b"6\r\nabcdef\r\n4\r\nghij\r\n0\r\n\r\n"
    decoder = make_decoder(wire, body_size=10)
    assert decode(decoder, three_ways(data, TAIL)[way])[0] == b"abcdefghij"
    assert refusal(wire, three_ways(data, TAIL)[way], body_size=9) == (413, "body too long")


def test_chunk_is_refused_by_its_size_alone(wire: Any) -> None:
    assert refusal(wire, [b"fffffffffffffff\r\n"], body_size=10) == (413, "body too long")


@by_way
def test_number_of_trailers_is_limited(wire: Any, way: str) -> None:
    data = b"0\r\n" + b"A: b\r\n" * 3 + b"\r\n"
    decoder = make_decoder(wire, head_fields=3)
    decode(decoder, three_ways(data, TAIL)[way])
    assert decoder.done
    assert refusal(wire, three_ways(data, TAIL)[way], head_fields=2) == (431, "too many trailer fields")


@by_way
def test_size_of_trailers_is_limited(wire: Any, way: str) -> None:
    data = b"0\r\nA: bcde\r\n\r\n"
    decoder = make_decoder(wire, head_size=11)
    decode(decoder, three_ways(data, TAIL)[way])
    assert decoder.done
    assert refusal(wire, three_ways(data, TAIL)[way], head_size=10) == (431, "trailers too long")


def test_trailers_without_end_are_limited(wire: Any) -> None:
    assert refusal(wire, [b"0\r\nA: " + b"x" * 100], head_size=50) == (431, "trailers too long")


# Generated


def chunk(content: bytes, extension: bytes) -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(content), extension, content)


CHUNKS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=40), st.sampled_from([b"", b";a", b" ;a=b", b'; a="\xff"', b';a="\\"";b'])
    ),
    max_size=6,
)
TRAILERS = st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC:\r\n"])
CUTS = st.lists(st.integers(0, 400), max_size=8)


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(index, len(data)) for index in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(CHUNKS, TRAILERS, CUTS, st.sampled_from([b"", b"x", b"\r\n", TAIL]))
@with_both_forms
def test_chunks_are_read_alike_however_they_are_split(
    wire: Any, chunks: list[tuple[bytes, bytes]], trailers: bytes, cuts: list[int], tail: bytes
) -> None:
    data = b"".join(chunk(*each) for each in chunks) + b"0\r\n" + trailers + b"\r\n" + tail
    decoder = make_decoder(wire)
    assert decode(decoder, split_at(data, cuts)) == (b"".join(content for content, _ in chunks), tail)
    assert decoder.done


@given(st.binary(max_size=100), CUTS, st.binary(max_size=5))
@with_both_forms
def test_body_of_declared_length_is_read_alike_however_it_is_split(
    wire: Any, content: bytes, cuts: list[int], tail: bytes
) -> None:
    decoder = make_decoder(wire, len(content))
    assert decode(decoder, split_at(content + tail, cuts)) == (content, tail)
    assert decoder.done


@given(
    CHUNKS,
    CUTS,
    st.integers(0, 300),
    st.one_of(st.binary(max_size=3), st.sampled_from([b"\r", b"\n", b"\r\n", b";", b"0", b" ", b'"', b"\\"])),
)
@with_both_forms
def test_damaged_chunks_end_alike_however_they_are_split(
    wire: Any, chunks: list[tuple[bytes, bytes]], cuts: list[int], index: int, damage: bytes
) -> None:
    """Compare the status, or the content. The reason and the content before an error may differ."""
    data = b"".join(chunk(*each) for each in chunks) + b"0\r\nA: b\r\n\r\n"
    index = min(index, len(data))
    data = data[:index] + damage + data[index + 1 :] + b"\r\n\r\n"

    def outcome(pieces: list[bytes]) -> object:
        decoder = make_decoder(wire)
        try:
            return decode(decoder, pieces), decoder.done
        except ProtocolError as error:
            return error.status

    assert outcome(split_at(data, cuts)) == outcome([data])
