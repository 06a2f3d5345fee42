"""The reader of a connection's input, on each loop: the transport first, then the inbox."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pronghorn import Config, backend, loops
from pronghorn.server import polls
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.state import ServerState
from pronghorn.server.transports import reset_at_close
from tests.support.forms import FORMS
from tests.support.server import PATIENCE, lacks

pytestmark = pytest.mark.skipif(polls.open_poll is None, reason="the system has no inbox")

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
OPEN_POLL: Any = polls.open_poll
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
LARGE = bytes(range(256)) * 4096


async def empty(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


class Served:
    """A connection of a server in the running loop, and its client's socket."""

    def __init__(self, state: ServerState, transport: Any, client: socket.socket) -> None:
        self.state = state
        self.transport = transport
        self.client = client
        self.loop = asyncio.get_running_loop()

    async def ask(self, request: bytes = GET, answer: bytes = NO_CONTENT) -> None:
        """Send a request, and await its answer."""
        await self.loop.sock_sendall(self.client, request)
        received = b""
        while len(received) < len(answer):
            data = await self.loop.sock_recv(self.client, 65536)
            assert data
            received += data
        assert received == answer

    async def lost(self) -> None:
        """Wait until the server has lost the connection."""
        while self.state.connections:
            await asyncio.sleep(0)

    def is_in_inbox(self) -> bool:
        return not self.transport.is_reading()


