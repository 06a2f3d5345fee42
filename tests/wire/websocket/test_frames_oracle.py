"""Frames compared with the `websockets` library, the oracle, every difference with its reason; and whole conversations
with its client, from the handshake to messages in both directions.
"""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    RSV1,
    TEXT,
    by_compression,
    close,
    compression,
    events_of,
    fragments,
    frame,
)

pytest.importorskip("websockets")

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Close
from websockets.protocol import Protocol, Side, State
from websockets.uri import parse_uri

from tests.support.oracles.websockets import DEFLATE, DIFFERENCES, Theirs, compare, difference, ours
from tests.support.splits import split_at

COMPRESSED = 0x40
MIB = 1048576
BOTH_FORMS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=300
)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_every_known_difference_has_its_reason(wire: Any, name: str) -> None:
    data, offer, our_events, their_events, why = DIFFERENCES[name]
    assert why
    events, reason = ours(wire, [bytes([byte]) for byte in data], offer)
    their = Theirs(data, offer, completed=bool(reason))
    assert (events, their.events) == (our_events, their_events)
    assert difference(events, reason, their) == name


# Generated


CUTS = st.lists(st.integers(0, 900), max_size=8)
MASKS = st.binary(min_size=4, max_size=4)
SIZES = st.sampled_from([0, 1, 2, 3, 7, 124, 125, 126, 127, 149, 150, 151, 299, 300, 301])
CONTENTS = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.binary(max_size=20),
    st.builds(lambda size, character: (character * size)[:size], SIZES, st.sampled_from([b"a", b"\xc3\xa9"])),
    st.sampled_from([b"\xed\xa0\x80", b"a\xff", "a€".encode()[:-1], b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xe2\x82\xac"]),
)
CODES = st.one_of(st.sampled_from([0, 999, 1000, 1004, 1005, 1006, 1011, 1015, 2999, 3000, 4999, 5000]), st.just(1000))
CONTROLS = st.one_of(
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125), mask=MASKS),
    st.builds(close, CODES, st.one_of(st.text(max_size=10).map(str.encode), st.binary(max_size=5))),
)
# Mostly valid but for one fault.
WILD = st.builds(
    frame,
    st.integers(0, 15),
    CONTENTS,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 1, 2, 4, 7]),
    mask=st.one_of(MASKS, MASKS, st.none()),
    bits=st.sampled_from([None, None, None, 64]),
)


@st.composite
def messages(draw: Any, deflate: Any = None) -> bytes:
    """One message in fragments, with control frames between them; `deflate` compresses most of them."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    parts = split_at(draw(CONTENTS), draw(st.lists(st.integers(0, 300), max_size=3)))
    rsv = 0
    if deflate is not None and draw(st.sampled_from([True, True, False])):
        payload = deflate(b"".join(parts))
        parts = split_at(payload, draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        rsv = RSV1
    between = draw(st.one_of(st.just(b""), st.just(b""), CONTROLS))
    return fragments(opcode, *parts, rsv=rsv, between=between)


@st.composite
def streams(draw: Any, offer: str | None = None) -> bytes:
    """A client's input, valid or not, possibly corrupted."""
    deflate = None
    if offer:
        deflater = [zlib.compressobj(wbits=-15)]

        def deflate(content: bytes) -> bytes:
            if "client_no_context" in offer:
                deflater[0] = zlib.compressobj(wbits=-15)
            return (deflater[0].compress(content) + deflater[0].flush(zlib.Z_SYNC_FLUSH))[:-4]

    steps = [
        draw(st.one_of(messages(deflate), messages(deflate), CONTROLS, WILD)) for _ in range(draw(st.integers(1, 5)))
    ]
    data = bytearray(b"".join(steps))
    if data:
        for index, byte in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=1)):
            data[index] = byte
        data = data[: len(data) - draw(st.sampled_from([0, 0, 0, 0, 0, 1, 2, 100]))]
    return bytes(data)


@given(streams(), CUTS)
@BOTH_FORMS
def test_frames_are_read_as_by_the_oracle(wire: Any, data: bytes, cuts: list[int]) -> None:
    compare(wire, data, split_at(data, cuts))


OFFERS = [DEFLATE, "permessage-deflate; client_no_context_takeover"]


@given(st.data(), st.sampled_from(OFFERS), CUTS)
@BOTH_FORMS
def test_compressed_frames_are_read_as_by_the_oracle(wire: Any, drawn: Any, offer: str, cuts: list[int]) -> None:
    data = drawn.draw(streams(offer))
    compare(wire, data, split_at(data, cuts), offer)


@given(streams(), CUTS)
@BOTH_FORMS
def test_frames_are_read_alike_however_they_are_split(wire: Any, data: bytes, cuts: list[int]) -> None:
    assert ours(wire, split_at(data, cuts)) == ours(wire, [data])


# Arbitrary bytes


@given(st.binary(max_size=60), st.sampled_from([None, *OFFERS]), CUTS)
@BOTH_FORMS
def test_arbitrary_bytes_are_read_as_by_the_oracle(wire: Any, data: bytes, offer: str | None, cuts: list[int]) -> None:
    compare(wire, data, split_at(data, cuts), offer)


# Conversations with the oracle's client

CLIENTS = [
    {
        "server_no_context_takeover": server_resets,
        "client_no_context_takeover": client_resets,
        "server_max_window_bits": server_bits,
        "client_max_window_bits": client_bits,
    }
    for server_resets in (False, True)
    for client_resets in (False, True)
    for server_bits in (None, 9, 15)
    for client_bits in (None, True, 9, 15)
]
TEXTS = ["", "a", "κόσμε" * 100, "x" * 70000, "€\U0001f600", "x" * 125, "κόσμε" * 100]


