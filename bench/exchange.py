"""A request and its expected answer, to check a server before it is measured."""

from __future__ import annotations

import base64
import hashlib
import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from pronghorn.bench.answers import ask
from pronghorn.bench.process import START_TIMEOUT, Process, tls_context
from pronghorn.bench.request import Request

KEY = base64.b64encode(bytes(range(16)))
ACCEPT = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % KEY
)
TEXT, BINARY = 1, 2


@dataclass(frozen=True)
class Exchange:
    """A GET of `target`, or a POST when there is something `sent`; the answer has to be a 200 with `body`."""

    target: str = "/"
    sent: bytes = b""
    body: bytes = b""

    def check(self, process: Process) -> None:
        """Wait for the server to listen, and ask it. Raises ServerFailed if the answer is wrong."""
        request = Request("POST" if self.sent else "GET", (self.target,), body=self.sent)
        answer = ask(process, self.target, request.messages()[self.target])
        self._compare(process, answer.status, answer.body)

    def _compare(self, process: Process, status: int, body: bytes) -> None:
        if (status, body) != (200, self.body):
            raise process.failure(f"gave a wrong answer to {self.target}: {status} {body[:200]!r}")


@dataclass(frozen=True)
class HTTP2Exchange(Exchange):
    """An exchange over HTTP/2, by prior knowledge or, if the server speaks TLS, by ALPN."""

    def check(self, process: Process) -> None:
        """Wait for the server to listen, and ask it. Raises ServerFailed if the answer is wrong."""
        process.connect().close()
        url = f"{'https' if process.server.secure else 'http'}://127.0.0.1:{process.port}{self.target}"
        timeout = httpx.Timeout(START_TIMEOUT)
        try:
            with httpx.Client(
                http1=False, http2=True, verify=tls_context(), timeout=timeout, trust_env=False
            ) as client:
                answer = client.request("POST" if self.sent else "GET", url, content=self.sent)
        except httpx.HTTPError as error:
            raise process.failure(f"did not answer {self.target} over HTTP/2: {error!r}") from error
        self._compare(process, answer.status_code, answer.content)


@dataclass(frozen=True)
class Echo:
    """A WebSocket at `/`, on which a text (str) or binary `message` has to come back in one frame."""

    message: str | bytes
    target: str = "/"

    def check(self, process: Process) -> None:
        """Open a WebSocket and send the message. Raises ServerFailed if the answer is wrong."""
        opcode, payload = BINARY, self.message
        if isinstance(payload, str):
            opcode, payload = TEXT, payload.encode()
        expected = frame(opcode, payload)
        with process.connect() as connection:
            connection.sendall(UPGRADE)
            read_upgrade(process, connection)
            connection.sendall(frame(opcode, payload, b"mask"))
            answer = receive(process, connection, lambda answer: len(answer) >= len(expected))
        if answer != expected:
            raise process.failure(f"gave a wrong answer to a message: {answer[:200]!r}")


def read_upgrade(process: Process, connection: socket.socket) -> None:
    """Read the answer to UPGRADE. Raises ServerFailed when the server does not switch."""
    answer = receive(process, connection, lambda answer: answer.endswith(b"\r\n\r\n"))
    status, *fields = answer.split(b"\r\n")
    if not status.startswith(b"HTTP/1.1 101") or b"sec-websocket-accept: " + ACCEPT.lower() not in map(
        bytes.lower, fields
    ):
        raise process.failure(f"gave a wrong answer to an upgrade: {answer[:200]!r}")


def receive(process: Process, connection: socket.socket, complete: Callable[[bytes], bool]) -> bytes:
    """Read until the bytes are `complete`. Raises ServerFailed if the server closes first."""
    answer = b""
    try:
        while not complete(answer):
            part = connection.recv(65536)
            if not part:
                raise process.failure("closed a connection before it answered")
            answer += part
    except OSError as error:
        raise process.failure(f"did not answer: {error!r}") from error
    return answer


def frame(opcode: int, payload: bytes, mask: bytes = b"") -> bytes:
    """A final frame (RFC 6455 section 5.2), masked if there is a mask."""
    size, bit = len(payload), 0x80 if mask else 0
    if size <= 125:
        length = bytes([bit | size])
    elif size <= 0xFFFF:
        length = bytes([bit | 126]) + size.to_bytes(2)
    else:
        length = bytes([bit | 127]) + size.to_bytes(8)
    masked = bytes(a ^ b for a, b in zip(payload, itertools.cycle(mask), strict=False)) if mask else payload
    return bytes([0x80 | opcode]) + length + mask + masked
