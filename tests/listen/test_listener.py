"""The accept loop: operating-system errors, and the interface of `asyncio.Server`."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from pronghorn.listen import listener
from pronghorn.listen.listener import Listener

Loop = Callable[[], asyncio.AbstractEventLoop]


class Refusing(socket.socket):
    """A listening socket whose `accept` raises each of `errors` first."""

    errors: tuple[int, ...] = ()

    def accept(self) -> Any:
        if self.errors:
            number, *rest = self.errors
            self.errors = tuple(rest)
            raise OSError(number, os.strerror(number))
        return super().accept()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setattr(listener, "_RETRY_DELAY", 0)
    if request.param == "asyncio":
        return asyncio.SelectorEventLoop
    made: Loop = pytest.importorskip("uvloop").new_event_loop
    return made


def warnings_at(loop_factory: Loop, *errors: int) -> list[Any]:
    """The warnings logged while three clients connect, each after these errors."""
    warnings: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[asyncio.BaseTransport] = asyncio.Queue()

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.put_nowait(transport)

        async def connect(sock: socket.socket, address: Any) -> None:
            await loop.connect_accepted_socket(Protocol, sock)

        with Refusing() as sock:
            sock.bind(("127.0.0.1", 0))
            server = Listener(loop, sock, 10, connect, lambda *line: warnings.append(line))
            server.listen()
            assert (server.sockets, server.is_serving(), server.get_loop()) == ((sock,), True, loop)
            for _ in range(3):
                sock.errors = errors
                _, writer = await asyncio.open_connection(*sock.getsockname())
                (await asyncio.wait_for(made.get(), 10)).close()
                writer.close()
                await writer.wait_closed()
            server.close()
            await server.wait_closed()
            assert (server.sockets, server.is_serving()) == ((), False)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    return warnings


def test_errors_of_one_connection_are_ignored(loop_factory: Loop) -> None:
    assert warnings_at(loop_factory, errno.ECONNABORTED, errno.EPROTO) == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EINVAL], ids=errno.errorcode.get)
def test_failed_accept_is_retried_and_logged_once(loop_factory: Loop, number: int) -> None:
    line = ("Cannot accept connections: %s", os.strerror(number))
    assert warnings_at(loop_factory, *[number] * 5) == [line] * 3


def test_listener_that_closes_leaves_no_timer() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []
        waiting: Any = loop.call_later

        def call_later(*arguments: Any) -> asyncio.TimerHandle:
            timers.append(waiting(*arguments))
            return timers[-1]

        loop.call_later = call_later  # type: ignore[method-assign]
        refused = asyncio.Event()
        with Refusing() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.errors = (errno.EMFILE,)
            server = Listener(loop, sock, 10, Any, lambda *line: refused.set())
            server.listen()
            _, writer = await asyncio.open_connection(*sock.getsockname())
            await asyncio.wait_for(refused.wait(), 10)
            server.close()
            writer.close()
            await writer.wait_closed()
        assert [timer.cancelled() for timer in timers if timer.when() < loop.time() + 5] == [True]

    asyncio.run(main())


def test_socket_is_closed_if_connecting_fails(loop_factory: Loop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def connect(sock: socket.socket, address: Any) -> None:
            raise OSError("gone")

        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            server = Listener(loop, sock, 10, connect, print)
            server.listen()
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
            await writer.wait_closed()
            server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_completion_based_loop_uses_its_own_server() -> None:
    class Loop:
        def add_reader(self, *arguments: Any) -> None:
            raise NotImplementedError

        async def create_server(self, *arguments: Any, **parameters: Any) -> Any:
            return parameters

    async def main() -> Any:
        config: Any = type("Config", (), {"backlog": 7, "ssl": None})
        loop: Any = Loop()
        factory: Any = asyncio.Protocol
        connect: Any = print
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            made: Any = await listener.listen(loop, factory, sock, config, print, connect)
            assert made == {"sock": sock, "ssl": None, "backlog": 7}

    asyncio.run(main())