def connect(wire: Any, *factories: Any, deflating: str = "zlib") -> tuple[Any, Any]:
    """A client after its handshake: its protocol, and the server's compression."""
    client = ClientProtocol(parse_uri("ws://a/"), extensions=factories or None, subprotocols=["chat"])
    client.send_request(client.connect())
    [request] = client.data_to_send()
    shared = wire.shared.Shared(wire.shared.Limits(), None)
    handshake = wire.handshake.read(
        wire.http1_head.parse(request, 0, len(request), shared.limits), compression(deflating)
    )
    client.receive_data(wire.handshake.switch(shared, handshake.key, handshake.answer("chat", ())))
    assert client.handshake_exc is None
    assert (client.state, client.subprotocol) == (State.OPEN, "chat")
    client.events_received()
    return client, handshake.deflate


def client_receives(client: Any, out: list[bytes]) -> list[tuple[int, bytes]]:
    client.receive_data(b"".join(out))
    assert client.parser_exc is None
    return [(int(each.opcode), bytes(each.data)) for each in client.events_received()]


@by_compression
@pytest.mark.parametrize("options", CLIENTS, ids=lambda options: ",".join(str(value) for value in options.values()))
def test_compressed_messages_pass_both_ways(wire: Any, options: dict[str, Any], name: str) -> None:
    client, deflate = connect(wire, ClientPerMessageDeflateFactory(**options), deflating=name)
    assert [each.name for each in client.extensions] == ["permessage-deflate"]
    reader = wire.frames.Reader(MIB, deflate)
    for text in TEXTS:
        content = text.encode()
        middle = len(content) // 2
        client.send_text(content)
        client.send_ping(b"between")
        client.send_binary(content[:middle], fin=False)
        client.send_continuation(content[middle:], fin=True)
        assert events_of(reader, client.data_to_send()) == [(TEXT, text), (PING, b"between"), (BINARY, content)]
        out: list[bytes] = []
        wire.frames.frame(TEXT | COMPRESSED, deflate.deflate(content), out)
        wire.frames.frame(PONG, b"between", out)
        wire.frames.frame(BINARY | COMPRESSED, deflate.deflate(content), out)
        wire.frames.text_frame(text, out)
        assert client_receives(client, out) == [(TEXT, content), (PONG, b"between"), (BINARY, content), (TEXT, content)]


def test_uncompressed_messages_pass_both_ways(wire: Any) -> None:
    client, deflate = connect(wire)
    assert deflate is None
    reader = wire.frames.Reader(MIB)
    for text in TEXTS:
        client.send_text(text.encode())
        client.send_binary(text.encode())
        assert events_of(reader, client.data_to_send()) == [(TEXT, text), (BINARY, text.encode())]
        out: list[bytes] = []
        wire.frames.text_frame(text, out)
        wire.frames.frame(BINARY, text.encode(), out)
        assert client_receives(client, out) == [(TEXT, text.encode()), (BINARY, text.encode())]


def test_unacceptable_offer_is_declined(wire: Any) -> None:
    client, deflate = connect(wire, ClientPerMessageDeflateFactory(server_max_window_bits=8))
    assert (deflate, client.extensions) == (None, [])


def test_second_offer_is_accepted_if_the_first_is_not(wire: Any) -> None:
    client, deflate = connect(
        wire, ClientPerMessageDeflateFactory(server_max_window_bits=8), ClientPerMessageDeflateFactory()
    )
    assert len(client.extensions) == 1
    assert deflate is not None


@pytest.mark.parametrize("reason", ["", "bye", "€" * 41, "x" * 500], ids=["none", "short", "as long as may be", "cut"])
@pytest.mark.parametrize("code", [1000, 1001, 1002, 1007, 1009, 1011, 1012, 3000, 4999])
def test_server_can_close(wire: Any, code: int, reason: str) -> None:
    client, _ = connect(wire)
    out: list[bytes] = []
    wire.frames.frame(CLOSE, wire.frames.close_payload(code, reason), out)
    client_receives(client, out)
    assert client.close_rcvd == Close(code, reason[:123])
    reader = wire.frames.Reader(MIB)
    assert events_of(reader, client.data_to_send()) == [(CLOSE, code, reason[:123])]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (3000, "€" * 41), (None, "")])
def test_client_can_close(wire: Any, code: int | None, reason: str) -> None:
    client, _ = connect(wire)
    client.send_close(code, reason)
    reader = wire.frames.Reader(MIB)
    assert events_of(reader, client.data_to_send()) == [(CLOSE, code or 1005, reason)]
    out: list[bytes] = []
    wire.frames.frame(CLOSE, wire.frames.close_payload(reader.code, ""), out)
    client_receives(client, out)
    assert client.close_rcvd.code == (code or 1005)


@given(st.data(), st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=6))
@BOTH_FORMS
def test_client_reads_all_messages_of_the_server(wire: Any, drawn: Any, contents: list[str | bytes]) -> None:
    deflate = wire.deflate.negotiate(drawn.draw(st.sampled_from(OFFERS)), zlib)
    client = Protocol(Side.CLIENT, state=State.OPEN)
    client.extensions = [PerMessageDeflate(False, False, 12, 15)]
    out: list[bytes] = []
    sent = []
    for content in contents:
        data = content if isinstance(content, bytes) else content.encode()
        opcode = BINARY if isinstance(content, bytes) else TEXT
        if drawn.draw(st.booleans()):
            wire.frames.frame(opcode | COMPRESSED, deflate.deflate(data), out)
        else:
            wire.frames.frame(opcode, data, out)
        sent.append((opcode, data))
    assert client_receives(client, out) == sent
