"""The limit on what the kernel takes for a client that does not read."""

from __future__ import annotations

import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pronghorn.listen import unsent
from tests.support.server import ThreadedServer, lacks, thread

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

if sys.platform != "linux":
    pytest.skip("only Linux has such a limit", allow_module_level=True)


def taken(accepted: socket.socket) -> int:
    """The bytes that the kernel takes at once."""
    accepted.setblocking(False)
    return accepted.send(bytes(16 << 20))


@pytest.mark.parametrize("lifts", [False, True])
def test_kernel_takes_little_until_the_limit_is_lifted(lifts: bool) -> None:
    with socket.socket() as listening, socket.socket() as client:
        listening.bind(("127.0.0.1", 0))
        unsent.limit(listening)
        listening.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            if lifts:
                unsent.lift(accepted)
                assert taken(accepted) > 1 << 19
            else:
                assert unsent.LIMIT < taken(accepted) < 1 << 19


def test_unix_socket_has_no_limit() -> None:
    one, other = socket.socketpair()
    with one, other:
        unsent.limit(one)
        unsent.lift(one)


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if reason := lacks("interpreted", name):
        pytest.skip(reason)
    return name


async def application(scope: Any, receive: Any, send: Any) -> None:
    size = int(scope["path"][1:])
    await send({"type": "http.response.start", "status": 200})
    for _ in range(size >> 16):
        await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
    await send({"type": "http.response.body"})


def limits(server: ThreadedServer) -> list[int]:
    """Those of the open connections."""
    sockets = [each._socket for each in server.server_state.connections]
    return [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) for sock in sockets]


@pytest.mark.parametrize(("size", "limit"), [(65536, unsent.LIMIT), (16 << 20, 0)], ids=["little", "much"])
def test_client_that_has_read_much_is_trusted(loop: str, size: int, limit: int) -> None:
    with (
        thread(application, lifespan="off", loop=loop) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
        client.makefile("rb") as stream,
    ):
        client.sendall(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % size)
        while (line := stream.readline()) != b"0\r\n":
            assert line
        assert limits(server) == [limit]


def test_tls_of_asyncio_has_no_limit(loop: str, certificates: Certificates) -> None:
    files = {"ssl_certfile": certificates.certificate, "ssl_keyfile": certificates.key}
    # With requests for certificates, the engine is that of the loop.
    asks = {"ssl_cert_reqs": ssl.CERT_OPTIONAL, "ssl_ca_certs": certificates.authority}
    with (
        thread(application, lifespan="off", loop=loop, **files, **asks) as server,
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        certificates.trust().wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(b"GET /0 HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.recv(1)
        assert limits(server) == [0 if loop == "asyncio" else unsent.LIMIT]
