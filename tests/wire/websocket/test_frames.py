"""Frames: reading a client's frames, refusals with their codes, and writing the server's."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from pronghorn.errors import FrameError
from tests.support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    NOTHING,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    VIOLATION,
    close,
    drain,
    every_way,
    fragments,
    frame,
    served,
)

MIB = 1048576


def read(wire: Any, data: bytes, max_size: int = MIB) -> list[Any]:
    """The result of a Reader for `data`, however it is split."""
    return every_way(lambda: wire.frames.Reader(max_size), data)


def violation(wire: Any, data: bytes, max_size: int = MIB) -> int:
    """The code of the violation in `data`, which no message or control frame precedes."""
    [(kind, code)] = read(wire, data, max_size)
    assert kind == VIOLATION
    return int(code)


# Lengths (section 5.2)

BORDERS = (0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537)


@pytest.mark.parametrize("size", BORDERS)
def test_binary_frame_is_read_in_every_length_form(wire: Any, size: int) -> None:
    payload = bytes(index * 7 & 255 for index in range(size))
    assert read(wire, frame(BINARY, payload)) == [(BINARY, payload)]


@pytest.mark.parametrize("size", BORDERS)
def test_text_frame_is_read_in_every_length_form(wire: Any, size: int) -> None:
    text = ("ab€" * (size // 5 + 1)).encode()[: size - size % 5] + b"x" * (size % 5)
    assert read(wire, frame(TEXT, text)) == [(TEXT, text.decode())]


def test_payload_is_exactly_bytes_or_str(wire: Any) -> None:
    reader = wire.frames.Reader(MIB)
    for opcode, kind in [(TEXT, str), (BINARY, bytes), (PING, bytes), (PONG, bytes)]:
        for payload in (b"", b"a"):
            reader.feed(frame(opcode, payload))
            reader.next()
            assert type(reader.payload) is kind


def test_empty_input_yields_no_frame(wire: Any) -> None:
    reader = wire.frames.Reader(MIB)
    assert [reader.next(), reader.next()] == [NOTHING, NOTHING]


def test_frame_is_read_once(wire: Any) -> None:
    reader = wire.frames.Reader(MIB)
    reader.feed(frame(TEXT, b"a"))
    assert [reader.next(), reader.next()] == [TEXT, NOTHING]


def test_consecutive_frames_are_read_in_order(wire: Any) -> None:
    data = frame(TEXT, b"a") + frame(BINARY, b"b" * 200) + frame(PING) + frame(TEXT) + frame(BINARY, b"c" * 70000)
    assert read(wire, data) == [(TEXT, "a"), (BINARY, b"b" * 200), (PING, b""), (TEXT, ""), (BINARY, b"c" * 70000)]


@pytest.mark.parametrize(
    ("payload", "bits"),
    [(b"", 16), (b"x" * 125, 16), (b"", 64), (b"x" * 125, 64), (b"x" * 126, 64), (b"x" * 65535, 64)],
    ids=lambda value: str(len(value)) if isinstance(value, bytes) else f"in {value} bits",
)
def test_length_must_be_in_its_shortest_form(wire: Any, payload: bytes, bits: int) -> None:
    assert violation(wire, frame(BINARY, payload, bits=bits)) == 1002


@pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 5, (1 << 64) - 1])
def test_top_bit_of_a_length_must_be_zero(wire: Any, length: int) -> None:
    assert violation(wire, frame(BINARY, b"x", length=length)) == 1002


def test_longest_valid_length_is_refused_as_too_big(wire: Any) -> None:
    assert violation(wire, frame(BINARY, b"x", length=(1 << 63) - 1)) == 1009


# Masks (section 5.3)


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\0\0\0", b"\0\0\0\x80", b"abcd"])
def test_payload_is_unmasked_with_any_key(wire: Any, mask: bytes) -> None:
    payload = bytes(range(256)) * 2
    assert read(wire, frame(BINARY, payload, mask=mask)) == [(BINARY, payload)]


def test_every_frame_has_its_own_mask(wire: Any) -> None:
    data = (
        frame(BINARY, b"abc", fin=False, mask=b"\x01\x02\x03\x04")
        + frame(PING, b"ping", mask=b"\xff\0\xff\0")
        + frame(CONTINUATION, b"defgh", mask=b"\x80\x70\x60\x50")
        + frame(BINARY, b"i", mask=b"\0\0\0\0")
    )
    assert read(wire, data) == [(PING, b"ping"), (BINARY, b"abcdefgh"), (BINARY, b"i")]


def test_payload_of_any_short_length_is_unmasked(wire: Any) -> None:
    for size in range(140):
        payload = bytes(200 + index & 255 for index in range(size))
        assert read(wire, frame(BINARY, payload)) == [(BINARY, payload)], size


def test_payload_cut_anywhere_keeps_the_mask_phase(wire: Any) -> None:
    payload = bytes(range(40))
    data = frame(BINARY, payload)
    for first in range(len(data)):
        for second in range(first, len(data)):
            reader = wire.frames.Reader(MIB)
            for piece in (data[:first], data[first:second], data[second:]):
                if piece:
                    assert reader.next() == NOTHING
                    reader.feed(piece)
            assert (reader.next(), reader.payload) == (BINARY, payload), (first, second)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_unmasked_frame_is_refused(wire: Any, opcode: int) -> None:
    assert violation(wire, frame(opcode, b"", mask=None)) == 1002


def test_unmasked_continuation_is_refused(wire: Any) -> None:
    assert violation(wire, frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", mask=None)) == 1002


# Fragments (section 5.4)

FRAGMENTED = {
    "two": (b"Hel", b"lo"),
    "three": (b"a", b"b", b"c"),
    "an empty first": (b"", b"abc"),
    "an empty last": (b"abc", b""),
    "an empty one between": (b"a", b"", b"b"),
    "empty ones only": (b"", b"", b""),
    "one byte each": tuple(bytes([byte]) for byte in b"a message of many fragments"),
    "a long one and short ones": (b"x" * 70000, b"y", b"z" * 200),
}


@pytest.mark.parametrize("name", FRAGMENTED)
def test_fragmented_text_is_one_message(wire: Any, name: str) -> None:
    parts = FRAGMENTED[name]
    assert read(wire, fragments(TEXT, *parts)) == [(TEXT, b"".join(parts).decode())]


@pytest.mark.parametrize("name", FRAGMENTED)
def test_fragmented_binary_is_one_message(wire: Any, name: str) -> None:
    parts = FRAGMENTED[name]
    assert read(wire, fragments(BINARY, *parts)) == [(BINARY, b"".join(parts))]


def test_fragments_yield_nothing_before_the_last(wire: Any) -> None:
    reader = wire.frames.Reader(MIB)
    reader.feed(frame(TEXT, b"a", fin=False))
    assert reader.next() == NOTHING
    reader.feed(frame(CONTINUATION, b"b", fin=False))
    assert reader.next() == NOTHING
    reader.feed(frame(CONTINUATION, b"c"))
    assert (reader.next(), reader.payload) == (TEXT, "abc")


def test_messages_may_follow_a_fragmented_one(wire: Any) -> None:
    data = fragments(TEXT, b"a", b"b") + frame(BINARY, b"c") + fragments(BINARY, b"d", b"e") + frame(TEXT, b"f")
    assert read(wire, data) == [(TEXT, "ab"), (BINARY, b"c"), (BINARY, b"de"), (TEXT, "f")]


def test_control_frames_may_come_between_fragments(wire: Any) -> None:
    data = fragments(TEXT, b"a", b"b", b"c", between=frame(PING, b"p") + frame(PONG, b"q"))
    assert read(wire, data) == [(PING, b"p"), (PONG, b"q")] * 2 + [(TEXT, "abc")]


def test_close_frame_may_come_after_a_fragment(wire: Any) -> None:
    assert read(wire, frame(TEXT, b"a", fin=False) + close(1000, b"bye")) == [(CLOSE, 1000, "bye")]


BAD_CONTINUATIONS = {
    "of nothing": frame(CONTINUATION, b"a"),
    "of nothing, not final": frame(CONTINUATION, b"a", fin=False),
    "of nothing, empty": frame(CONTINUATION),
    "text in a message": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "text in a message, not final": frame(BINARY, b"a", fin=False) + frame(TEXT, b"b", fin=False),
    "binary in a message": frame(BINARY, b"a", fin=False) + frame(BINARY, b"b"),
    "binary in a message, behind a continuation": frame(TEXT, b"a", fin=False)
    + frame(CONTINUATION, b"b", fin=False)
    + frame(BINARY, b"c"),
}


@pytest.mark.parametrize("name", BAD_CONTINUATIONS)
def test_invalid_continuation_is_refused(wire: Any, name: str) -> None:
    assert violation(wire, BAD_CONTINUATIONS[name]) == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_continuation_after_a_whole_message_is_refused(wire: Any, opcode: int) -> None:
    data = frame(opcode, b"a") + frame(CONTINUATION, b"b")
    assert read(wire, data)[1:] == [(VIOLATION, 1002)]


def test_continuation_after_the_final_one_is_refused(wire: Any) -> None:
    assert read(wire, fragments(TEXT, b"a", b"b") + frame(CONTINUATION, b"c")) == [(TEXT, "ab"), (VIOLATION, 1002)]


# Control frames (section 5.5)


@pytest.mark.parametrize("opcode", [PING, PONG])
@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_control_frame_may_have_any_payload(wire: Any, opcode: int, size: int) -> None:
    payload = b"\xff" * size
    assert read(wire, frame(opcode, payload)) == [(opcode, payload)]


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 127, 65535, 65536])
def test_long_control_frame_is_refused(wire: Any, opcode: int, size: int) -> None:
    assert violation(wire, frame(opcode, b"\x03\xe8" + b"x" * (size - 2))) == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_short_control_frame_in_a_long_form_is_refused(wire: Any, opcode: int) -> None:
    assert violation(wire, frame(opcode, b"", bits=16)) == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_fragmented_control_frame_is_refused(wire: Any, opcode: int) -> None:
    assert violation(wire, frame(opcode, b"", fin=False)) == 1002


def test_continuation_of_a_control_frame_is_refused(wire: Any) -> None:
    assert read(wire, frame(PING, b"a") + frame(CONTINUATION, b"b"))[1:] == [(VIOLATION, 1002)]


def test_control_frame_does_not_count_as_part_of_a_message(wire: Any) -> None:
    data = fragments(BINARY, b"x" * 5, b"y" * 5, between=frame(PING, b"z" * 125))
    assert read(wire, data, max_size=10) == [(PING, b"z" * 125), (BINARY, b"xxxxxyyyyy")]


def test_ping_payload_need_not_be_utf8(wire: Any) -> None:
    assert read(wire, frame(PING, b"\xff\xfe")) == [(PING, b"\xff\xfe")]


# Reserved bits and opcodes (section 5.2)


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_reserved_bits_must_be_zero(wire: Any, opcode: int, rsv: int) -> None:
    assert violation(wire, frame(opcode, b"", rsv=rsv)) == 1002


@pytest.mark.parametrize("rsv", [RSV1, RSV2, RSV3])
def test_reserved_bits_of_a_continuation_must_be_zero(wire: Any, rsv: int) -> None:
    assert violation(wire, frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=rsv)) == 1002


@pytest.mark.parametrize("fin", [True, False], ids=["final", "not final"])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes_are_refused(wire: Any, opcode: int, fin: bool) -> None:
    assert violation(wire, frame(opcode, b"a", fin=fin)) == 1002


@pytest.mark.parametrize("opcode", [3, 11])
def test_reserved_opcodes_between_fragments_are_refused(wire: Any, opcode: int) -> None:
    assert violation(wire, frame(TEXT, b"a", fin=False) + frame(opcode)) == 1002


HEADS = {
    "reserved bit": frame(TEXT, rsv=RSV2, length=100),
    "reserved opcode": frame(3, length=100),
    "unmasked": frame(TEXT, length=100, mask=None),
    "fragmented control frame": frame(PING, fin=False, length=100),
    "long control frame": frame(PING, length=126),
    "bad continuation": frame(CONTINUATION, length=100),
    "text in a message": frame(TEXT, fin=False) + frame(TEXT, length=100),
    "longer than may be": frame(BINARY, length=MIB + 1),
}


@pytest.mark.parametrize("name", HEADS)
def test_violation_is_detected_in_the_frame_header(wire: Any, name: str) -> None:
    assert violation(wire, HEADS[name]) == (1009 if name == "longer than may be" else 1002)


def test_every_first_byte_is_judged_as_specified(wire: Any) -> None:
    """Checks all 512 frame beginnings outside a message against section 5.2."""
    for first in range(256):
        for masked in (True, False):
            data = bytes([first, 128 if masked else 0]) + (b"\0\0\0\0" if masked else b"")
            reader = wire.frames.Reader(MIB)
            reader.feed(data)
            events = drain(reader)
            if not masked or first & 0x70 or first & 15 not in (TEXT, BINARY, CLOSE, PING, PONG):
                assert events == [(VIOLATION, 1002)], (first, masked)
            elif first & 128:
                assert [event[0] for event in events] == [first & 15], first
            else:
                assert events == ([] if first & 15 in (TEXT, BINARY) else [(VIOLATION, 1002)]), first


# Close frames (sections 5.5.1 and 7.4)


def test_close_frame_without_a_code_is_read_as_1005(wire: Any) -> None:
    assert read(wire, frame(CLOSE)) == [(CLOSE, 1005, "")]


@pytest.mark.parametrize(
    "code",
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4999],
)
def test_valid_close_codes_are_accepted(wire: Any, code: int) -> None:
    assert read(wire, close(code)) == [(CLOSE, code, "")]


@pytest.mark.parametrize(
    "code",
    [0, 1, 255, 256, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 5001, 32768, 65535],
)
def test_invalid_close_codes_are_refused(wire: Any, code: int) -> None:
    assert violation(wire, close(code)) == 1002


def test_close_frame_is_accepted_with_valid_codes_only(wire: Any) -> None:
    allowed = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
    for code in range(65536):
        reader = wire.frames.Reader(MIB)
        reader.feed(close(code))
        assert drain(reader) == [(CLOSE, code, "") if code in allowed else (VIOLATION, 1002)]


@pytest.mark.parametrize("byte", [b"\x03", b"\0", b"\xff"])
def test_half_a_close_code_is_refused(wire: Any, byte: bytes) -> None:
    assert violation(wire, frame(CLOSE, byte)) == 1002


@pytest.mark.parametrize("reason", ["bye", "x" * 123, "€" * 41, "\0", "\U0010ffff"], ids=ascii)
def test_close_reason_is_read(wire: Any, reason: str) -> None:
    assert read(wire, close(1000, reason.encode())) == [(CLOSE, 1000, reason)]


@pytest.mark.parametrize("reason", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80"])
def test_close_reason_must_be_utf8(wire: Any, reason: bytes) -> None:
    assert violation(wire, close(1000, reason)) == 1007


def test_close_reason_is_decoded_apart_from_an_open_text(wire: Any) -> None:
    data = frame(TEXT, b"\xe2\x82", fin=False) + close(1000, "é".encode())
    assert read(wire, data) == [(CLOSE, 1000, "é")]


# UTF-8 (sections 5.6 and 8.1)

VALID = {
    "one byte": "\0\x7f",
    "two bytes": "\x80\u07ff",
    "three bytes": "\u0800\uffff",
    "around the surrogates": "\ud7ff\ue000",
    "non-characters": "\ufffe\uffff\ufdd0\U0001fffe",
    "byte order mark": "\ufeffa",
    "four bytes": "\U00010000\U0010ffff",
    "of every kind": "aé€\U0001f600" * 20,
    "latin": "ÿ" * 300,
    "a wide one behind many narrow": "a" * 300 + "€",
    "long": "κόσμε " * 8000,
}


@pytest.mark.parametrize("name", VALID)
def test_valid_utf8_text_is_read(wire: Any, name: str) -> None:
    assert read(wire, frame(TEXT, VALID[name].encode())) == [(TEXT, VALID[name])]


@pytest.mark.parametrize("name", sorted(set(VALID) - {"long"}))
def test_fragments_may_cut_text_anywhere(wire: Any, name: str) -> None:
    data = VALID[name].encode()[-24:]
    text = data.decode(errors="ignore")
    data = text.encode()
    for index in range(len(data) + 1):
        reader = wire.frames.Reader(MIB)
        reader.feed(fragments(TEXT, data[:index], data[index:], between=frame(PING)))
        assert drain(reader) == [(PING, b""), (TEXT, text)], index


def test_text_may_come_in_fragments_of_one_byte(wire: Any) -> None:
    text = "aé€\U0001f600\U0010ffff"
    assert read(wire, fragments(TEXT, *(bytes([byte]) for byte in text.encode()))) == [(TEXT, text)]


# Each with the number of bytes up to and including the first invalid one.
INVALID = {
    "continuation byte": (b"\x80", 1),
    "last continuation byte": (b"\xbf", 1),
    "continuation byte too many": (b"\xc3\xa9\xa9", 3),
    "overlong NUL": (b"\xc0\x80", 1),
    "overlong slash": (b"\xc0\xaf", 1),
    "overlong in two bytes": (b"\xc1\xbf", 1),
    "overlong in three bytes": (b"\xe0\x80\x80", 2),
    "highest overlong in three bytes": (b"\xe0\x9f\xbf", 2),
    "overlong in four bytes": (b"\xf0\x80\x80\x80", 2),
    "highest overlong in four bytes": (b"\xf0\x8f\xbf\xbf", 2),
    "lowest surrogate": (b"\xed\xa0\x80", 2),
    "highest surrogate": (b"\xed\xbf\xbf", 2),
    "pair of surrogates": (b"\xed\xa0\xbd\xed\xb8\x80", 2),
    "above U+10FFFF": (b"\xf4\x90\x80\x80", 2),
    "far above U+10FFFF": (b"\xf5\x80\x80\x80", 1),
    "first byte of five": (b"\xf8\x88\x80\x80\x80", 1),
    "first byte of six": (b"\xfc\x84\x80\x80\x80\x80", 1),
    "FE": (b"\xfe", 1),
    "FF": (b"\xff", 1),
    "one of two, then ASCII": (b"\xc3a", 2),
    "one of two, then another first byte": (b"\xc3\xc3", 2),
    "one of three, then ASCII": (b"\xe2a", 2),
    "two of three, then ASCII": (b"\xe2\x82a", 3),
    "two of three, then a first byte": (b"\xe2\x82\xe2", 3),
    "one of four, then ASCII": (b"\xf0a", 2),
    "two of four, then ASCII": (b"\xf0\x9fa", 3),
    "three of four, then ASCII": (b"\xf0\x9f\x98a", 4),
    "three of four, then a first byte": (b"\xf0\x9f\x98\xf0", 4),
}
# Different lengths, since kernels work in blocks; one has sequences of every length.
BEFORE = {
    "": b"",
    "behind ASCII": b"a",
    "behind much ASCII": b"0123456789abcdef" * 9 + b"xyz",
    "behind other text": "é€\U0001f600".encode() * 7,
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("name", INVALID)
def test_invalid_utf8_text_is_refused(wire: Any, name: str, before: str) -> None:
    assert violation(wire, frame(TEXT, BEFORE[before] + INVALID[name][0] + b"behind it")) == 1007


@pytest.mark.parametrize("name", INVALID)
def test_text_fails_at_its_first_bad_byte(wire: Any, name: str) -> None:
    bad, count = INVALID[name]
    for before in BEFORE.values():
        data = frame(TEXT, before + bad[:count], length=65535)
        reader = wire.frames.Reader(MIB)
        for byte in data[:-1]:
            reader.feed(bytes([byte]))
            assert reader.next() == NOTHING
        reader.feed(data[-1:])
        assert drain(reader) == [(VIOLATION, 1007)]


@pytest.mark.parametrize("name", INVALID)
def test_fragments_fail_at_their_first_bad_byte(wire: Any, name: str) -> None:
    """Each fragment has one byte of the invalid sequence, and none is the final one."""
    bad, count = INVALID[name]
    parts = [frame(CONTINUATION, bad[index : index + 1], fin=False) for index in range(count)]
    reader = wire.frames.Reader(MIB)
    reader.feed(frame(TEXT, b"a", fin=False) + frame(PING).join(parts[:-1]))
    assert all(event == (PING, b"") for event in drain(reader))
    reader.feed(parts[-1])
    assert drain(reader) == [(VIOLATION, 1007)]


@pytest.mark.parametrize("name", INVALID)
def test_long_text_fails_wherever_a_piece_ends(wire: Any, name: str) -> None:
    bad, count = INVALID[name]
    data = frame(TEXT, b"a" * 37 + bad + b"b" * 200, length=60000)
    for index in range(8 + 30, 8 + 37 + count):
        reader = wire.frames.Reader(MIB)
        reader.feed(data[:index])
        assert reader.next() == NOTHING, index
        reader.feed(data[index:])
        assert drain(reader) == [(VIOLATION, 1007)], index


TRUNCATED = [b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98"]


@pytest.mark.parametrize("end", TRUNCATED)
@pytest.mark.parametrize("before", [b"", b"a", b"a" * 300, "€".encode() * 100], ids=lambda before: str(len(before)))
def test_text_must_end_with_a_whole_character(wire: Any, before: bytes, end: bytes) -> None:
    assert violation(wire, frame(TEXT, before + end)) == 1007


@pytest.mark.parametrize("end", TRUNCATED)
def test_fragmented_text_must_end_with_a_whole_character(wire: Any, end: bytes) -> None:
    assert violation(wire, fragments(TEXT, b"a", end)) == 1007
    assert violation(wire, fragments(TEXT, b"a" + end, b"")) == 1007


def test_character_cannot_continue_in_the_next_message(wire: Any) -> None:
    assert violation(wire, frame(TEXT, b"\xe2\x82") + frame(TEXT, b"\xac")) == 1007


def test_text_after_a_fragmented_one_starts_afresh(wire: Any) -> None:
    data = fragments(TEXT, b"\xe2\x82", b"\xac") + fragments(TEXT, b"\xc3", b"\xa9")
    assert read(wire, data) == [(TEXT, "€"), (TEXT, "é")]


def test_binary_message_need_not_be_utf8(wire: Any) -> None:
    assert read(wire, frame(BINARY, b"\xff\xc0")) == [(BINARY, b"\xff\xc0")]
    assert read(wire, fragments(BINARY, b"\xff", b"\xe2\x82")) == [(BINARY, b"\xff\xe2\x82")]


# Size

TOO_LONG = {
    "a frame": frame(BINARY, b"x" * 301),
    "a text": frame(TEXT, b"x" * 301),
    "a text whose characters would fit": frame(TEXT, "é".encode() * 151),
    "two fragments": fragments(BINARY, b"x" * 300, b"y"),
    "three fragments": fragments(BINARY, b"x" * 100, b"y" * 100, b"z" * 101),
    "a fragment": fragments(TEXT, b"x" * 301, b""),
    "a frame of 64 bits": frame(BINARY, b"x" * 65536),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_message_above_the_limit_is_refused(wire: Any, name: str) -> None:
    assert violation(wire, TOO_LONG[name], max_size=300) == 1009


@pytest.mark.parametrize(
    "data",
    [
        frame(BINARY, b"x" * 300),
        fragments(BINARY, b"x" * 300, b""),
        fragments(BINARY, b"x" * 150, b"", b"x" * 150),
        fragments(BINARY, b"", b"x" * 299, b"x"),
    ],
    ids=["a frame", "a fragment and an empty one", "three fragments", "three fragments, the first empty"],
)
def test_message_of_exactly_the_limit_is_accepted(wire: Any, data: bytes) -> None:
    assert read(wire, data, max_size=300) == [(BINARY, b"x" * 300)]


@pytest.mark.parametrize("size", [1, 125, 126, 127, 65535, 65536])
def test_limit_applies_in_every_length_form(wire: Any, size: int) -> None:
    assert read(wire, frame(BINARY, b"x" * size), max_size=size) == [(BINARY, b"x" * size)]
    assert violation(wire, frame(BINARY, b"x" * (size + 1)), max_size=size) == 1009


def test_fragments_above_the_limit_are_refused_by_a_frame_header(wire: Any) -> None:
    reader = wire.frames.Reader(300)
    reader.feed(frame(BINARY, b"x" * 300, fin=False))
    assert reader.next() == NOTHING
    reader.feed(frame(CONTINUATION, length=1))
    assert drain(reader) == [(VIOLATION, 1009)]


def test_limit_applies_to_each_message(wire: Any) -> None:
    data = frame(BINARY, b"x" * 10) + fragments(BINARY, b"y" * 5, b"y" * 5) + fragments(BINARY, b"z" * 9, b"z")
    assert read(wire, data, max_size=10) == [(BINARY, b"x" * 10), (BINARY, b"y" * 10), (BINARY, b"z" * 10)]


def test_invalid_utf8_is_reported_before_excess_size(wire: Any) -> None:
    assert violation(wire, fragments(TEXT, b"\xff", b"x" * 300), max_size=300) == 1007


# Memory


def peak_of(action: Any) -> int:
    """Peak of bytes allocated while `action` runs."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_tiny_fragments_cost_little_more_than_their_content(wire: Any, opcode: int) -> None:
    size = 131072
    first = frame(opcode, b"abc", fin=False)
    following = frame(CONTINUATION, b"abc", fin=False)
    reader = wire.frames.Reader(MIB)

    def feed() -> None:
        reader.feed(first)
        for _ in range(size // 3):
            assert reader.next() == NOTHING
            reader.feed(following)
        assert reader.next() == NOTHING

    assert peak_of(feed) < 4 * size
    reader.feed(frame(CONTINUATION))
    assert reader.next() == opcode
    assert len(reader.payload) == 3 * (size // 3 + 1)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_tiny_pieces_cost_little_more_than_their_content(wire: Any, opcode: int) -> None:
    size = 65535
    data = frame(opcode, b"x" * size)
    reader = wire.frames.Reader(MIB)

    def feed() -> None:
        for index in range(len(data)):
            assert reader.next() == NOTHING
            reader.feed(data[index : index + 1])

    assert peak_of(feed) < 4 * size
    assert reader.next() == opcode


def test_big_message_is_stored_once(wire: Any) -> None:
    size = 4 * MIB
    data = frame(BINARY, b"x" * size)
    pieces = [data[index : index + 65536] for index in range(0, len(data), 65536)]
    reader = wire.frames.Reader(size)

    def feed() -> None:
        for piece in pieces:
            reader.feed(piece)
            if reader.next() == BINARY:
                assert len(reader.payload) == size

    assert peak_of(feed) < 2.5 * size


def test_declared_length_is_not_allocated_in_advance(wire: Any) -> None:
    reader = wire.frames.Reader(1 << 40)

    def feed() -> None:
        for data in (frame(BINARY, b"x" * 100, length=1 << 39), b"y" * 100):
            reader.feed(data)
            assert reader.next() == NOTHING

    assert peak_of(feed) < 65536


def test_message_is_freed_after_reading(wire: Any) -> None:
    reader = wire.frames.Reader(MIB)
    reader.feed(frame(BINARY, b"x"))
    reader.next()
    assert reader.next() == NOTHING
    assert reader.payload is None


def test_input_is_freed_after_reading(wire: Any) -> None:
    data = frame(BINARY, b"x" * MIB)
    reader = wire.frames.Reader(MIB)

    def feed() -> None:
        for _ in range(20):
            reader.feed(data)
            assert reader.next() == BINARY
            reader.feed(frame(PING))
            assert reader.next() == PING

    assert peak_of(feed) < 5 * MIB


# The server's frames


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [0, 1, 125])
def test_frame_is_built_with_every_opcode(wire: Any, opcode: int, size: int) -> None:
    out: list[bytes] = []
    assert wire.frames.frame(opcode, b"x" * size, out) == size + 2
    assert served(b"".join(out)) == [(opcode, 0, b"x" * size)]


@pytest.mark.parametrize("size", BORDERS)
def test_frame_is_built_in_every_length_form(wire: Any, size: int) -> None:
    payload = bytes(index * 7 & 255 for index in range(size))
    out: list[bytes] = []
    written = wire.frames.frame(BINARY, payload, out)
    data = b"".join(out)
    assert written == len(data)
    assert served(data) == [(BINARY, 0, payload)]


def test_frame_is_appended_to_the_output(wire: Any) -> None:
    out = [b"before"]
    wire.frames.frame(TEXT, b"a", out)
    wire.frames.frame(TEXT, b"b" * 70000, out)
    data = b"".join(out)
    assert data.startswith(b"before")
    assert served(data[6:]) == [(TEXT, 0, b"a"), (TEXT, 0, b"b" * 70000)]


def test_big_payload_is_not_copied(wire: Any) -> None:
    payload = b"x" * MIB
    out: list[bytes] = []
    wire.frames.frame(BINARY, payload, out)
    assert any(piece is payload for piece in out)


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("", 0),
        ("bye", 3),
        ("x" * 123, 123),
        ("x" * 124, 123),
        ("x" * 5000, 123),
        ("€" * 41, 123),
        ("€" * 42, 123),
        ("é" * 61, 122),
        ("é" * 62, 122),
        ("xx" + "€" * 41, 122),
        ("\U0001f600" * 31, 120),
        ("x" * 120 + "\U0001f600", 120),
        ("x" * 119 + "\U0001f600", 123),
        ("x" * 122 + "é", 122),
    ],
    ids=lambda value: f"{value[-1:]!a} {len(value)}" if isinstance(value, str) else None,
)
def test_close_payload_cuts_its_reason_at_a_character(wire: Any, reason: str, kept: int) -> None:
    payload = wire.frames.close_payload(1000, reason)
    assert payload == b"\x03\xe8" + reason.encode()[:kept]
    assert payload[2:].decode() == reason[: len(payload[2:].decode())]


@pytest.mark.parametrize("code", [1000, 1011, 3000, 4999])
def test_close_payload_begins_with_the_code(wire: Any, code: int) -> None:
    assert wire.frames.close_payload(code, "") == code.to_bytes(2, "big")


# The table of violations


def read_on(reader: Any) -> None:
    while reader.next() != NOTHING:
        pass


def test_every_violation_has_its_code_in_the_table(wire: Any) -> None:
    codes = set()
    for data in [*HEADS.values(), *BAD_CONTINUATIONS.values(), frame(TEXT, b"\xff"), close(1005), close(1000, b"\xff")]:
        reader = wire.frames.Reader(MIB)
        reader.feed(data)
        with pytest.raises(FrameError) as caught:
            read_on(reader)
        assert caught.value.reason
        codes.add(caught.value.code)
    assert codes == {1002, 1007, 1009}


def test_masked_example_of_the_rfc_is_read(wire: Any) -> None:
    assert read(wire, bytes.fromhex("818537fa213d7f9f4d5158")) == [(TEXT, "Hello")]
    assert frame(TEXT, b"Hello", mask=MASK) == bytes.fromhex("818537fa213d7f9f4d5158")
