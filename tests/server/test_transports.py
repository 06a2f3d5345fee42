"""Facts about transports that the server relies on, checked on those of each event loop, plain and with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pronghorn import loops
from pronghorn.server import transports
from tests.support.certificates import Certificates

PATIENCE = 20
MORE_THAN_BUFFERS = bytes(32 * 1024 * 1024)

PLAIN = ["TCP", *(["Unix"] if hasattr(socket, "AF_UNIX") else [])]
SECURE = ["ssl", "aiofastnet"]
LOOPS = ["asyncio", "uvloop"]

with_descriptors = pytest.mark.skipif(os.name == "nt", reason="no descriptors")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


class Protocol(asyncio.Protocol):
    """Records the calls of a transport. `at_loss` is called in `connection_lost`."""

    def __init__(self) -> None:
        self.received = b""
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()
        self.paused = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.at_loss: Callable[[], object] = lambda: None

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.ended.set()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.at_loss()
        self.lost.set()

    def pause_writing(self) -> None:
        self.paused.set()
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


class Connection(NamedTuple):
    """One connection: the server's transport, its protocol and socket, and the client's stream and socket."""

    transport: Any
    protocol: Protocol
    sock: socket.socket
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    client: socket.socket

    async def read(self, size: int) -> bytes:
        return await self.reader.readexactly(size)


def pair(kind: str) -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection."""
    if kind == "Unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return server.accept()[0], client


@contextlib.asynccontextmanager
async def connected(kind: str, certificates: Certificates) -> AsyncIterator[Connection]:
    """A connection in the running loop, with TLS if `kind` is the name of an engine."""
    ours, theirs = pair(kind)
    for each in (ours, theirs):
        each.setblocking(False)
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {}
    connect: Callable[..., Awaitable[Any]] = loop.connect_accepted_socket
    if kind in SECURE:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.certificate, certificates.key)
        options["ssl"] = context
    if kind == "aiofastnet":
        import aiofastnet

        def connect(*arguments: Any, **options: Any) -> Awaitable[Any]:
            return aiofastnet.connect_accepted_socket(loop, *arguments, **options)

    trust = {"ssl": certificates.trust(), "server_hostname": "localhost"} if kind in SECURE else {}
    protocol = Protocol()
    accepting = asyncio.ensure_future(connect(lambda: protocol, ours, **options))
    reader, writer = await asyncio.open_connection(sock=theirs, **trust)
    transport, _ = await accepting
    try:
        yield Connection(transport, protocol, transport.get_extra_info("socket"), reader, writer, theirs)
    finally:
        transport.abort()
        await protocol.lost.wait()
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


