"""An HTTP client that sends and returns the exact bytes."""

import contextlib
import select
import socket
from typing import NamedTuple

from tests.support.server import PATIENCE


class Answer(NamedTuple):
    status: int
    fields: dict[str, list[str]]
    body: bytes
    head: bytes

    def field(self, name):
        """Return the field's only value, or None."""
        values = self.fields.get(name)
        assert values is None or len(values) == 1, values
        return values[0] if values else None


class Client:
    """One connection to (host, port) or to the path of a Unix socket. `receive_buffer` sets `SO_RCVBUF`."""

    def __init__(self, address, receive_buffer=None):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(address)
        elif receive_buffer is not None:
            self.socket = socket.socket()
            self.socket.settimeout(PATIENCE)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout=PATIENCE)
        self._buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def get(self, target, *fields, method="GET", version="1.1"):
        """Send a request without a body."""
        lines = [f"{method} {target} HTTP/{version}", "host: test", *fields]
        self.send("".join(line + "\r\n" for line in lines).encode("latin-1") + b"\r\n")

    def post(self, target, body, *fields):
        """Send a request with a body."""
        self.get(target, f"content-length: {len(body)}", *fields, method="POST")
        self.send(body)

    def get_until_notice(self):
        """Send requests until a response has a Connection field; return its value."""
        value = None
        while value is None:
            self.get("/")
            value = self.read().field("connection")
        return value

    def read(self, without_body=False):
        """Read the next response and decode its body. Fail if the stream ends too early."""
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        fields = {}
        for line in lines:
            name, value = line.split(": ", 1)
            fields.setdefault(name.lower(), []).append(value)
        status = int(first.split(" ")[1])
        if without_body or status < 200 or status in (204, 304):
            body = b""
        elif "content-length" in fields:
            body = self._exactly(int(fields["content-length"][0]))
        elif fields.get("transfer-encoding") == ["chunked"]:
            body = b"".join(self._chunks())
        else:
            body = self.rest()
        return Answer(status, fields, body, head)

    def read_head(self):
        """Read the next head only."""
        return self.read(without_body=True)

    def read_some(self):
        """Read the next bytes, b"" at the end of the stream."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
            return data
        return self.socket.recv(65536)

    def rest(self):
        """Read up to the end of the stream."""
        parts = []
        while data := self.read_some():
            parts.append(data)
        return b"".join(parts)

    def rest_until(self, mark):
        """Read up to `mark`, inclusive."""
        return self._until(mark)

    def skip(self, size):
        """Read and drop the next `size` bytes."""
        self._exactly(size)

    def is_silent(self):
        """Return whether no byte has arrived."""
        return not self._buffer and not select.select([self.socket], [], [], 0)[0]

    def end(self):
        """Half-close the connection."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def _chunks(self):
        while size := int(self._until(b"\r\n"), 16):
            yield self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        assert self._exactly(2) == b"\r\n"

    def _until(self, mark):
        while mark not in self._buffer:
            self._more()
        found = self._buffer.index(mark) + len(mark)
        data, self._buffer = self._buffer[:found], self._buffer[found:]
        return data

    def _exactly(self, size):
        parts = [self._buffer[:size]]
        self._buffer = self._buffer[size:]
        size -= len(parts[0])
        while size:
            parts.append(self.socket.recv(min(size, 1 << 20)))
            if not parts[-1]:
                raise EOFError("the stream ended in the middle of an answer")
            size -= len(parts[-1])
        return b"".join(parts)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the stream ended after {self._buffer!r}")
        self._buffer += data


def visit(server, target="/", place=None):
    """Send a request on a new connection. Returns the body of the response."""
    with contextlib.closing(Client(place or ("127.0.0.1", server.port))) as client:
        client.get(target, "connection: close")
        answer = client.read()
    assert answer.status == 200
    return answer.body.decode()
