"""The targets: each reads one input in every way that must give the same result, and raises AssertionError otherwise.

An input is any bytes. Where the first bytes choose something, the function says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hpack import Decoder as TheirDecoder
from hpack import HPACKError
from hypothesis import settings
from hypothesis.stateful import get_state_machine_test

from fuzz.comparing import alike, attempt, forms, with_cuts
from pronghorn import constants
from pronghorn.config import trusted_proxies
from pronghorn.config.parameters import PARAMETERS, encode_headers
from pronghorn.errors import ClientDisconnected, HTTP2Error, ProtocolError
from pronghorn.listen.proxy_protocol import LARGEST, HeaderError
from pronghorn.listen.proxy_protocol import parse as parse_proxy_header
from pronghorn.logging import trace_context
from pronghorn.metrics import layout
from pronghorn.process import memory, modes
from tests.support import http2 as client
from tests.support.frames import BINARY, CONTINUATION, RSV1, TEXT, frame
from tests.support.oracles import llhttp, websockets
from tests.support.rig import Rig, body, ok, read_body, start
from tests.wire.http1.test_connection_machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable

END = b"\r\n\r\n"
# Of a list of header fields.
LIMIT = 65536
# Enough for every timeout of a connection.
SECONDS_TO_THE_END = 300
OFFERS = (None, websockets.DEFLATE, "permessage-deflate; client_no_context_takeover")


# HTTP/1.1


def heads(data: bytes) -> None:
    """One head, also as llhttp reads it."""
    head = data.partition(END)[0] + END
    interpreted, compiled = (llhttp.check(wire, head) for wire in forms())
    llhttp.check_alike(interpreted, compiled)


def bodies(data: bytes) -> None:
    """One chunked body, in pieces too, and as llhttp reads it."""
    content, pieces = with_cuts(data)
    ours = alike(*(_decode(wire, each) for wire in forms() for each in ([content], pieces)))
    llhttp.check_body(ours, content)


def connections(data: bytes) -> None:
    """All that one client sends, to applications that answer, or leave the body, or fail."""
    content, pieces = with_cuts(data)
    whole, parts = (alike(*(_converse(wire, each, echo) for wire in forms())) for each in ([content], pieces))
    # The application is called for a request whose body is refused, unless the fault came with the head.
    if parts["refused"] and len(parts["requests"]) == len(whole["requests"]) + 1:
        names = {name for name, _ in parts["requests"].pop()["headers"]}
        assert names & {b"content-length", b"transfer-encoding"}
    alike(whole, parts)
    for application in (leave_the_body, fail, wait):
        alike(*(_converse(wire, pieces, application) for wire in forms()))


def machine(data: bytes) -> None:
    """The steps of a connection: client, transport, loop and applications, chosen by the input."""
    _MACHINE(data)


# WebSocket


def frames(data: bytes) -> None:
    """Frames, as the first byte chooses with or without compression, also as the `websockets` library reads them."""
    offer = OFFERS[data[0] % len(OFFERS)] if data else None
    content, pieces = with_cuts(data[1:])
    for wire in forms():
        websockets.compare(wire, content, pieces, offer)
    alike(*(websockets.ours(wire, each, offer) for wire in forms() for each in ([content], pieces)))


def deflate(data: bytes) -> None:
    """Messages between empty lines, each a byte that is odd for a text, and the compressed content."""
    messages = data.split(b"\n\n")
    content = b"".join(
        frame(TEXT if each[:1] and each[0] & 1 else BINARY, each[1:4], fin=len(each) <= 4, rsv=RSV1)
        + (frame(CONTINUATION, each[4:]) if len(each) > 4 else b"")
        for each in messages
    )
    for wire in forms():
        websockets.compare(wire, content, [content], OFFERS[1])
        websockets.compare(wire, content, [content], OFFERS[2])


# HTTP/2


def http2(data: bytes) -> None:
    """All that one client sends after its preface."""
    # An application that is called, or answers, between two pieces changes what the rest means.
    content, pieces = with_cuts(data)
    for application in (echo, leave_the_body, fail, wait):
        for each in ([content], pieces):
            alike(*(_exchange(wire, each, application) for wire in forms()))


def hpack(data: bytes) -> None:
    """Blocks of fields, each after a byte with its length, also as the `hpack` library reads them."""
    ours = [wire.http2.hpack.Decoder() for wire in forms()]
    theirs = TheirDecoder(LIMIT * 4)
    while data:
        block, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        found = alike(*(attempt(HTTP2Error, _fields, each, block) for each in ours))
        their = attempt(HPACKError, _their_fields, theirs, block)
        if found[0] == "HTTP2Error":
            if isinstance(their, list):
                assert found[1]["reason"] in WE_REFUSE_BLOCKS, (found, their)
            return
        assert isinstance(their, list), (found, their)
        fields, malformed, _ = found
        if malformed is None:
            assert fields == their


def _fields(decoder: Any, block: bytes) -> Any:
    return decoder.decode(block, LIMIT), decoder.malformed, decoder.size


def _their_fields(decoder: Any, block: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


# The errors of a block of fields that only we refuse, with the reasons.
WE_REFUSE_BLOCKS = {
    "table size update within a field block": "it may only come first (RFC 7541 section 4.2); hpack takes it anywhere",
}


# Fields of proxies

FORWARDING = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix")


def proxies(data: bytes) -> None:
    """Lines of forwarding fields; the first byte of each chooses the name. Then the grammar of tracing fields."""
    lines = [line for line in re.split(rb"[\r\n\0]", data) if line]
    fields = b"".join((*FORWARDING, b"forwarded", b"host")[line[0] % 7] + b": " + line[1:] + b"\r\n" for line in lines)
    head = b"GET /x%20y?q HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n"
    for kind in ("x-forwarded", "x-forwarded-all", "forwarded"):
        scope = alike(*(_scope(wire, head, kind) for wire in forms()))
        if scope is not None:
            host, port = scope["client"]
            assert isinstance(host, str)
            assert 0 <= port <= 65535
            assert scope["scheme"] in ("http", "https")
            assert sum(name == b"host" for name, _ in scope["headers"]) == 1
    read = trace_context.read([(b"traceparent", line[1:]) for line in lines])
    assert read is None or all(re.fullmatch("[0-9a-f]+", each) for each in read)


def proxy_protocol(data: bytes) -> None:
    """The header of a proxy, at once and byte by byte."""
    whole = attempt(HeaderError, parse_proxy_header, data)
    parts = None
    for size in range(1, len(data) + 1):
        parts = attempt(HeaderError, parse_proxy_header, data[:size])
        if parts is not None:
            break
    if whole is not None and whole[0] == HeaderError.__name__:
        assert parts is not None
        assert parts[0] == HeaderError.__name__
    else:
        assert whole == parts
        assert whole is None or whole.size <= min(len(data), LARGEST)


# An operator's words


def configuration(data: bytes) -> None:
    """A value in text; the first byte chooses the parameter. It may raise ValueError only."""
    if not data:
        return
    text = data[1:].decode("utf-8", "surrogateescape")
    steps = _steps()
    attempt(ValueError, steps[data[0] % len(steps)], text)


def _steps() -> list[Callable[[str], Any]]:
    checked = [each for each in PARAMETERS.values() if each.check is not None]
    return [
        *(lambda text, each=each: _validate(each, text) for each in checked),
        trusted_proxies.read,
        memory.parse,
        modes.parse,
        lambda text: encode_headers([tuple(text.partition(":")[::2])]),  # type: ignore[list-item]
    ]


def _validate(parameter: Any, text: str) -> None:
    parameter.validate([text] if parameter.is_repeatable else text)


# Applications


async def echo(request: Any) -> None:
    content = await read_body(request)
    if content is None:
        request.abandon()
        return
    try:
        start(request, (b"content-length", b"%d" % len(content)))
        body(request, content)
    except ClientDisconnected:  # after its body, and before this call went on
        request.abandon()


def leave_the_body(request: Any) -> None:
    ok(request)


async def fail(request: Any) -> None:
    """Answer half of what it announces."""
    start(request, (b"content-length", b"10"))
    body(request, b"half", more=True)
    request.fail(500)


async def wait(request: Any) -> None:
    """Read until the client leaves."""
    while (await request.receive())["type"] == "http.request":
        pass
    request.abandon()


# The readers of the inputs


_MACHINE = get_state_machine_test(
    lambda: Machine(("interpreted", "compiled")),
    settings=settings(stateful_step_count=40, deadline=None, database=None),
).hypothesis.fuzz_one_input


def _decode(wire: Any, pieces: list[bytes]) -> tuple[bytes, bytes | None, str]:
    """The content of a chunked body, what follows its end or None before it, and the reason of a refusal."""
    decoder = wire.body.Decoder(constants.CHUNKED, 0, wire.shared.Limits())
    content, buffer = b"", b""
    try:
        for piece in pieces:
            buffer += piece
            if not decoder.done and buffer:
                content += decoder.feed(buffer, 0)
                buffer = buffer[decoder.position :]
    except ProtocolError as error:
        return b"", None, error.reason
    return content, buffer if decoder.done else None, ""


def _converse(wire: Any, pieces: list[bytes], application: Any) -> dict[str, Any]:
    """All that a connection does with `pieces`, the end of the stream and the time after it."""
    rig = Rig(wire, application)
    return {"written": _play(rig, pieces), **_seen(rig)}


def _exchange(wire: Any, pieces: list[bytes], application: Any) -> dict[str, Any]:
    """All that a connection of HTTP/2 does with `pieces`, the end of the stream and the time after it."""
    rig = Rig(wire, application, kind=wire.http2.connection.HTTP2Connection)
    rig.receive(client.opening())
    rig.turn()
    written = _play(rig, pieces)
    client.split_frames(written)
    return {"written": written, **_seen(rig)}


def _play(rig: Any, pieces: list[bytes]) -> bytes:
    """Let a client send `pieces`, as fast as the connection reads, and then nothing more. Return the output."""
    waiting = list(pieces)
    while waiting and not rig.is_over():
        rig.receive(waiting.pop(0))
        rig.turn()
        if rig.is_paused():
            break
    if not rig.is_paused():
        rig.connection.end_input()
        rig.turn()
    for second in range(1, SECONDS_TO_THE_END):
        if rig.is_over() or "abort" in rig.calls:
            break
        rig.tick(second)
    assert rig.is_over() or "abort" in rig.calls, "left open"
    rig.connection.lose()
    rig.turn()
    return bytes(rig.written)


def _seen(rig: Any) -> dict[str, Any]:
    assert not rig.failures
    assert rig.counted(layout.ACTIVE_REQUESTS) == 0
    return {
        "requests": [_readable(request.scope) for request in rig.requests],
        "refused": [error.reason for error in rig.refused],
    }


def _readable(scope: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scope.items() if key not in ("state", "extensions", "app")}


def _scope(wire: Any, head: bytes, kind: str) -> dict[str, Any] | None:
    """The scope of a request from a trusted proxy, or None if it is refused."""
    trusted = trusted_proxies.read("127.0.0.1, 10.0.0.0/8, 2001:db8:1::/48, proxy.internal, unix")
    rig = Rig(wire, proxies=wire.proxies.Proxies(trusted, kind))
    rig.receive(head)
    assert not rig.failures
    return _readable(rig.request.scope) if rig.requests else None


_HTTP = (heads, bodies, connections, machine, http2, hpack)
_WEBSOCKET = (frames, deflate)
_OTHERS = (proxies, proxy_protocol, configuration)

TARGETS: dict[str, Callable[[bytes], None]] = {each.__name__: each for each in _HTTP + _WEBSOCKET + _OTHERS}