@contextlib.asynccontextmanager
async def served(
    form: str, app: Any = empty, kind: Callable[[ServerState], asyncio.Protocol] = HTTPProtocol
) -> AsyncIterator[Served]:
    config = Config(app, log_config=None, access_log=False, date_header=False, server_header=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    state.prepare(config, backend.form(FORMS[form], form), loop, {})
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with client:
        client.setblocking(False)
        transport, _ = await loop.connect_accepted_socket(lambda: kind(state), ours)
        yield Served(state, transport, client)
        transport.abort()
        while state.connections:
            await asyncio.sleep(0)


async def transport_reads_every_request(form: str) -> None:
    async with served(form) as connection:
        for _ in range(4):
            await connection.ask()
        assert not connection.is_in_inbox()


def open_polls() -> int:
    """The number of this process's epoll descriptors."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the directory itself
            count += os.readlink(f"/proc/self/fd/{name}") == "anon_inode:[eventpoll]"
    return count


Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """A function that runs a coroutine function in a new loop of each kind."""
    if lacks("interpreted", request.param):
        pytest.skip(str(lacks("interpreted", request.param)))

    def run(main: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(PATIENCE):
                return await main()

        with asyncio.Runner(loop_factory=loops.factory(request.param)) as runner:
            return runner.run(bounded())

    return run


@pytest.fixture(params=["compiled", "interpreted"])
def form(request: pytest.FixtureRequest) -> str:
    if lacks(request.param):
        pytest.skip(str(lacks(request.param)))
    return str(request.param)


def test_transport_reads_the_first_request(form: str, run: Run) -> None:
    async def main() -> None:
        async with served(form) as connection:
            await connection.ask()
            assert not connection.is_in_inbox()

    run(main)


def test_inbox_reads_after_the_second_request(form: str, run: Run) -> None:
    async def main() -> None:
        async with served(form) as connection:
            for _ in range(4):
                await connection.ask()
            assert connection.is_in_inbox()

    run(main)


def test_inbox_reads_the_rest_of_a_large_body(form: str, run: Run) -> None:
    parts = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            parts.append(message["body"])
            more = message["more_body"]
        await empty(scope, receive, send)

    async def main() -> None:
        async with served(form, app) as connection:
            request = POST % len(LARGE) + LARGE
            sent = connection.client.send(request)
            assert sent > 65536
            await connection.ask(request[sent:])
            assert b"".join(parts) == LARGE
            assert connection.is_in_inbox()

    run(main)


def test_inbox_reads_no_more_than_an_application_takes(form: str, run: Run) -> None:
    go_on = asyncio.Event()
    sizes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await go_on.wait()
            more = True
            while more:
                message = await receive()
                sizes.append(len(message["body"]))
                more = message["more_body"]
        await empty(scope, receive, send)

    async def main() -> None:
        async with served(form, app) as connection:
            for _ in range(2):
                await connection.ask()
            body = bytes(32 * 1024 * 1024)
            asking = asyncio.ensure_future(connection.ask(POST % len(body) + body))
            done, _ = await asyncio.wait([asking], timeout=0.2)
            assert not done
            go_on.set()
            await asking
            assert sum(sizes) == len(body)
            assert sizes[0] < 1024 * 1024

    run(main)


def test_every_byte_may_arrive_alone(form: str, run: Run) -> None:
    async def main() -> None:
        async with served(form) as connection:
            for _ in range(2):
                await connection.ask()
            for index in range(len(GET) - 1):
                await connection.loop.sock_sendall(connection.client, GET[index : index + 1])
                await asyncio.sleep(0)
            await connection.ask(GET[-1:])

    run(main)


def test_pipelined_requests_are_answered_in_order(form: str, run: Run) -> None:
    async def main() -> None:
        async with served(form) as connection:
            for _ in range(2):
                await connection.ask()
            await connection.ask(GET * 100, NO_CONTENT * 100)

    run(main)


def test_end_of_stream_disconnects(form: str, run: Run) -> None:
    async def main() -> None:
        async with served(form) as connection:
            for _ in range(3):
                await connection.ask()
            connection.client.shutdown(socket.SHUT_WR)
            assert await connection.loop.sock_recv(connection.client, 1) == b""
            await connection.lost()

    run(main)


def test_reset_loses_the_connection(form: str, run: Run) -> None:
    async def main() -> None:
        async with served(form) as connection:
            for _ in range(3):
                await connection.ask()
            reset_at_close(connection.client)
            connection.client.close()
            await connection.lost()

    run(main)


def test_half_closed_client_gets_its_answer(form: str, run: Run) -> None:
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            await receive()
            assert (await receive())["type"] == "http.disconnect"
            go_on.set()
        await empty(scope, receive, send)

    async def main() -> None:
        async with served(form, app) as connection:
            for _ in range(2):
                await connection.ask()
            await connection.loop.sock_sendall(connection.client, GET.replace(b"/ ", b"/wait "))
            connection.client.shutdown(socket.SHUT_WR)
            await go_on.wait()
            assert await connection.loop.sock_recv(connection.client, 1000) == NO_CONTENT

    run(main)


def test_shutdown_closes_an_idle_connection(form: str, run: Run) -> None:
    async def main() -> None:
        async with served(form) as connection:
            for _ in range(3):
                await connection.ask()
            for each in list(connection.state.connections):
                each.shutdown()
            assert await connection.loop.sock_recv(connection.client, 1) == b""
            await connection.lost()

    run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_last_connection_leaves_no_descriptor(form: str, run: Run) -> None:
    async def main() -> None:
        before = open_polls()
        async with served(form) as connection:
            for _ in range(3):
                await connection.ask()
            assert open_polls() == before + 1
        assert open_polls() == before

    run(main)


def test_subclass_receives_all_data(form: str, run: Run) -> None:
    received = []

    class Recorder(HTTPProtocol):
        def data_received(self, data: bytes) -> None:
            received.append(data)
            super().data_received(data)

    async def main() -> None:
        async with served(form, kind=Recorder) as connection:
            for _ in range(4):
                await connection.ask()

    run(main)
    assert received == [GET] * 4


class Limited:
    """A poll object at a limit of the system; it registers `allowed` descriptors before."""

    allowed = 0

    def __init__(self) -> None:
        self._poll: Any = OPEN_POLL()
        self.fileno, self.unregister, self.poll, self.close = (
            getattr(self._poll, name) for name in ("fileno", "unregister", "poll", "close")
        )

    def register(self, fd: int, events: int) -> None:
        if not self.allowed:
            raise OSError("a limit of the system")
        Limited.allowed -= 1
        self._poll.register(fd, events)


def test_transport_reads_at_a_limit_of_the_system(form: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "open_poll", Limited)

    run(functools.partial(transport_reads_every_request, form))


def test_transport_reads_on_once_a_limit_is_reached(form: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "open_poll", Limited)
    monkeypatch.setattr(Limited, "allowed", 1)

    async def main() -> None:
        async with served(form) as connection:
            for _ in range(3):
                await connection.ask()
            assert connection.is_in_inbox()
            for each in connection.state.connections:
                each.pause()
                each.resume()
            assert not connection.is_in_inbox()
            await connection.ask()

    run(main)


def test_transport_reads_where_the_system_has_no_poll(form: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "open_poll", None)

    run(functools.partial(transport_reads_every_request, form))
