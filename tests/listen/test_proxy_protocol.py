"""The PROXY protocol: its grammar, and the bytes that are read from a socket."""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.listen import proxy_protocol
from pronghorn.listen.proxy_protocol import LARGEST, Header, HeaderError, Receiver, parse

Loop = Callable[[], asyncio.AbstractEventLoop]

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ENDS4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\x00\x50\xff\xff"
ENDS6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "::2") + b"\x00\x01\x01\xbb"
)


def binary(command: int, kind: int, rest: bytes, size: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, kind]) + (len(rest) if size is None else size).to_bytes(2, "big") + rest


OVER_IPV4 = (("192.0.2.1", 80), ("198.51.100.2", 65535))
OVER_IPV6 = (("2001:db8::1", 1), ("::2", 443))

VALID: dict[bytes, Any] = {
    b"PROXY TCP4 192.0.2.1 198.51.100.2 80 65535\r\n": OVER_IPV4,
    b"PROXY TCP4 0.0.0.0 255.255.255.255 0 0\r\n": (("0.0.0.0", 0), ("255.255.255.255", 0)),
    b"PROXY TCP6 2001:DB8:0::1 ::2 1 443\r\n": OVER_IPV6,
    b"PROXY TCP6 %b %b 65535 65535\r\n" % ((b":".join([b"ffff"] * 8),) * 2): ((":".join(["ffff"] * 8), 65535),) * 2,
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff::1 anything \xff 1\r\n": None,
    b"PROXY UNKNOWN " + b"a" * 91 + b"\r\n": None,
    binary(0x21, 0x11, ENDS4): OVER_IPV4,
    binary(0x21, 0x21, ENDS6): OVER_IPV6,
    binary(0x21, 0x11, ENDS4 + b"\x04\x00\x01a"): OVER_IPV4,
    binary(0x21, 0x11, ENDS4 + bytes(LARGEST - 16 - 12)): OVER_IPV4,
    binary(0x21, 0x00, b""): None,
    binary(0x21, 0x00, b"\x04\x00\x01a"): None,
    binary(0x21, 0x31, bytes(216)): None,
    binary(0x20, 0x00, b""): None,
    binary(0x20, 0x11, ENDS4): None,
    binary(0x20, 0x11, b"x"): None,
    binary(0x20, 0xEE, b""): None,
}

MALFORMED = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01",
    b"\r\n\r\nGET",
    b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1  2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r3\r\n",
    b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 ::1 ::2 1 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 \xb2\r\n",
    b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP6 ::1 ::g 1 2\r\n",
    b"PROXY TCP6 ::1%lo ::2 1 2\r\n",
    b"PROXY TCP6 1::2::3 ::2 1 2\r\n",
    b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNKNOWN a\rb\r\n",
    b"PROXY UNKNOWN " + b"a" * 92 + b"\r\n",
    b"PROXY UNKNOWN " + b"a" * 200,
    binary(0x11, 0x11, ENDS4),
    binary(0x01, 0x11, ENDS4),
    binary(0x22, 0x11, ENDS4),
    binary(0x2F, 0x11, ENDS4),
    binary(0x21, 0x11, ENDS4[:-1]),
    binary(0x21, 0x21, ENDS6[:-1]),
    binary(0x21, 0x12, ENDS4),
    binary(0x21, 0x22, ENDS6),
    binary(0x21, 0x32, bytes(216)),
    binary(0x21, 0x01, ENDS4),
    binary(0x21, 0x10, ENDS4),
    binary(0x21, 0x13, ENDS4),
    binary(0x21, 0x41, ENDS4),
    binary(0x21, 0x11, ENDS4, LARGEST - 15),
    binary(0x20, 0x00, b"", 0xFFFF),
]


