"""permessage-deflate: negotiation, inflating and deflating with contexts, decompression bombs, corrupt data."""

from __future__ import annotations

import os
import random
import tracemalloc
import zlib
from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn.errors import ProtocolError
from tests.support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NOTHING,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    VIOLATION,
    by_compression,
    close,
    compression,
    drain,
    events_of,
    every_way,
    fragments,
    frame,
)

MIB = 1048576
TAIL = b"\x00\x00\xff\xff"
# Does not compress; repeats itself only at a distance.
NOISE = random.Random(7692).randbytes(3000)


def agree(wire: Any, parameters: str = "", compression: Any = zlib) -> Any:
    """A Deflate for an offer with `parameters`."""
    deflate = wire.deflate.negotiate("permessage-deflate" + parameters, compression)
    assert deflate is not None
    return deflate


def answer_to(wire: Any, offers: str) -> dict[str, str | None] | None:
    """The parameters of the agreement, or None without one."""
    deflate = wire.deflate.negotiate(offers, zlib)
    if deflate is None:
        return None
    assert type(deflate.response) is bytes
    name, *parameters = deflate.response.decode().split("; ")
    assert name == "permessage-deflate"
    pairs = [parameter.partition("=") for parameter in parameters]
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name: value or None for name, _, value in pairs}


class Client:
    """A client's compression contexts, by zlib."""

    def __init__(self, bits: int = 15, resets: bool = False) -> None:
        self._bits = bits
        self._resets = resets
        self._deflater: Any = None
        self._inflater = zlib.decompressobj(wbits=-15)

    def deflate(self, content: bytes) -> bytes:
        """The payload of one compressed message."""
        return self.part(content)[:-4]

    def part(self, content: bytes) -> bytes:
        """Part of a message, to its last byte."""
        if self._deflater is None or self._resets:
            self._deflater = zlib.compressobj(wbits=-self._bits)
        return bytes(self._deflater.compress(content) + self._deflater.flush(zlib.Z_SYNC_FLUSH))

    def inflate(self, payload: bytes) -> bytes:
        return self._inflater.decompress(payload + TAIL)


def ended_stream(content: bytes) -> bytes:
    """A deflate stream with a final block."""
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(content) + deflater.flush(zlib.Z_FINISH)


def read(wire: Any, data: bytes, parameters: str = "; client_max_window_bits", max_size: int = MIB) -> list[Any]:
    """The result of a Reader for `data`, however it is split."""
    return every_way(lambda: wire.frames.Reader(max_size, agree(wire, parameters)), data)


def compressed(payload: bytes, opcode: int = BINARY, fin: bool = True) -> bytes:
    return frame(opcode, payload, rsv=RSV1, fin=fin)


# Negotiation (RFC 7692 section 7.1)

AGREED: dict[str, dict[str, str | None]] = {
    "": {"server_max_window_bits": "12"},
    "; client_max_window_bits": {"server_max_window_bits": "12", "client_max_window_bits": "12"},
    "; client_max_window_bits=15": {"server_max_window_bits": "12", "client_max_window_bits": "12"},
    "; client_max_window_bits=12": {"server_max_window_bits": "12", "client_max_window_bits": "12"},
    "; client_max_window_bits=9": {"server_max_window_bits": "12", "client_max_window_bits": "9"},
    "; client_max_window_bits=8": {"server_max_window_bits": "12", "client_max_window_bits": "8"},
    "; server_max_window_bits=15": {"server_max_window_bits": "12"},
    "; server_max_window_bits=13": {"server_max_window_bits": "12"},
    "; server_max_window_bits=11": {"server_max_window_bits": "11"},
    "; server_max_window_bits=9": {"server_max_window_bits": "9"},
    "; server_no_context_takeover": {"server_max_window_bits": "12", "server_no_context_takeover": None},
    "; client_no_context_takeover": {"server_max_window_bits": "12", "client_no_context_takeover": None},
    "; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=11; server_no_context_takeover": {
        "server_max_window_bits": "10",
        "client_max_window_bits": "11",
        "server_no_context_takeover": None,
        "client_no_context_takeover": None,
    },
    '; server_max_window_bits="10"': {"server_max_window_bits": "10"},
    '; client_max_window_bits="10"': {"server_max_window_bits": "12", "client_max_window_bits": "10"},
    '; server_max_window_bits="1\\0"': {"server_max_window_bits": "10"},
    ";client_max_window_bits": {"server_max_window_bits": "12", "client_max_window_bits": "12"},
    " \t;\tserver_max_window_bits = 10 ": {"server_max_window_bits": "10"},
}


