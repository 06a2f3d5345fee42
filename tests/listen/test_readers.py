"""Readers of sockets on each loop: they are called for a reset after data, and leak no descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from pronghorn import loops
from pronghorn.listen.readers import Readers
from tests.support.engines import make_readers

PATIENCE = 20

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """A function that runs a coroutine function in a loop of this kind."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    if sys.platform == "win32":
        pytest.skip("its loop has no readers")

    def run(main: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            return await asyncio.wait_for(main(), PATIENCE)

        with asyncio.Runner(loop_factory=loops.factory(request.param)) as runner:
            return runner.run(bounded())

    return run


@pytest.fixture
def pair() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """A function that makes a connection; it returns our non-blocking socket and the client's."""
    made: list[socket.socket] = []

    def make() -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname())
            ours, _ = server.accept()
        made.extend((ours, client))
        ours.setblocking(False)
        return ours, client

    yield make
    for sock in made:
        sock.close()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class Once:
    """A reader that reads once per call and leaves any further data."""

    def __init__(self, readers: Readers, sock: socket.socket) -> None:
        self.heard: list[bytes] = []
        self.error: asyncio.Future[OSError] = asyncio.get_running_loop().create_future()
        self._readers = readers
        self._sock = sock
        readers.add(sock.fileno(), self.read)

    def read(self) -> None:
        try:
            self.heard.append(self._sock.recv(100))
        except BlockingIOError:
            pass
        except OSError as error:
            self._readers.remove(self._sock.fileno())
            self.error.set_result(error)


def test_reset_after_data_is_reported(run: Run, pair: Any) -> None:
    async def main() -> None:
        ours, client = pair()
        reader = Once(make_readers(asyncio.get_running_loop()), ours)
        client.sendall(b"last")
        reset(client)
        assert isinstance(await reader.error, ConnectionResetError)
        assert reader.heard == [b"last"]

    run(main)


def test_reader_that_raises_does_not_block_others(run: Run, pair: Any) -> None:
    async def main() -> None:
        caught: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: caught.append(context))
        readers = make_readers(loop)
        bad, bad_client = pair()

        def fail() -> None:
            if len(caught) > 2:
                readers.remove(bad.fileno())
            raise RuntimeError("failed")

        readers.add(bad.fileno(), fail)
        good, client = pair()
        reader = Once(readers, good)
        client.sendall(b"last")
        reset(bad_client)
        reset(client)
        assert isinstance(await reader.error, ConnectionResetError)
        while not caught:
            await asyncio.sleep(0)
        assert all(str(context["exception"]) == "failed" for context in caught)

    run(main)


def test_removed_reader_is_not_called(run: Run, pair: Any) -> None:
    async def main() -> None:
        readers = make_readers(asyncio.get_running_loop())
        ours, client = pair()
        other = Once(readers, pair()[0])
        reader = Once(readers, ours)
        readers.remove(ours.fileno())
        readers.remove(ours.fileno())
        reset(client)
        for _ in range(5):
            await asyncio.sleep(0)
        assert reader.heard == []
        assert not reader.error.done()
        # The reader is called again after it is added again.
        readers.add(ours.fileno(), reader.read)
        assert isinstance(await reader.error, ConnectionResetError)
        assert not other.error.done()

    run(main)


def descriptors(pairs: list[tuple[socket.socket, socket.socket]]) -> set[str]:
    """The numbers of the descriptors of these sockets, and of epoll."""
    wanted = {"anon_inode:[eventpoll]", *(f"socket:[{os.fstat(ours.fileno()).st_ino}]" for ours, _ in pairs)}
    numbers = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            if os.readlink(f"/proc/self/fd/{number}") in wanted:
                numbers.add(number)
    return numbers


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not tell")
def test_no_descriptor_leaks(run: Run, pair: Any) -> None:
    async def main() -> None:
        readers = make_readers(asyncio.get_running_loop())
        pairs = [pair() for _ in range(3)]
        # Of these, some may belong to earlier tests, and be closed by the garbage collector meanwhile.
        before = descriptors(pairs)
        for _ in range(2):
            for ours, _ in pairs:
                readers.add(ours.fileno(), lambda: None)
            assert len(descriptors(pairs) - before) <= 1
            for ours, _ in pairs:
                readers.remove(ours.fileno())
            assert descriptors(pairs) <= before

    run(main)


def no_poll() -> Any:
    raise OSError("too many open files")


@pytest.mark.parametrize("open_poll", [None, no_poll])
def test_loop_reads_where_the_inbox_cannot(run: Run, pair: Any, open_poll: Any) -> None:
    async def main() -> None:
        readers = make_readers(asyncio.get_running_loop(), open_poll)
        ours, client = pair()
        called = asyncio.Event()
        readers.add(ours.fileno(), called.set)
        client.sendall(b"hello")
        await called.wait()
        readers.remove(ours.fileno())

    run(main)


def test_reader_that_is_added_again_replaces_the_first(run: Run, pair: Any) -> None:
    async def main() -> None:
        readers = make_readers(asyncio.get_running_loop())
        ours, client = pair()
        calls: list[str] = []
        called = asyncio.Event()
        readers.add(ours.fileno(), calls.append, "first")
        readers.add(ours.fileno(), lambda: called.set())
        client.sendall(b"hello")
        await called.wait()
        readers.remove(ours.fileno())
        assert not calls

    run(main)
