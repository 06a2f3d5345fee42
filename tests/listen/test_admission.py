"""Limits on connections: who counts, and for how long."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from pronghorn.listen.admission import Limit, client


class Report:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cells: list[int] = []

    def warn(self, message: str, *arguments: object) -> None:
        self.lines.append(message % arguments)

    def count(self, cell: int) -> None:
        self.cells.append(cell)


class Rig:
    """A limit of two, and the connections behind it."""

    def __init__(self, reason: str = "connections") -> None:
        self.open: set[Any] = set()
        self.report = Report()
        self.limit = Limit(2, reason, self.open, self.report)
        self.fails: Exception | None = None
        self.makes = True

    async def _connect(self, factory: Any, sock: socket.socket, address: Any) -> None:
        if self.makes:
            protocol = factory()
        if self.fails is not None:
            raise self.fails
        if self.makes:
            self.open.add(protocol)

    def connect(self, address: Any = ("192.0.2.1", 1)) -> bool:
        """Return whether the connection was admitted."""
        with socket.socket() as sock:
            made = asyncio.run(self._run(sock, address))
            assert made == (sock.fileno() >= 0)
            return made

    async def _run(self, sock: socket.socket, address: Any) -> bool:
        before = len(self.report.lines)
        await self.limit.wrap(self._connect)(asyncio.Protocol, sock, address)
        return len(self.report.lines) == before

    def lose(self) -> None:
        self.limit.leave(self.open.pop())


def test_connection_over_the_limit_is_closed_logged_and_counted() -> None:
    rig = Rig()
    assert [rig.connect() for _ in range(3)] == [True, True, False]
    assert rig.report.lines == ["Connection refused. 192.0.2.1:1: more connections than --limit-connections 2"]
    assert len(rig.report.cells) == 1


def test_lost_connection_makes_room_for_one() -> None:
    rig = Rig()
    assert rig.connect()
    assert rig.connect()
    rig.lose()
    assert [rig.connect(), rig.connect()] == [True, False]


@pytest.mark.parametrize("makes", [True, False])
def test_failed_connection_does_not_count(makes: bool) -> None:
    rig = Rig()
    rig.fails, rig.makes = OSError(), makes
    for _ in range(3):
        with pytest.raises(OSError):
            rig.connect()
    rig.fails, rig.makes = None, True
    assert [rig.connect() for _ in range(3)] == [True, True, False]


def test_connection_without_protocol_does_not_count() -> None:
    rig = Rig()
    rig.makes = False
    assert [rig.connect() for _ in range(3)] == [True] * 3


def test_connection_in_setup_counts() -> None:
    async def main() -> None:
        rig = Rig()
        go_on = asyncio.Event()

        async def connect(factory: Any, sock: Any, address: Any) -> None:
            await go_on.wait()

        with socket.socket() as sock:
            waiting = [asyncio.ensure_future(rig.limit.wrap(connect)(asyncio.Protocol, sock, "")) for _ in range(2)]
            await asyncio.sleep(0)
            assert not await rig._run(sock, "")
            go_on.set()
            await asyncio.gather(*waiting)
            assert await rig._run(sock, "")

    asyncio.run(main())


def test_connection_that_was_refused_leaves_without_effect() -> None:
    rig = Rig()
    assert [rig.connect() for _ in range(3)] == [True, True, False]
    rig.limit.leave(asyncio.Protocol())
    assert not rig.connect()


def test_each_key_has_its_own_limit() -> None:
    rig = Rig("connections_per_address")
    assert [rig.connect(("192.0.2.1", port)) for port in range(3)] == [True, True, False]
    assert rig.connect(("192.0.2.2", 1))


def test_unix_peers_have_no_limit_for_each() -> None:
    rig = Rig("connections_per_address")
    assert [rig.connect("") for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%lo", "fe80::2%lo", True),
    ],
)
def test_client_is_an_ipv4_address_or_an_ipv6_network(one: str, other: str, is_same: bool) -> None:
    assert (client((one, 1)) == client((other, 2, 0, 0))) == is_same