@pytest.mark.parametrize("parameters", AGREED)
def test_valid_offer_is_accepted_with_its_parameters(wire: Any, parameters: str) -> None:
    assert answer_to(wire, "permessage-deflate" + parameters) == AGREED[parameters]


INVALID = [
    "; server_no_context_takeover=1",
    "; server_no_context_takeover=true",
    '; server_no_context_takeover="1"',
    "; client_no_context_takeover=1",
    "; server_max_window_bits",
    "; server_max_window_bits=7",
    "; server_max_window_bits=16",
    "; server_max_window_bits=0",
    "; server_max_window_bits=010",
    "; server_max_window_bits=08",
    "; server_max_window_bits=+9",
    "; server_max_window_bits=-9",
    "; server_max_window_bits=9.0",
    "; server_max_window_bits=1e1",
    "; server_max_window_bits=1_0",
    "; server_max_window_bits=0x9",
    "; server_max_window_bits=100",
    "; server_max_window_bits=12345678901234567890",
    "; server_max_window_bits=x",
    "; client_max_window_bits=7",
    "; client_max_window_bits=16",
    "; client_max_window_bits=0",
    "; client_max_window_bits=09",
    "; client_max_window_bits=x",
    '; client_max_window_bits="16"',
    "; unknown",
    "; unknown=1",
    "; server_max_window_bits=10; unknown",
    "; max_window_bits=10",
    "; no_context_takeover",
    "; server_no_context_takeover; server_no_context_takeover",
    "; client_no_context_takeover; client_no_context_takeover",
    "; server_max_window_bits=10; server_max_window_bits=10",
    "; server_max_window_bits=10; server_max_window_bits=11",
    "; client_max_window_bits; client_max_window_bits",
    "; client_max_window_bits; client_max_window_bits=10",
]


@pytest.mark.parametrize("parameters", INVALID)
def test_invalid_offer_is_declined(wire: Any, parameters: str) -> None:
    assert answer_to(wire, "permessage-deflate" + parameters) is None


def test_window_that_zlib_does_not_support_is_declined(wire: Any) -> None:
    assert answer_to(wire, "permessage-deflate; server_max_window_bits=8") is None


@pytest.mark.parametrize("parameters", INVALID)
def test_offer_after_an_invalid_one_is_accepted(wire: Any, parameters: str) -> None:
    offers = f"permessage-deflate{parameters}, permessage-deflate; server_max_window_bits=10"
    assert answer_to(wire, offers) == {"server_max_window_bits": "10"}


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", {"server_max_window_bits": "9"}),
        ("permessage-deflate, permessage-deflate; server_max_window_bits=9", {"server_max_window_bits": "12"}),
        ("foo, permessage-deflate; server_max_window_bits=9", {"server_max_window_bits": "9"}),
        ("permessage-deflate; server_max_window_bits=9,foo;a", {"server_max_window_bits": "9"}),
        (",, permessage-deflate ,", {"server_max_window_bits": "12"}),
        ('foo; a="permessage-deflate"', None),
        ("permessage-bzip2, x-webkit-deflate-frame, deflate", None),
        ("permessage-deflate2", None),
        ("", None),
        (" , ", None),
    ],
)
def test_first_acceptable_offer_is_accepted(wire: Any, offers: str, answer: dict[str, str | None] | None) -> None:
    assert answer_to(wire, offers) == answer


