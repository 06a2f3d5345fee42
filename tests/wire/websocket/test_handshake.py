"""The opening handshake: requests for a WebSocket, refusals, offers and answers."""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import Any

import pytest

from pronghorn.errors import ProtocolError

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
LINES = (
    b"Host: a",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: " + KEY,
    b"Sec-WebSocket-Version: 13",
)


def head_of(wire: Any, *lines: bytes, start: bytes = b"GET / HTTP/1.1") -> Any:
    """The head of a valid handshake. `lines` replace the usual ones of the same name.

    A line without a value omits that field.
    """
    names = {line.split(b":")[0].lower() for line in lines}
    kept = [line for line in LINES if line.split(b":")[0].lower() not in names]
    data = b"\r\n".join([start, *kept, *(line for line in lines if b":" in line), b"", b""])
    return wire.http1_head.parse(data, 0, len(data), wire.shared.Limits())


def read(wire: Any, *lines: bytes, start: bytes = b"GET / HTTP/1.1", compression: Any = zlib) -> Any:
    head = head_of(wire, *lines, start=start)
    assert wire.handshake.is_websocket_upgrade(head)
    return wire.handshake.read(head, compression)


def refusal(wire: Any, *lines: bytes, start: bytes = b"GET / HTTP/1.1") -> int:
    with pytest.raises(ProtocolError) as caught:
        read(wire, *lines, start=start)
    assert caught.value.reason
    return caught.value.status


# Requests for a WebSocket


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"UPGRADE: WebSocket", b"CONNECTION: upgrade"),
        (b"Upgrade: WEBSOCKET",),
        (b"Connection: keep-alive, Upgrade",),
        (b"Connection: keep-alive,upgrade",),
        (b"Connection:\tUPGRADE\t,  x ",),
        (b"Connection: , ,Upgrade,",),
        (b"Connection: keep-alive", b"Connection: Upgrade"),
        (b"Upgrade: foo, websocket",),
        (b"Upgrade: foo,WebSocket,\tbar",),
        (b"Upgrade: foo", b"Upgrade: websocket"),
    ],
    ids=lambda lines: b" | ".join(lines).decode() or "as usual",
)
def test_valid_handshake_is_read(wire: Any, lines: tuple[bytes, ...]) -> None:
    assert read(wire, *lines).key == KEY


@pytest.mark.parametrize(
    "lines",
    [
        (b"Upgrade",),
        (b"Connection",),
        (b"Upgrade", b"Connection"),
        (b"Connection: keep-alive",),
        (b"Connection: close",),
        (b"Connection: Upgrades",),
        (b"Connection: x-upgrade",),
        (b"Connection: keep-alive Upgrade",),
        (b"Connection: websocket",),
        (b"Upgrade: h2c",),
        (b"Upgrade: websockets",),
        (b"Upgrade: web socket",),
        (b"Upgrade: websocket/13",),
        (b"Upgrade: foo websocket",),
        (b"Upgrade:",),
    ],
    ids=lambda lines: b" | ".join(lines).decode(),
)
def test_other_upgrades_are_not_websockets(wire: Any, lines: tuple[bytes, ...]) -> None:
    assert not wire.handshake.is_websocket_upgrade(head_of(wire, *lines))


def test_http10_cannot_ask_for_a_websocket(wire: Any) -> None:
    assert not wire.handshake.is_websocket_upgrade(head_of(wire, start=b"GET / HTTP/1.0"))


# The method and the body


@pytest.mark.parametrize("method", [b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"GETS", b"FOO"])
def test_method_must_be_get(wire: Any, method: bytes) -> None:
    assert refusal(wire, start=method + b" / HTTP/1.1") == 400