class Refusals:
    """Everybody is trusted; the log and the metrics are kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cells: list[int] = []

    def trusts_peer(self, *ends: Any) -> bool:
        return True

    def warn(self, message: str, *arguments: object) -> None:
        self.lines.append(message % arguments)

    def count(self, cell: int) -> None:
        self.cells.append(cell)


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> Loop:
    if request.param == "asyncio":
        return asyncio.SelectorEventLoop
    made: Loop = pytest.importorskip("uvloop").new_event_loop
    return made


def first_result(data: bytes, cuts: list[int]) -> Header | str | None:
    """The first result of `parse`, as the bytes of `data` become known piece by piece."""
    for end in [*cuts, len(data)]:
        try:
            header = parse(data[:end]) if end else None
        except HeaderError as error:
            return str(error)
        if header is not None:
            return header
    return None


@pytest.mark.parametrize("header", list(VALID), ids=repr)
def test_header_gives_addresses(header: bytes) -> None:
    found = parse(header + b"GET / HTTP/1.1\r\n")
    assert found is not None
    assert found[:2] == (len(header), VALID[header])


@pytest.mark.parametrize("header", list(VALID), ids=repr)
def test_header_tells_connection_of_proxy_from_that_of_unknown_client(header: bytes) -> None:
    found = parse(header)
    assert found is not None
    assert found.is_local is header.startswith(SIGNATURE + b"\x20")


@pytest.mark.parametrize("header", list(VALID), ids=repr)
def test_header_is_awaited_to_its_end(header: bytes) -> None:
    assert [parse(header[:size]) for size in range(1, len(header))] == [None] * (len(header) - 1)


@pytest.mark.parametrize("data", MALFORMED, ids=repr)
def test_malformed_header_is_refused(data: bytes) -> None:
    with pytest.raises(HeaderError):
        parse(data)


@given(st.sampled_from([*VALID, *MALFORMED]), st.binary(max_size=20), st.data())
def test_any_split_gives_the_same_result(header: bytes, tail: bytes, drawn: st.DataObject) -> None:
    data = header + tail
    cuts = sorted(drawn.draw(st.lists(st.integers(0, len(data)), max_size=5)))
    whole = first_result(data, [])
    assert isinstance(whole, Header) == (header in VALID)
    split = first_result(data, cuts)
    if header in VALID:
        assert split == whole
    else:
        assert isinstance(split, str)


@given(
    st.binary(max_size=LARGEST + 16), st.sampled_from([b"", SIGNATURE, SIGNATURE + b"\x21", b"PROXY ", b"PROXY TCP4 "])
)
def test_any_bytes_are_a_header_or_refused_or_incomplete(rest: bytes, start: bytes) -> None:
    data = start + rest
    try:
        header = parse(data) if data else None
    except HeaderError:
        return
    assert len(data) < LARGEST if header is None else header.size <= min(len(data), LARGEST)


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.1 198.51.100.2 80 65535\r\n", binary(0x21, 0x21, ENDS6)])
def test_no_byte_after_the_header_is_read(loop_factory: Loop, header: bytes) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            received = asyncio.ensure_future(proxy_protocol.receive(loop, ours))
            for before, after in itertools.pairwise(range(len(header))):
                theirs.send(header[before:after])
                await asyncio.sleep(0)
            theirs.send(header[-1:] + b"more")
            assert await asyncio.wait_for(received, 10) == Header(len(header), VALID[header])
            assert ours.recv(100) == b"more"

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def refused(loop_factory: Loop, sent: bytes, timeout: float | None, ends: bool) -> Refusals:
    """Send bytes to a socket that expects a header, and wait until it is closed without a connection."""
    refusals = Refusals()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def connect(*arguments: Any) -> None:
            raise AssertionError(arguments)

        wrap = Receiver(loop, refusals, timeout, refusals).wrap
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
            client.connect(listening.getsockname())
            client.sendall(sent)
            if ends:
                client.shutdown(socket.SHUT_WR)
            accepted, address = listening.accept()
            accepted.setblocking(False)
            await asyncio.wait_for(wrap(connect)(asyncio.Protocol, accepted, address), 10)
            assert accepted.fileno() < 0

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    return refusals


@pytest.mark.parametrize("timeout", [None, 10.0])
def test_header_that_ends_too_early_is_refused(loop_factory: Loop, timeout: float | None) -> None:
    lines = refused(loop_factory, b"PROXY TCP4 ", timeout, True).lines
    assert [line.partition(": ")[2] for line in lines] == ["the PROXY header is incomplete"]


def test_header_that_takes_too_long_is_refused(loop_factory: Loop) -> None:
    refusals = refused(loop_factory, b"PROXY TCP4 ", 0.05, False)
    assert [line.partition(": ")[2] for line in refusals.lines] == ["no PROXY header in time"]
    assert len(refusals.cells) == 1


def test_peer_that_sends_nothing_is_not_reported(loop_factory: Loop) -> None:
    refusals = refused(loop_factory, b"", None, True)
    assert (refusals.lines, refusals.cells) == ([], [])


def test_cancelled_wait_closes_the_socket(loop_factory: Loop) -> None:
    refusals = Refusals()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wrap = Receiver(loop, refusals, None, refusals).wrap
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            connect: Any = functools.partial
            waiting = asyncio.ensure_future(wrap(connect)(asyncio.Protocol, ours, ""))
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            assert theirs.recv(1) == b""

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