@pytest.mark.parametrize("offers", ["permessage-deflate; a=", "permessage-deflate, foo; b c", 'foo; a="b"c'])
def test_malformed_offer_anywhere_is_refused(wire: Any, offers: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        wire.deflate.negotiate(offers, zlib)
    assert caught.value.status == 400


# Messages inflated (section 7.2.2)


def test_block_with_fixed_codes_is_inflated(wire: Any) -> None:
    assert read(wire, compressed(bytes.fromhex("f248cdc9c90700"), TEXT)) == [(TEXT, "Hello")]


def test_message_in_fragments_is_inflated(wire: Any) -> None:
    parts = bytes.fromhex("f248cd"), bytes.fromhex("c9c90700")
    assert read(wire, fragments(TEXT, *parts, rsv=RSV1)) == [(TEXT, "Hello")]


def test_message_may_refer_to_the_previous_one(wire: Any) -> None:
    data = compressed(bytes.fromhex("f248cdc9c90700"), TEXT) + compressed(bytes.fromhex("f200110000"), TEXT)
    assert read(wire, data) == [(TEXT, "Hello")] * 2


def test_stored_block_is_inflated(wire: Any) -> None:
    assert read(wire, compressed(bytes.fromhex("000500faff48656c6c6f00"), TEXT)) == [(TEXT, "Hello")]


def test_final_block_is_inflated(wire: Any) -> None:
    assert read(wire, compressed(bytes.fromhex("f348cdc9c9070000"), TEXT)) == [(TEXT, "Hello")]


def test_two_blocks_are_inflated(wire: Any) -> None:
    assert read(wire, compressed(bytes.fromhex("f248050000 00ffffcac9c90700"), TEXT)) == [(TEXT, "Hello")]


@pytest.mark.parametrize(("opcode", "empty"), [(TEXT, ""), (BINARY, b"")], ids=["text", "binary"])
def test_empty_message_is_inflated(wire: Any, opcode: int, empty: Any) -> None:
    assert read(wire, compressed(b"\0", opcode)) == [(opcode, empty)]


@pytest.mark.parametrize("size", [0, 1, 100, 126, 4096, 65536, 300000])
def test_message_of_any_size_is_inflated(wire: Any, size: int) -> None:
    content = (NOISE * 100)[:size]
    assert read(wire, compressed(Client(12).deflate(content))) == [(BINARY, content)]


def test_messages_share_one_context(wire: Any) -> None:
    client = Client(12)
    first, second = client.deflate(NOISE), client.deflate(NOISE)
    assert len(second) < 100
    assert read(wire, compressed(first) + compressed(second)) == [(BINARY, NOISE)] * 2


def test_uncompressed_messages_do_not_enter_the_context(wire: Any) -> None:
    client = Client(12)
    data = compressed(client.deflate(NOISE)) + frame(BINARY, b"plain") + fragments(TEXT, b"a", b"b")
    assert read(wire, data + compressed(client.deflate(NOISE))) == [
        (BINARY, NOISE),
        (BINARY, b"plain"),
        (TEXT, "ab"),
        (BINARY, NOISE),
    ]


def test_messages_are_inflated_without_context_takeover(wire: Any) -> None:
    client = Client(resets=True)
    data = b"".join(compressed(client.deflate(NOISE)) for _ in range(3))
    assert read(wire, data, "; client_no_context_takeover") == [(BINARY, NOISE)] * 3


def test_message_cannot_refer_back_without_context_takeover(wire: Any) -> None:
    data = compressed(bytes.fromhex("f248cdc9c90700"), TEXT) + compressed(bytes.fromhex("f200110000"), TEXT)
    assert read(wire, data, "; client_no_context_takeover") == [(TEXT, "Hello"), (VIOLATION, 1002)]


def test_client_may_reset_its_context_unasked(wire: Any) -> None:
    client = Client(12, resets=True)
    data = b"".join(compressed(client.deflate(NOISE)) for _ in range(3))
    assert read(wire, data) == [(BINARY, NOISE)] * 3


@pytest.mark.parametrize("bits", range(9, 16))
def test_messages_are_inflated_in_the_window_of_the_client(wire: Any, bits: int) -> None:
    client = Client(min(bits, 12))
    content = NOISE + NOISE[:200] + b"x" * 1000 + NOISE[-100:]
    data = compressed(client.deflate(content)) + compressed(client.deflate(content))
    assert read(wire, data, f"; client_max_window_bits={bits}") == [(BINARY, content)] * 2


def test_client_uses_the_largest_window_by_default(wire: Any) -> None:
    client = Client(15)
    content = random.Random(15).randbytes(30000)
    data = compressed(client.deflate(content)) + compressed(client.deflate(content))
    assert read(wire, data, "") == [(BINARY, content)] * 2


def test_compressed_message_may_be_cut_anywhere(wire: Any) -> None:
    content = "Hello, κόσμε".encode() * 3
    payload = Client(12).deflate(content)
    for index in range(len(payload) + 1):
        data = fragments(TEXT, payload[:index], payload[index:], rsv=RSV1, between=frame(PING, b"p"))
        reader = wire.frames.Reader(MIB, agree(wire))
        assert events_of(reader, [data]) == [(PING, b"p"), (TEXT, content.decode())], index


def test_compressed_message_may_have_empty_fragments(wire: Any) -> None:
    payload = Client(12).deflate(b"Hello")
    for parts in ((b"", payload), (payload, b""), (b"", payload[:3], b"", payload[3:], b"")):
        assert read(wire, fragments(BINARY, *parts, rsv=RSV1)) == [(BINARY, b"Hello")]


def test_one_message_may_have_blocks_of_every_kind(wire: Any) -> None:
    stored = zlib.compressobj(level=0, wbits=-15)
    fixed = zlib.compressobj(strategy=zlib.Z_FIXED, wbits=-15)
    dynamic = zlib.compressobj(level=9, wbits=-15)
    content = b"the quick brown fox " * 50
    parts = [
        deflater.compress(content) + deflater.flush(zlib.Z_SYNC_FLUSH) for deflater in (stored, fixed, dynamic, stored)
    ]
    assert read(wire, compressed(b"".join(parts)[:-4])) == [(BINARY, content * 4)]


# Messages of several deflate streams (section 7.2.1)


def test_each_message_may_end_its_deflate_stream(wire: Any) -> None:
    data = b"".join(compressed(ended_stream(content) + b"\0") for content in (b"one", b"two", b"three"))
    assert read(wire, data) == [(BINARY, b"one"), (BINARY, b"two"), (BINARY, b"three")]


def test_deflate_stream_may_end_before_an_ordinary_message(wire: Any) -> None:
    client = Client(12)
    data = compressed(ended_stream(b"one") + b"\0") + b"".join(compressed(client.deflate(NOISE)) for _ in range(2))
    assert read(wire, data) == [(BINARY, b"one"), (BINARY, NOISE), (BINARY, NOISE)]


@pytest.mark.parametrize("count", [2, 3, 4, 20])
def test_message_may_consist_of_several_deflate_streams(wire: Any, count: int) -> None:
    payload = b"".join(ended_stream(b"part %d " % index) for index in range(count)) + b"\0"
    content = b"".join(b"part %d " % index for index in range(count))
    assert read(wire, compressed(payload)) == [(BINARY, content)]
    assert read(wire, fragments(BINARY, payload[:9], payload[9:], rsv=RSV1)) == [(BINARY, content)]


def test_number_of_deflate_streams_per_message_is_limited(wire: Any) -> None:
    """Creating an inflater for every two bytes would be a cheap attack."""
    reader = wire.frames.Reader(MIB, agree(wire))
    assert events_of(reader, [compressed(b"\x03\x00" * 10 + b"\0")]) == [(BINARY, b"")]
    assert events_of(reader, [compressed(b"\x03\x00" * 10 + b"\0")]) == [(BINARY, b"")]
    assert read(wire, compressed(b"\x03\x00" * 1000 + b"\0")) == [(VIOLATION, 1002)]


def test_size_limit_counts_across_deflate_streams(wire: Any) -> None:
    payload = b"".join(ended_stream(bytes(60000)) for _ in range(2)) + b"\0"
    assert read(wire, compressed(payload), max_size=120000) == [(BINARY, bytes(120000))]
    assert read(wire, compressed(payload), max_size=119999) == [(VIOLATION, 1009)]


# The compression bit (section 7.2.3.1)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frame_is_never_compressed(wire: Any, opcode: int) -> None:
    assert read(wire, frame(opcode, rsv=RSV1)) == [(VIOLATION, 1002)]


@pytest.mark.parametrize("first", [0, RSV1], ids=["plain", "compressed"])
@pytest.mark.parametrize("fin", [True, False], ids=["final", "not final"])
def test_compression_bit_on_a_continuation_is_refused(wire: Any, first: int, fin: bool) -> None:
    data = frame(BINARY, b"\0", fin=False, rsv=first) + frame(CONTINUATION, b"\0", rsv=RSV1, fin=fin)
    assert read(wire, data) == [(VIOLATION, 1002)]


@pytest.mark.parametrize("rsv", [RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV3, RSV1 | RSV2 | RSV3])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CONTINUATION, PING])
def test_other_reserved_bits_are_refused(wire: Any, opcode: int, rsv: int) -> None:
    assert read(wire, frame(opcode, b"\0", rsv=rsv)) == [(VIOLATION, 1002)]


