"""A WebSocket client that sends and returns the exact bytes."""

import base64
import hashlib
import itertools
import json
import struct
from typing import NamedTuple

import pytest

from tests.support.forms import FEW

# Each form and each loop once, for tests that do not depend on the pair.
EACH_ONCE = pytest.mark.parametrize("variant", FEW, indirect=True)

_numbers = itertools.count()

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
}


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def accepted(key=KEY):
    """The Sec-WebSocket-Accept value for a key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def handshake(target="/echo", *fields, method="GET", version="1.1", **replaced):
    """The bytes of a handshake. `replaced` changes its fields; None omits a field."""
    changed = {name.replace("_", "-"): value for name, value in replaced.items()}
    lines = [f"{name}: {value}" for name, value in {**HANDSHAKE, **changed}.items() if value is not None]
    head = [f"{method} {target} HTTP/{version}", "host: test", *lines, *fields]
    return "".join(line + "\r\n" for line in head).encode("latin-1") + b"\r\n"


def frame(opcode, payload=b"", *, fin=True, rsv=0, masked=True):
    """The bytes of a client's frame."""
    size = len(payload)
    if size < 126:
        length = struct.pack("!B", size | masked << 7)
    elif size < 65536:
        length = struct.pack("!BH", 126 | masked << 7, size)
    else:
        length = struct.pack("!BQ", 127 | masked << 7, size)
    first = bytes([fin << 7 | rsv << 4 | opcode])
    return first + length + (b"\0\xff\x55\x81" + mask(payload) if masked else payload)


def mask(payload):
    pattern = b"\0\xff\x55\x81" * (len(payload) // 4 + 1)
    size = len(payload)
    return (int.from_bytes(payload) ^ int.from_bytes(pattern[:size])).to_bytes(size)


def close_payload(code, reason=""):
    return struct.pack("!H", code) + reason.encode()


class Socket:
    """A WebSocket over a raw client. The constructor does the handshake."""

    def __init__(self, client, target="/echo", *fields, **replaced):
        self.client = client
        client.send(handshake(target, *fields, **replaced))
        self.answer = client.read_head()
        assert self.answer.status == 101, self.answer
        self._buffer = bytearray()

    def send(self, opcode, payload=b"", **more):
        self.client.send(frame(opcode, payload, **more))

    def send_text(self, text):
        self.send(TEXT, text.encode())

    def read(self):
        """Read the next frame."""
        first, second = self._take(2)
        assert not second & 128, "a server masks nothing"
        size = second & 127
        if size > 125:
            width = {126: 2, 127: 8}[size]
            size = int.from_bytes(self._take(width))
            assert size > {2: 125, 8: 65535}[width], "not the shortest length"
        return Frame(first & 15, bytes(self._take(size)), bool(first & 128), first >> 4 & 7)

    def read_text(self):
        found = self.read()
        assert (found.opcode, found.fin, found.rsv) == (TEXT, True, 0), found
        return found.payload.decode()

    def read_close(self):
        """Read a close frame; return its code and reason."""
        found = self.read()
        assert (found.opcode, found.fin, found.rsv) == (CLOSE, True, 0), found
        return read_close_payload(found.payload)

    def rest(self):
        """Read up to the end of the stream."""
        return bytes(self._buffer) + self.client.rest()

    def finish(self, code=1000):
        """Do the closing handshake."""
        self.send(CLOSE, close_payload(code))
        assert self.read_close() == (code, "")
        assert self.rest() == b""

    def _take(self, size):
        while len(self._buffer) < size:
            data = self.client.read_some()
            if not data:
                raise EOFError(f"the stream ended after {bytes(self._buffer)!r}")
            self._buffer += data
        taken = self._buffer[:size]
        del self._buffer[:size]
        return taken


def read_close_payload(payload):
    return (int.from_bytes(payload[:2]), payload[2:].decode()) if payload else (1005, "")


class Noted:
    """The application's notes on one socket, read over HTTP."""

    def __init__(self, connect, server):
        self.name = f"name-{next(_numbers)}"
        self._connect = connect
        self._server = server

    def at_end(self):
        """Wait for the event of this name; return the notes."""
        return json.loads(self._get(f"/notes-at-end?name={self.name}"))

    def so_far(self, suffix=""):
        return json.loads(self._get(f"/notes?name={self.name}{suffix}"))

    def set(self):
        """Set the event of this name."""
        assert self._get(f"/set?name={self.name}") == b"set"

    def wait(self, suffix):
        """Wait for the event of this name and suffix."""
        self._get(f"/wait?name={self.name}{suffix}")

    def _get(self, target):
        client = self._connect(self._server)
        client.get(target)
        answer = client.read()
        assert answer.status == 200, answer
        client.close()
        return answer.body


def ask(connect, server, target):
    """Get an HTTP path of the same server; return the decoded JSON."""
    client = connect(server)
    client.get(target)
    answer = client.read()
    assert answer.status == 200, answer
    client.close()
    return json.loads(answer.body)
