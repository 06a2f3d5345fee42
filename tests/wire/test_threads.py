"""The wire in several threads at once: each has its own connections, as event loops in threads have. They share the
modules, and what the application shares between them. Without the GIL, the threads really run at the same time.
"""

from __future__ import annotations

import itertools
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pronghorn.constants import TEXT
from tests.support.frames import frame as websocket_frame
from tests.support.frames import served
from tests.support.http2 import Peer, data, get, post
from tests.support.rig import Rig, drive, echo

THREADS = 4
SECONDS = 0.7

# Two heads of a response that frame its body in different ways.
DECLARED = ([b"Content-Length", b"5"], [b"X-Short", b"a"])
CHUNKED = ([b"Transfer-Encoding", b"chunked"], [b"X-Long", b"b" * 3000])


@pytest.fixture(autouse=True)
def _frequent_switches() -> Iterator[None]:
    """With the GIL, let the threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], None], beside: Callable[[], None] | None = None) -> None:
    """Call `work` with 0, 1, … again and again in each of THREADS threads, and `beside` in another one, for SECONDS.
    Raises the first error of a thread.
    """
    errors: list[BaseException] = []
    starting = threading.Barrier(THREADS + (beside is not None))
    end = time.monotonic() + SECONDS

    def repeat(call: Callable[..., None], numbers: Iterator[int] | None) -> None:
        try:
            starting.wait(10)
            while time.monotonic() < end and not errors:
                call() if numbers is None else call(next(numbers))
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=repeat, args=(work, itertools.count(index, THREADS)), daemon=True)
        for index in range(THREADS)
    ]
    if beside is not None:
        threads.append(threading.Thread(target=repeat, args=(beside, None), daemon=True))
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
        assert not each.is_alive()
    if errors:
        raise errors[0]


async def tell_path(request: Any) -> None:
    """Answer with the path, after the body was received."""
    while (await request.receive())["more_body"]:
        pass
    content = request.scope["path"].encode()
    fields = [(b"content-length", b"%d" % len(content)), (b"Content-Type", b"text/plain")]
    await request.send({"type": "http.response.start", "status": 200, "headers": fields})
    await request.send({"type": "http.response.body", "body": content})


def framed(head: bytes, content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (head, content)


def test_requests_of_http1_get_their_own_answers(wire: Any) -> None:
    def visit(number: int) -> None:
        rig = Rig(wire, tell_path, date=True, server=b"s")
        for path in (b"/%d" % number, b"/%d/%b" % (number, b"a" * (number % 500))):
            rig.receive(b"GET %b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX-%d: 1\r\n\r\n" % (path, number))
            head, _, content = rig.take().partition(b"\r\n\r\n")
            assert content == path
            assert head.endswith(b"content-length: %d\r\ncontent-type: text/plain" % len(path))

    in_threads(visit)


def test_bodies_of_http1_come_back(wire: Any) -> None:
    def visit(number: int) -> None:
        rig = Rig(wire, echo)
        content = b"%d," % number * (number % 700 + 1)
        rig.receive(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        rig.turn()
        for piece in (content[:100], content[100:]):
            if piece:
                rig.receive(b"%x\r\n%b\r\n" % (len(piece), piece))
                rig.turn()
        rig.receive(b"0\r\n\r\n")
        assert rig.take() == framed(b"content-length: %d" % len(content), content)

    in_threads(visit)


def test_results_of_receive_do_not_mix(wire: Any) -> None:
    def visit(number: int) -> None:
        rig = Rig(wire)
        rig.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        for each in range(500):
            content = b"%d-%d" % (number, each)
            rig.receive(content)
            assert drive(rig.request.receive())["body"] == content

    in_threads(visit)


def test_streams_of_http2_get_their_own_answers(wire: Any) -> None:
    def visit(number: int) -> None:
        peer = Peer(wire, lambda request: echo(request) if request.scope["method"] == "POST" else tell_path(request))
        content = b"%d," % number * (number % 700 + 1)
        paths = [b"/%d/%d" % (number, stream) for stream in (1, 3)]
        sent = [get(1, paths[0]), get(3, paths[1], (b"x-%d" % number, b"1")), post(5), data(5, content, True)]
        answers = peer.answers(peer.exchange(*sent))
        assert [answers[stream].content for stream in (1, 3, 5)] == [*paths, content]
        assert all(each.is_complete for each in answers.values())

    in_threads(visit)


def test_messages_of_websockets_come_back(wire: Any) -> None:
    def visit(number: int) -> None:
        rig = Rig(wire)
        rig.receive(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        session = rig.sessions[0]
        assert drive(session.receive()) == {"type": "websocket.connect"}
        drive(session.send({"type": "websocket.accept"}))
        rig.take()
        for text in (f"{number}", f"ä{number}" * (number % 300 + 1)):
            rig.receive(websocket_frame(TEXT, text.encode(), mask=number.to_bytes(4, "big")))
            drive(session.send({"type": "websocket.send", "text": drive(session.receive())["text"]}))
            assert served(rig.take()) == [(TEXT, 0, text.encode())]

    in_threads(visit)


@pytest.mark.parametrize("kind", [tuple, list])
def test_headers_that_another_thread_changes_frame_one_of_the_responses(wire: Any, kind: type) -> None:
    shared: list[Any] = [kind(pair) for pair in DECLARED]

    def change() -> None:
        shared[:] = [kind(pair) for pair in random.choice((DECLARED, CHUNKED))]
        if kind is list:
            shared[-1][:] = [b"X-Other", b"c" * random.choice((1, 5000))]

    async def answer(request: Any) -> None:
        await request.send({"type": "http.response.start", "status": 200, "headers": shared})
        await request.send({"type": "http.response.body", "body": b"hello"})

    def visit(number: int) -> None:
        rig = Rig(wire, answer)
        rig.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head, _, rest = rig.take().partition(b"\r\n\r\n")
        assert not rig.failures
        declares = b"\r\ncontent-length: 5" in head
        assert declares != (b"\r\ntransfer-encoding: chunked" in head)
        assert rest == (b"hello" if declares else b"5\r\nhello\r\n0\r\n\r\n")

    in_threads(visit, change)


def test_headers_that_another_thread_changes_are_one_block_of_http2(wire: Any) -> None:
    shared: list[Any] = [list(pair) for pair in DECLARED]

    def change() -> None:
        shared[:] = [list(pair) for pair in random.choice((DECLARED, CHUNKED))]
        shared[-1][:] = [b"X-Other", b"c" * random.choice((1, 3000))]

    async def answer(request: Any) -> None:
        await request.send({"type": "http.response.start", "status": 200, "headers": shared})
        await request.send({"type": "http.response.body", "body": b"hello"})

    def visit(number: int) -> None:
        peer = Peer(wire, answer)
        for stream in range(1, 101, 2):
            answered = peer.answers(peer.exchange(get(stream)))[stream]
            assert (answered.status, answered.content, answered.is_complete) == (200, b"hello", True)
            assert len(answered.fields) == (2 if b"content-length" in dict(answered.fields) else 1)

    in_threads(visit, change)


@pytest.mark.skipif(sys.platform == "win32", reason="the wire does not read from sockets there")
@pytest.mark.parametrize("receive", ["receive_now", "receive_large"])
def test_bytes_from_sockets_do_not_mix(wire: Any, receive: str) -> None:
    read = getattr(wire.kernels, receive)

    def visit(number: int) -> None:
        sent = bytes([number % 256]) * 60_000
        reader, writer = socket.socketpair()
        with reader, writer:
            reader.setblocking(False)
            writer.sendall(sent)
            received = b""
            while len(received) < len(sent):
                received += read(reader.fileno(), 65536) or b""
            assert received == sent

    in_threads(visit)