@pytest.mark.parametrize("opcode", [3, 7, 11, 15])
def test_reserved_opcodes_are_refused_with_compression(wire: Any, opcode: int) -> None:
    assert read(wire, frame(opcode, b"\0", rsv=RSV1)) == [(VIOLATION, 1002)]


def test_messages_may_be_uncompressed(wire: Any) -> None:
    data = frame(TEXT, b"a") + fragments(BINARY, b"b", b"c") + frame(PING) + close(1000)
    assert read(wire, data) == [(TEXT, "a"), (BINARY, b"bc"), (PING, b""), (CLOSE, 1000, "")]


# Text


@pytest.mark.parametrize("content", [b"\xff", b"a\xc0\x80", b"\xed\xa0\x80", b"a" * 5000 + b"\xf5", b"\xe2\x82"])
def test_inflated_text_must_be_utf8(wire: Any, content: bytes) -> None:
    assert read(wire, compressed(Client(12).deflate(content), TEXT)) == [(VIOLATION, 1007)]


def test_fragments_may_cut_characters_of_compressed_text(wire: Any) -> None:
    client = Client(12)
    euro = "€".encode()
    parts = client.part(b"a" + euro[:1]), client.part(euro[1:2]), client.deflate(euro[2:] + b"b")
    assert read(wire, fragments(TEXT, *parts, rsv=RSV1)) == [(TEXT, "a€b")]


