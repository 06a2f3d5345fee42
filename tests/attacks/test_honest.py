"""The honest clients of servers that do not serve them."""

import contextlib
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.attacks.clients import ATTACKS, HonestHTTP2, attack
from tests.attacks.floods import HonestHTTP1
from tests.support.http2 import data, goaway, headers, rst_stream
from tests.support.server import PATIENCE

HEAD = headers(1, (b":status", b"200"), ends=False)
END = data(1, b"ok", ends=True)


@contextlib.contextmanager
def answering(answer):
    """A server that sends `answer` on its only connection, and waits for its end; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        listening.settimeout(PATIENCE)
        served = pool.submit(serve, listening, answer)
        yield listening.getsockname()[1]
        served.result()


def serve(listening, answer):
    made, _ = listening.accept()
    with made:
        made.settimeout(PATIENCE)
        made.sendall(answer)
        with contextlib.suppress(ConnectionError):
            while made.recv(65536):
                pass


@pytest.fixture
def closed_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + END,
        headers(1, (b":status", b"200")),
        rst_stream(3, 0) + HEAD + END,
        goaway(last=1) + HEAD + END,
    ],
    ids=["data", "empty", "another stream is reset", "last stream"],
)
def test_success(answer):
    with answering(answer) as port, contextlib.closing(HonestHTTP2(port, rate=1)) as honest:
        honest.ask()


# A client that overlooked these would wait in vain.
@pytest.mark.parametrize(
    "answer",
    [
        headers(1, (b":status", b"503"), ends=False),
        headers(1, (b":status", b"404")),
        rst_stream(1, 0),
        HEAD + rst_stream(1, 0),
        goaway(last=0),
        HEAD + goaway(last=0),
    ],
    ids=["503", "404", "reset", "reset after the head", "GOAWAY", "GOAWAY after the head"],
)
def test_failure_is_noticed_at_once(answer):
    with (
        answering(answer) as port,
        contextlib.closing(HonestHTTP2(port, rate=1)) as honest,
        pytest.raises(ConnectionError),
    ):
        honest.ask()


def test_client_without_a_server_goes_on(closed_port):
    honest = HonestHTTP2(closed_port, rate=100)
    honest.run(0.05)
    assert honest.failures > 0


def test_attack_without_a_server_fails(closed_port):
    with pytest.raises(ConnectionRefusedError):
        attack(ATTACKS[0], closed_port, 1, 0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="needs an address 127.0.0.2")
def test_failure_of_http1_is_noticed():
    body = b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with answering(b"HTTP/1.1 200 OK\r\n" + body) as port, contextlib.closing(HonestHTTP1(port, rate=1)) as honest:
        honest.ask()
    with (
        answering(b"HTTP/1.1 503 No\r\n" + body) as port,
        contextlib.closing(HonestHTTP1(port, rate=1)) as honest,
        pytest.raises(ConnectionError),
    ):
        honest.ask()
