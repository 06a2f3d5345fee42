"""The writer of a connection, on a real socket: to the system at once, the rest through the transport."""

import socket
import sys

import pytest

from tests.support.rig import Rig

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only the transport writes to a socket there")

LARGE = bytes(range(256)) * 200


class Transport:
    """Records what it is given."""

    def __init__(self):
        self.written = b""
        self.calls = []
        self.closing = False

    def is_closing(self):
        return self.closing

    def write(self, data):
        self.calls.append("write")
        self.written += data

    def writelines(self, buffers):
        self.calls.append("writelines")
        self.written += b"".join(buffers)


class Owner(Rig):
    """Its transport has `pending` bytes."""

    pending = 0

    def unsent(self):
        return self.pending


class Line:
    """A writer, its transport, and the other end of its socket."""

    def __init__(self, wire, joins=False):
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.far.settimeout(10)
        # Some systems have buffers of a few KiB.
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 262144)
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        self.transport = Transport()
        self.owner = Owner(wire)
        self.writer = wire.writer.Writer(self.owner, self.transport, self.owner.shared, self.near.fileno(), joins)

    def send(self, *pieces):
        for piece in pieces:
            self.writer.out.append(piece)
            self.writer.queued(len(piece))
        self.writer.flush()

    def received(self, size):
        data = b""
        while len(data) < size:
            data += self.far.recv(size - len(data))
        return data

    def received_so_far(self):
        self.far.setblocking(False)
        data = b""
        try:
            while piece := self.far.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        return data


@pytest.fixture(params=[False, True], ids=["lines", "joins"])
def line(wire, request):
    line = Line(wire, request.param)
    with line.near, line.far:
        yield line


def test_large_buffers_go_to_the_socket(line):
    line.send(b"1000\r\n", LARGE, b"\r\n")
    assert line.received(8 + len(LARGE)) == b"1000\r\n" + LARGE + b"\r\n"
    assert line.transport.calls == []


def test_views_go_to_the_socket(line):
    line.send(b"header", memoryview(LARGE)[100:40000], memoryview(LARGE)[40000:])
    assert line.received(6 + len(LARGE) - 100) == b"header" + LARGE[100:]
    assert line.transport.calls == []


@pytest.mark.parametrize("count", [40, 64, 65, 400])
def test_many_buffers_keep_their_order(line, count):
    pieces = [b"%d" % (index % 10) * (48000 // count) for index in range(count)]
    line.send(*pieces)
    whole = b"".join(pieces)
    assert line.received(len(whole)) == whole
    assert line.transport.calls == []


def test_the_rest_goes_to_the_transport(line):
    line.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    pieces = [b"%07d" % index * 6000 for index in range(20)]
    line.send(*pieces)
    received = line.received_so_far()
    assert 0 < len(received) < 20 * 42000
    assert received + line.transport.written == b"".join(pieces)


def test_nothing_overtakes_the_transport(line):
    line.owner.pending = 1
    line.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    line.send(LARGE * 20, LARGE * 20)
    before = line.received_so_far()
    line.send(b"later", LARGE)
    line.send(b"last")
    assert line.received_so_far() == b""
    assert before + line.transport.written == LARGE * 40 + b"later" + LARGE + b"last"


def test_the_socket_is_used_again_once_the_transport_is_empty(line):
    line.owner.pending = 1
    line.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    line.send(LARGE * 20, LARGE * 20)
    line.received_so_far()
    line.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    line.owner.pending = 0
    del line.transport.calls[:]
    line.send(b"later", LARGE)
    assert line.received_so_far() == b"later" + LARGE
    assert line.transport.calls == []


def test_a_closing_transport_is_given_nothing(line):
    line.far.close()
    line.transport.closing = True
    line.send(b"header", LARGE)
    assert line.transport.calls == []


def test_joined_transport_is_given_one_object(wire):
    line = Line(wire, joins=True)
    with line.near, line.far:
        line.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        line.send(*[LARGE] * 20)
        assert set(line.transport.calls) == {"write"}