@pytest.mark.parametrize("line", [b"Content-Length: 1", b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
def test_body_is_refused(wire: Any, line: bytes) -> None:
    assert refusal(wire, line) == 400


def test_body_of_length_zero_is_accepted(wire: Any) -> None:
    assert read(wire, b"Content-Length: 0").key == KEY


# The version


@pytest.mark.parametrize(
    "lines",
    [
        (b"Sec-WebSocket-Version",),
        (b"Sec-WebSocket-Version:",),
        (b"Sec-WebSocket-Version: 8",),
        (b"Sec-WebSocket-Version: 0",),
        (b"Sec-WebSocket-Version: 12",),
        (b"Sec-WebSocket-Version: 14",),
        (b"Sec-WebSocket-Version: 013",),
        (b"Sec-WebSocket-Version: +13",),
        (b"Sec-WebSocket-Version: 13.0",),
        (b"Sec-WebSocket-Version: 13, 8",),
        (b"Sec-WebSocket-Version: 1 3",),
        (b'Sec-WebSocket-Version: "13"',),
        (b"Sec-WebSocket-Version: x",),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 13"),
    ],
    ids=lambda lines: b" | ".join(lines).decode(),
)
def test_version_must_be_13(wire: Any, lines: tuple[bytes, ...]) -> None:
    assert refusal(wire, *lines) == 426


def test_white_space_around_the_version_is_ignored(wire: Any) -> None:
    assert read(wire, b"sec-websocket-version:  13\t").key == KEY


def test_unknown_version_is_reported_whatever_the_key(wire: Any) -> None:
    assert refusal(wire, b"Sec-WebSocket-Version: 25", b"Sec-WebSocket-Key: x") == 426


# The key


@pytest.mark.parametrize("nonce", [bytes(16), b"\xff" * 16, bytes(range(16)), b"the sample nonce"])
def test_key_of_sixteen_bytes_is_accepted(wire: Any, nonce: bytes) -> None:
    assert read(wire, b"Sec-WebSocket-Key: " + b64encode(nonce)).key == b64encode(nonce)


def test_unused_bits_of_a_key_are_ignored(wire: Any) -> None:
    """Base64 of sixteen bytes has four unused bits; clients that make keys of random letters may set them."""
    assert read(wire, b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==").key == b"dGhlIHNhbXBsZSBub25jZR=="


@pytest.mark.parametrize(
    "lines",
    [
        (b"Sec-WebSocket-Key",),
        (b"Sec-WebSocket-Key:",),
        (b"Sec-WebSocket-Key: " + b64encode(bytes(15)),),
        (b"Sec-WebSocket-Key: " + b64encode(bytes(17)),),
        (b"Sec-WebSocket-Key: " + b64encode(bytes(18)),),
        (b"Sec-WebSocket-Key: " + b64encode(bytes(32)),),
        (b"Sec-WebSocket-Key: " + KEY[:-2],),
        (b"Sec-WebSocket-Key: " + KEY[:-1],),
        (b"Sec-WebSocket-Key: " + KEY + b"=",),
        (b"Sec-WebSocket-Key: " + KEY + b"\xa0",),
        (b"Sec-WebSocket-Key: =" + KEY,),
        (b'Sec-WebSocket-Key: "' + KEY + b'"',),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j Q==",),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ-==",),
        (b"Sec-WebSocket-Key: ______________________==",),
        (b"Sec-WebSocket-Key: " + KEY + b", " + KEY,),
        (b"Sec-WebSocket-Key: " + KEY, b"Sec-WebSocket-Key: " + KEY),
    ],
    ids=lambda lines: b" | ".join(lines).decode("latin-1"),
)
def test_malformed_key_is_refused(wire: Any, lines: tuple[bytes, ...]) -> None:
    assert refusal(wire, *lines) == 400


def test_accept_key_matches_the_rfc_example(wire: Any) -> None:
    assert wire.handshake.accept_key(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


# Subprotocols


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ((), []),
        ((b"Sec-WebSocket-Protocol: chat",), ["chat"]),
        ((b"Sec-WebSocket-Protocol: chat, superchat",), ["chat", "superchat"]),
        ((b"Sec-WebSocket-Protocol: b,a\t,  c",), ["b", "a", "c"]),
        ((b"Sec-WebSocket-Protocol: b", b"Sec-WebSocket-Protocol: a, c"), ["b", "a", "c"]),
        ((b"sec-websocket-protocol: Chat, chat",), ["Chat", "chat"]),
        ((b"Sec-WebSocket-Protocol: v10.stomp, graphql-transport-ws, a!#$%&'*+-.^_`|~9",),
         ["v10.stomp", "graphql-transport-ws", "a!#$%&'*+-.^_`|~9"]),
        ((b"Sec-WebSocket-Protocol: ,a,, b ,",), ["a", "b"]),
        ((b"Sec-WebSocket-Protocol: a, b, a",), ["a", "b", "a"]),
        ((b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Protocol: b, a"), ["a", "b", "a"]),
    ],
    ids=lambda value: b" | ".join(value).decode() if isinstance(value, tuple) else None,
)  # fmt: skip
def test_subprotocols_keep_their_order(wire: Any, lines: tuple[bytes, ...], names: list[str]) -> None:
    subprotocols = read(wire, *lines).subprotocols
    assert subprotocols == names
    assert all(type(name) is str for name in subprotocols)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Sec-WebSocket-Protocol: a b",),
        (b"Sec-WebSocket-Protocol: a;b",),
        (b"Sec-WebSocket-Protocol: a/b",),
        (b"Sec-WebSocket-Protocol: (a)",),
        (b"Sec-WebSocket-Protocol: a=b",),
        (b'Sec-WebSocket-Protocol: "a"',),
        (b"Sec-WebSocket-Protocol: http://a",),
        (b"Sec-WebSocket-Protocol: a\tb",),
        (b"Sec-WebSocket-Protocol: \xe9",),
    ],
    ids=lambda lines: b" | ".join(lines).decode("latin-1"),
)
def test_malformed_list_of_subprotocols_is_refused(wire: Any, lines: tuple[bytes, ...]) -> None:
    assert refusal(wire, *lines) == 400


# Extensions


@pytest.mark.parametrize(
    "lines",
    [
        (b"Sec-WebSocket-Extensions: permessage-deflate",),
        (b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",),
        (b"Sec-WebSocket-Extensions: x-webkit-deflate-frame, permessage-deflate",),
        (b"Sec-WebSocket-Extensions: foo;bar=1", b"sec-websocket-extensions: permessage-deflate"),
    ],
    ids=lambda lines: b" | ".join(lines).decode(),
)
def test_compression_is_negotiated(wire: Any, lines: tuple[bytes, ...]) -> None:
    assert read(wire, *lines).deflate.response.startswith(b"permessage-deflate")


@pytest.mark.parametrize("lines", [(), (b"Sec-WebSocket-Extensions: foo",)], ids=["no offer", "another"])
def test_compression_is_off_without_a_valid_offer(wire: Any, lines: tuple[bytes, ...]) -> None:
    assert read(wire, *lines).deflate is None


def test_compression_can_be_disabled(wire: Any) -> None:
    assert read(wire, b"Sec-WebSocket-Extensions: permessage-deflate", compression=None).deflate is None


@pytest.mark.parametrize(
    "value",
    [
        b"permessage-deflate; a=",
        b"permessage-deflate;",
        b";a",
        b"foo bar",
        b'"permessage-deflate"',
        b"foo; a=b=c",
        b'foo; a="b',
        b'foo; a="b c"',
        b'foo; a=""',
        b"foo=1",
        b"foo; =1",
        b"foo, permessage-deflate; a b",
        b"foo\xe9",
    ],
    ids=lambda value: value.decode("latin-1"),
)
@pytest.mark.parametrize("compression", [zlib, None], ids=["with zlib", "without"])
def test_malformed_list_of_extensions_is_refused(wire: Any, value: bytes, compression: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(wire, b"Sec-WebSocket-Extensions: " + value, compression=compression)
    assert caught.value.status == 400


# The answer

OFFER = (b"Sec-WebSocket-Protocol: chat, superchat",)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"


@pytest.mark.parametrize("name", [None, ""])
def test_answer_without_a_subprotocol_is_empty(wire: Any, name: str | None) -> None:
    assert read(wire, *OFFER).answer(name, ()) == []


def test_subprotocol_offered_twice_is_answered_once(wire: Any) -> None:
    handshake = read(wire, b"Sec-WebSocket-Protocol: chat, a, chat")
    assert handshake.answer("chat", ()) == [(b"sec-websocket-protocol", b"chat")]


@pytest.mark.parametrize("kind", [bytearray, memoryview, type("Bytes", (bytes,), {})])
def test_answer_fields_may_be_of_any_bytes_type(wire: Any, kind: Any) -> None:
    assert read(wire).answer(None, [(kind(b"x"), kind(b"y"))]) == [(b"x", b"y")]
    with pytest.raises(ValueError, match="connection"):
        read(wire).answer(None, [(kind(b"Connection"), kind(b"y"))])


@pytest.mark.parametrize("name", ["chat", "superchat"])
def test_answer_names_the_subprotocol(wire: Any, name: str) -> None:
    assert read(wire, *OFFER).answer(name, ()) == [(b"sec-websocket-protocol", name.encode())]


@pytest.mark.parametrize("name", ["other", "Chat", "chat, superchat", "chat\r\nx: y", "é"])
def test_subprotocol_that_was_not_offered_is_refused(wire: Any, name: str) -> None:
    with pytest.raises(ValueError, match="subprotocol"):
        read(wire, *OFFER).answer(name, ())


def test_subprotocol_without_any_offer_is_refused(wire: Any) -> None:
    with pytest.raises(ValueError, match="subprotocol"):
        read(wire).answer("chat", ())


def test_answer_names_the_extension(wire: Any) -> None:
    handshake = read(wire, DEFLATE)
    assert handshake.answer(None, ()) == [(b"sec-websocket-extensions", handshake.deflate.response)]


def test_answer_includes_the_fields_of_the_application(wire: Any) -> None:
    fields = [(b"set-cookie", b"a=b"), (b"X-A", b"1"), (b"x-a", b"2")]
    answer = read(wire, *OFFER).answer("chat", fields)
    assert [(name.lower(), value) for name, value in answer] == [
        (b"sec-websocket-protocol", b"chat"),
        (b"set-cookie", b"a=b"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"connection",
        b"Connection",
        b"upgrade",
        b"content-length",
        b"Transfer-Encoding",
        b"sec-websocket-accept",
        b"Sec-WebSocket-Accept",
        b"sec-websocket-extensions",
        b"Sec-WebSocket-Extensions",
    ],
)
def test_reserved_fields_are_refused(wire: Any, name: bytes) -> None:
    with pytest.raises(ValueError):
        read(wire).answer(None, [(name, b"x")])


def test_second_subprotocol_is_refused(wire: Any) -> None:
    with pytest.raises(ValueError):
        read(wire, *OFFER).answer("chat", [(b"Sec-WebSocket-Protocol", b"superchat")])


@pytest.mark.parametrize(
    "field",
    [(b"a b", b"c"), (b"", b"c"), (b"a", b"b\r\nc: d"), (b"a", b"\0"), (b"a:", b"b")],
    ids=ascii,
)
def test_malformed_fields_are_refused(wire: Any, field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError):
        read(wire).answer(None, [field])


@pytest.mark.parametrize("field", [("a", b"b"), (b"a", "b"), (b"a", 1)], ids=ascii)
def test_fields_that_are_not_bytes_are_refused(wire: Any, field: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError):
        read(wire).answer(None, [field])