Main = Callable[[Connection], Awaitable[Any]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory: Path = tmp_path_factory.mktemp("certificates")
    return Certificates(directory)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, certificates: Certificates) -> Callable[[str, Main], Any]:
    """A function that runs a coroutine function with a connection, in a new loop of each kind."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")

    def run(kind: str, main: Main) -> Any:
        if kind == "aiofastnet":
            pytest.importorskip("aiofastnet")

        async def bounded() -> Any:
            async with asyncio.timeout(PATIENCE), connected(kind, certificates) as connection:
                return await main(connection)

        with asyncio.Runner(loop_factory=loops.factory(request.param)) as runner:
            return runner.run(bounded())

    return run


Run = Callable[[str, Main], Any]


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_transport_has_descriptor(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> Any:
        transport, sock = connection.transport, connection.sock
        return transports.is_secure(transport), transports.direct_fd(transport, sock) == sock.fileno()

    assert run(kind, main) == (False, os.name != "nt")


@pytest.mark.parametrize("kind", SECURE)
def test_encrypting_transport_has_no_descriptor(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> Any:
        return transports.is_secure(connection.transport), transports.direct_fd(connection.transport, connection.sock)

    assert run(kind, main) == (True, -1)


@with_descriptors
def test_unknown_transport_has_no_descriptor() -> None:
    class Derived(asyncio.Transport):
        pass

    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert transports.direct_fd(Derived(), ours) == -1
        assert transports.direct_fd(Derived(), None) == -1


@with_descriptors
@pytest.mark.parametrize("kind", PLAIN)
def test_bytes_written_to_descriptor_and_transport_arrive_in_order(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> bytes:
        fd = transports.direct_fd(connection.transport, connection.sock)
        os.write(fd, b"one ")
        connection.transport.write(b"two ")
        assert not connection.transport.get_write_buffer_size()
        os.write(fd, b"three")
        return await connection.read(13)

    assert run(kind, main) == b"one two three"


@with_descriptors
@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("end", ["close", "abort"])
def test_descriptor_stays_open_until_connection_is_lost(kind: str, end: str, run: Run) -> None:
    async def main(connection: Connection) -> bool:
        descriptors = []
        fd = transports.direct_fd(connection.transport, connection.sock)
        connection.protocol.at_loss = lambda: descriptors.append(os.fstat(fd).st_ino)
        before = os.fstat(fd).st_ino
        getattr(connection.transport, end)()
        await connection.protocol.lost.wait()
        return descriptors == [before]

    assert run(kind, main)


@pytest.mark.parametrize("kind", [*PLAIN, *SECURE])
def test_writelines_applies_backpressure_where_buffers_are_not_joined(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> bool:
        transport = connection.transport
        for _ in range(2):  # asyncio's TLS transport pauses at the write after the one that was too much
            if transports.needs_joining(transport):
                transport.write(MORE_THAN_BUFFERS)
            else:
                transport.writelines([MORE_THAN_BUFFERS, b"end"])
        return connection.protocol.paused.is_set()

    assert run(kind, main)


@pytest.mark.parametrize("kind", PLAIN)
def test_stream_ends_after_written_data_while_peer_may_still_send(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> tuple[bytes, bytes]:
        connection.transport.write(b"last words")
        transports.end_stream(connection.transport)
        heard = await connection.reader.read()
        connection.writer.write(b"more")
        connection.writer.write_eof()
        await connection.protocol.ended.wait()
        return heard, connection.protocol.received

    assert run(kind, main) == (b"last words", b"more")


@pytest.mark.parametrize("kind", SECURE)
def test_end_of_encrypted_stream_changes_nothing(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> bytes:
        transports.end_stream(connection.transport)
        connection.transport.write(b"still there")
        return await connection.read(11)

    assert run(kind, main) == b"still there"


@pytest.mark.parametrize("kind", PLAIN)
def test_end_of_stream_after_reset_raises_nothing(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> None:
        connection.transport.pause_reading()
        transports.reset_at_close(connection.client)
        connection.writer.transport.abort()
        with contextlib.suppress(OSError):
            await connection.writer.wait_closed()
        transports.end_stream(connection.transport)

    run(kind, main)


@pytest.mark.parametrize("kind", SECURE)
def test_encrypting_transport_closes_at_end_of_peer(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> None:
        connection.writer.close()
        await connection.protocol.ended.wait()
        await connection.protocol.lost.wait()

    run(kind, main)


def test_closed_socket_has_no_input() -> None:
    sock = socket.socket()
    sock.close()
    assert not transports.has_input(sock)


@with_descriptors
@pytest.mark.parametrize("kind", PLAIN)
def test_unread_input_is_noticed(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> tuple[bool, bool]:
        connection.transport.pause_reading()
        before = transports.has_input(connection.sock)
        connection.client.send(b"x")
        return before, transports.has_input(connection.sock)

    assert run(kind, main) == (False, True)


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="the system does not tell")
@pytest.mark.parametrize("kind", [*PLAIN, *SECURE])
def test_end_of_peer_is_seen_behind_unread_bytes(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> tuple[bool, bool, bool]:
        transport, sock = connection.transport, connection.sock
        transport.pause_reading()
        connection.writer.write(b"unread")
        await asyncio.sleep(0)
        before = transports.has_peer_ended(transport, sock)
        connection.client.shutdown(socket.SHUT_WR)
        after = transports.has_peer_ended(transport, sock)
        transport.abort()
        return before, after, transports.has_peer_ended(transport, sock)

    assert run(kind, main) == (False, True, False)


def test_end_of_peer_is_unknown_without_socket() -> None:
    class Open(asyncio.BaseTransport):
        def is_closing(self) -> bool:
            return False

    assert not transports.has_peer_ended(Open(), None)


@pytest.mark.parametrize("kind", PLAIN)
def test_transport_is_flushed_before_it_is_writable(kind: str, run: Run) -> None:
    async def main(connection: Connection) -> tuple[bool, int]:
        transport, protocol = connection.transport, connection.protocol
        transport.write(MORE_THAN_BUFFERS)
        reading = asyncio.ensure_future(connection.read(len(MORE_THAN_BUFFERS)))
        with transports.flushing(transport):
            await protocol.writable.wait()
            unsent = transport.get_write_buffer_size()
        await reading
        transport.write(bytes(1000))
        return protocol.writable.is_set(), unsent

    assert run(kind, main) == (True, 0)


@pytest.mark.parametrize("kind", ["TCP"])
@pytest.mark.parametrize("end", ["close", "abort"])
def test_connection_is_reset_at_close(kind: str, end: str, run: Run) -> None:
    async def main(connection: Connection) -> None:
        transports.reset_at_close(connection.sock)
        getattr(connection.transport, end)()
        await connection.reader.read()

    with pytest.raises(ConnectionResetError):
        run(kind, main)


@pytest.mark.skipif(os.name == "nt", reason="its loop accepts connections itself")
@pytest.mark.parametrize("loop", LOOPS)
def test_accepted_connection_has_its_protocol_in_time(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")

    async def main() -> bool:
        ours, theirs = pair("TCP")
        with theirs:
            ours.setblocking(False)
            protocol = Protocol()
            made: list[asyncio.BaseTransport] = []
            protocol.connection_made = made.append  # type: ignore[method-assign]
            connecting = asyncio.ensure_future(
                asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, ours)
            )
            for _ in range(transports.ITERATIONS_TO_CONNECT):
                await asyncio.sleep(0)
            in_time = bool(made)
            transport, _ = await connecting
            transport.abort()
            await protocol.lost.wait()
        return in_time

    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        assert runner.run(main())


@on_linux
def test_acknowledged_bytes_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        theirs, _ = server.accept()
        with theirs:
            before = transports.acknowledged(client)
            client.sendall(bytes(1000))
            assert len(theirs.recv(1000, socket.MSG_WAITALL)) == 1000
            assert before is not None
            deadline = time.monotonic() + 20
            while transports.acknowledged(client) != before + 1000:
                assert time.monotonic() < deadline
    assert transports.acknowledged(client) is None


def test_unacknowledged_bytes_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        theirs, _ = server.accept()
        with theirs:
            assert transports.unacknowledged(client) in (0, None)
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.sendall(bytes(64 * 1024 * 1024))
            size = transports.unacknowledged(client)
            assert size is None or size > 0
    assert transports.unacknowledged(client) is None


def test_reset_connection_has_no_unacknowledged_bytes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        theirs, _ = server.accept()
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.sendall(bytes(64 * 1024 * 1024))
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        assert select.select([client], [], [], 30)[0]
        assert transports.unacknowledged(client) == 0