def test_message_is_decompressed_once_it_is_complete(wire: Any) -> None:
    """A part may be small, and large when it is decompressed: clients that send no more must not cost that."""
    reader = wire.frames.Reader(MIB, agree(wire))
    reader.feed(compressed(Client(12).part(b"a\xff"), TEXT, fin=False))
    assert drain(reader) == []
    reader.feed(frame(CONTINUATION))
    assert drain(reader) == [(VIOLATION, 1007)]


def test_compressed_data_is_limited_before_its_message_is_complete(wire: Any) -> None:
    reader = wire.frames.Reader(1000, agree(wire))
    padding = b"\0\0\0\xff\xff" * 1000
    reader.feed(compressed(padding, BINARY, fin=False) + frame(CONTINUATION, padding, fin=False) * 12)
    assert drain(reader) == []
    reader.feed(frame(CONTINUATION, padding, fin=False))
    assert drain(reader) == [(VIOLATION, 1009)]


# Size limit


@pytest.mark.parametrize("parts", [1, 2, 3, 1000])
def test_size_limit_applies_to_inflated_content(wire: Any, parts: int) -> None:
    def message() -> bytes:
        client = Client(12)
        sizes = [6000 // parts] * parts
        return fragments(BINARY, *(client.part(bytes(size)) for size in sizes[:-1]), client.deflate(bytes(sizes[-1])),
                         rsv=RSV1)  # fmt: skip

    assert read(wire, message(), max_size=6000) == [(BINARY, bytes(6000))]
    assert read(wire, message(), max_size=5999) == [(VIOLATION, 1009)]


@pytest.mark.parametrize("size", [65535, 65536, 65537, 131072, 262143, 262144, 300000])
@pytest.mark.parametrize("make", [bytes, os.urandom, lambda size: b"abcde" * (size // 5) + b"f" * (size % 5)])
def test_size_limit_is_exact_for_parts_of_any_size(wire: Any, make: Any, size: int) -> None:
    content = make(size)
    message = compressed(Client(12).deflate(content))
    assert read(wire, message, max_size=size) == [(BINARY, content)]
    assert read(wire, message, max_size=size - 1) == [(VIOLATION, 1009)]


def test_size_limit_applies_to_each_message(wire: Any) -> None:
    client = Client(12)
    data = b"".join(compressed(client.deflate(bytes(1000))) for _ in range(5)) + frame(BINARY, bytes(1000))
    assert read(wire, data, max_size=1000) == [(BINARY, bytes(1000))] * 6


def test_size_limit_does_not_apply_to_compressed_payloads(wire: Any) -> None:
    """Stored blocks make noise longer."""
    payload = Client(12).deflate(NOISE)
    assert len(payload) > len(NOISE)
    assert read(wire, compressed(payload), max_size=len(NOISE)) == [(BINARY, NOISE)]


def test_uncompressed_message_is_limited_by_its_frame_header(wire: Any) -> None:
    reader = wire.frames.Reader(300, agree(wire))
    reader.feed(compressed(Client(12).deflate(bytes(300))) + frame(BINARY, length=301))
    assert drain(reader) == [(BINARY, bytes(300)), (VIOLATION, 1009)]


def bomb(size: int) -> bytes:
    """A message of `size` zeros, a thousandth of that long."""
    deflater = zlib.compressobj(level=9, wbits=-15)
    payload = b"".join(deflater.compress(bytes(MIB)) for _ in range(size // MIB)) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return payload[:-4]


def peak_of(action: Any) -> int:
    """Peak of bytes allocated while `action` runs, including zlib's."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cut", [1 << 30, 4096, 100], ids=["in one piece", "in pieces", "in small pieces"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("fragment", [None, 5000], ids=["one frame", "fragments"])
def test_decompression_bomb_is_not_inflated(wire: Any, fragment: int | None, opcode: int, cut: int) -> None:
    payload = bomb(128 * MIB)
    if fragment is None:
        data = compressed(payload, opcode)
    else:
        parts = [payload[index : index + fragment] for index in range(0, len(payload), fragment)]
        data = fragments(opcode, *parts, rsv=RSV1)
    reader = wire.frames.Reader(MIB, agree(wire, ""))
    pieces = [data[index : index + cut] for index in range(0, len(data), cut)]
    events: list[Any] = []
    assert peak_of(lambda: events.extend(events_of(reader, pieces))) < 6 * MIB
    assert events == [(VIOLATION, 1009)]


def test_decompression_bomb_at_the_limit_is_not_inflated(wire: Any) -> None:
    """The bomb begins when the limit is already reached."""
    client = Client()
    data = fragments(BINARY, client.part(bytes(1000)), bomb(64 * MIB), rsv=RSV1)
    reader = wire.frames.Reader(1000, agree(wire, ""))
    events: list[Any] = []
    assert peak_of(lambda: events.extend(events_of(reader, [data]))) < MIB
    assert events == [(VIOLATION, 1009)]


def test_empty_blocks_allocate_little_memory(wire: Any) -> None:
    empty = fragments(BINARY, *[b"\x00\x00\x00\xff\xff" * 20] * 500, b"\0", rsv=RSV1)
    reader = wire.frames.Reader(MIB, agree(wire))
    assert events_of(reader, [empty]) == [(BINARY, b"")]
    assert peak_of(lambda: events_of(reader, [empty])) < 400000


# Corrupt data

CORRUPT = {
    "block of no kind": b"\x07",
    "block of no kind, not the last": b"\x06\0\0",
    "lengths that are not each other's complement": b"\x00\x01\x00\x01\x00abc",
    "reference behind the beginning": bytes.fromhex("f200110000"),
    "plain text": b"this is not compressed at all",
    "zlib header": zlib.compress(b"Hello"),
    "gzip header": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "noise": NOISE,
    "noise behind the end of a stream": ended_stream(b"Hello") + NOISE,
}


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_data_is_a_violation(wire: Any, name: str) -> None:
    assert read(wire, compressed(CORRUPT[name])) == [(VIOLATION, 1002)]


def test_corrupt_data_after_a_message_is_a_violation(wire: Any) -> None:
    data = compressed(Client(12).deflate(b"Hello")) + compressed(b"\x07")
    assert read(wire, data) == [(BINARY, b"Hello"), (VIOLATION, 1002)]


def test_corrupt_data_in_a_continuation_is_a_violation(wire: Any) -> None:
    data = fragments(BINARY, Client(12).part(b"Hello"), b"\x07", b"", rsv=RSV1)
    assert read(wire, data) == [(VIOLATION, 1002)]


def test_window_larger_than_agreed_is_a_violation(wire: Any) -> None:
    client = Client(15)
    data = compressed(client.deflate(NOISE)) + compressed(client.deflate(NOISE))
    assert read(wire, data, "; client_max_window_bits=9") == [(BINARY, NOISE), (VIOLATION, 1002)]


# Messages deflated


def inflated(inflater: Any, payload: bytes) -> bytes:
    """The content of `payload`, inflated in small steps so that only the window is remembered between them."""
    content, rest = b"", payload + TAIL
    while True:
        part = inflater.decompress(rest, 16)
        rest = inflater.unconsumed_tail
        content += part
        if not part and not rest:
            return content


@by_compression
def test_deflated_messages_can_be_inflated(wire: Any, name: str) -> None:
    deflate = agree(wire, compression=compression(name))
    client = Client()
    for content in (b"Hello", b"", NOISE, b"", b"", b"Hello" * 10000, b"\0", bytes(200000)):
        payload = deflate.deflate(content)
        assert type(payload) is bytes
        assert payload
        assert client.inflate(payload) == content


@by_compression
def test_context_is_kept_between_sent_messages(wire: Any, name: str) -> None:
    deflate = agree(wire, compression=compression(name))
    first, second = deflate.deflate(NOISE[:1000]), deflate.deflate(NOISE[:1000])
    assert len(second) < 100
    client = Client()
    assert [client.inflate(first), client.inflate(second)] == [NOISE[:1000]] * 2


@by_compression
def test_context_is_reset_without_context_takeover(wire: Any, name: str) -> None:
    deflate = agree(wire, "; server_no_context_takeover", compression(name))
    payloads = [deflate.deflate(NOISE) for _ in range(3)]
    assert [Client().inflate(payload) for payload in payloads] == [NOISE] * 3


@by_compression
@pytest.mark.parametrize("bits", range(9, 16))
def test_server_window_is_as_agreed(wire: Any, bits: int, name: str) -> None:
    """Messages deflated for a window can be inflated with one of that size."""
    deflate = agree(wire, f"; server_max_window_bits={bits}", compression(name))
    inflater = zlib.decompressobj(wbits=-bits)
    for _ in range(3):
        content = NOISE + bytes(1000) + NOISE[:500] + NOISE
        assert inflated(inflater, deflate.deflate(content)) == content


@by_compression
def test_server_window_is_12_bits_by_default(wire: Any, name: str) -> None:
    deflate = agree(wire, compression=compression(name))
    inflater = zlib.decompressobj(wbits=-12)
    content = random.Random(12).randbytes(5000)
    assert [inflated(inflater, deflate.deflate(content)) for _ in range(2)] == [content] * 2


def test_both_directions_have_separate_contexts(wire: Any) -> None:
    deflate = agree(wire)
    client = Client(12)
    reader = wire.frames.Reader(MIB, deflate)
    for index in range(10):
        content = NOISE[index * 100 :]
        assert client.inflate(deflate.deflate(content)) == content
        assert events_of(reader, [compressed(client.deflate(content))]) == [(BINARY, content)]


def test_compressed_frame_has_the_compression_bit(wire: Any) -> None:
    out: list[bytes] = []
    wire.frames.frame(TEXT | 0x40, b"\0", out)
    assert b"".join(out) == b"\xc1\x01\0"


# Memory of contexts


def counting() -> tuple[Any, list[str]]:
    """A stand-in for zlib, and the contexts created with it."""
    made: list[str] = []

    def make(name: str, **options: Any) -> Any:
        made.append(name)
        return getattr(zlib, name)(**options)

    return SimpleNamespace(
        compressobj=lambda **options: make("compressobj", **options),
        decompressobj=lambda **options: make("decompressobj", **options),
        Z_SYNC_FLUSH=zlib.Z_SYNC_FLUSH,
        error=zlib.error,
    ), made


def test_silent_connection_has_no_contexts(wire: Any) -> None:
    module, made = counting()
    deflate = wire.deflate.negotiate("permessage-deflate", module)
    reader = wire.frames.Reader(MIB, deflate)
    assert events_of(reader, [frame(PING) + frame(TEXT, b"plain")]) == [(PING, b""), (TEXT, "plain")]
    assert made == []


def test_each_context_is_created_on_first_use(wire: Any) -> None:
    module, made = counting()
    deflate = wire.deflate.negotiate("permessage-deflate", module)
    reader = wire.frames.Reader(MIB, deflate)
    client = Client()
    for _ in range(3):
        events_of(reader, [compressed(client.deflate(b"Hello"))])
    assert made == ["decompressobj"]
    for _ in range(3):
        deflate.deflate(b"Hello")
    assert made == ["decompressobj", "compressobj"]


def test_reader_without_input_returns_nothing(wire: Any) -> None:
    assert wire.frames.Reader(MIB, agree(wire)).next() == NOTHING
