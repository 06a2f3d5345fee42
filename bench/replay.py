"""A fixed input through the real protocol, without sockets and without time: every run executes the same instructions.

`bench.instructions` runs it under callgrind.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, cast

from pronghorn import backend
from pronghorn.config import Config
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.state import ServerState

from . import apps
from .browser import FIELDS, HTTP2_FIELDS
from .frames import Requests

WARM_UP, REQUESTS = 200, 1000

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
BROWSER = "".join(f"{name}: {value}\r\n" for name, value in (("Connection", "keep-alive"), *FIELDS)).encode()
POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n"
UPGRADE = (
    GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
KEY = bytes([0x37, 0xFA, 0x21, 0x3D])
CONTENT = bytes(range(32, 96))
H2LOAD_FIELDS = (("user-agent", "h2load nghttp2/1.52.0"),)


class Loop:
    """The parts of an event loop that a task needs."""

    def __init__(self) -> None:
        self._ready: deque[tuple[Callable[..., Any], tuple[Any, ...], Context | None]] = deque()

    def call_soon(self, callback: Callable[..., Any], *arguments: Any, context: Context | None = None) -> None:
        self._ready.append((callback, arguments, context))

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=cast(asyncio.AbstractEventLoop, self))

    def create_task(
        self, coroutine: Coroutine[Any, Any, None], *, context: Context | None = None
    ) -> asyncio.Task[None]:
        return asyncio.Task(coroutine, loop=cast(asyncio.AbstractEventLoop, self), context=context)

    def get_debug(self) -> bool:
        return False

    def get_task_factory(self) -> None:
        return None

    def is_running(self) -> bool:
        return True

    def run(self) -> None:
        """Until nothing is due."""
        ready = self._ready
        while ready:
            callback, arguments, context = ready.popleft()
            if context is None:
                callback(*arguments)
            else:
                context.run(callback, *arguments)


class Transport(asyncio.Transport):
    """Keeps the bytes of the last write."""

    written = b""

    def write(self, data: Any) -> None:
        self.written = data

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)}.get(name, default)


class Reference(asyncio.Protocol):
    """No code of pronghorn: its count shows whether the interpreter and its libraries are those of the budgets."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(Transport, transport)

    def data_received(self, data: bytes) -> None:
        lines = data.split(b"\r\n")
        fields = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines[1:-2])]
        self._loop.create_task(self._answer({"type": "http", "line": lines[0].decode(), "headers": fields}))

    async def _answer(self, scope: dict[str, Any]) -> None:
        head = [b"%b: %b\r\n" % field for field in scope["headers"]]
        self._transport.write(b"".join([b"HTTP/1.1 200 OK\r\n", *head, b"\r\n", CONTENT]))


@dataclass(frozen=True)
class Scenario:
    """`request` is sent again and again, `opening` once before; each answer ends with `answer`.

    Over HTTP/2, the requests of a connection differ.
    """

    app: Any
    request: bytes | Requests
    answer: bytes
    opening: bytes = b""
    with_metrics: bool = False

    def requests(self, count: int) -> list[bytes]:
        """The requests after the opening."""
        return [self.request] * count if isinstance(self.request, bytes) else self.request.following(count)


def over_http2(app: Any, requests: Requests, answer: bytes) -> Scenario:
    """A scenario over HTTP/2, by prior knowledge."""
    return Scenario(app, requests, answer, requests.opening())


def masked(payload: bytes) -> bytes:
    """A short text frame as clients send it (RFC 6455 section 5.2)."""
    return bytes([0x81, 0x80 | len(payload)]) + KEY + bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))


REFERENCE = "reference"
SCENARIOS = {
    REFERENCE: Scenario(None, GET + b"\r\n", CONTENT),
    "plain": Scenario(apps.plain, GET + b"\r\n", b"Hello, world!"),
    "metrics": Scenario(apps.plain, GET + b"\r\n", b"Hello, world!", with_metrics=True),
    "browser": Scenario(apps.plain, GET + BROWSER + b"\r\n", b"Hello, world!"),
    "post": Scenario(apps.echo, POST + CONTENT, CONTENT),
    "websocket": Scenario(apps.websocket_echo, masked(CONTENT), CONTENT, UPGRADE),
    "h2": over_http2(apps.plain, Requests(H2LOAD_FIELDS), b"Hello, world!"),
    "h2-browser": over_http2(apps.plain, Requests(HTTP2_FIELDS), b"Hello, world!"),
    "h2-post": over_http2(apps.echo, Requests(H2LOAD_FIELDS, CONTENT), CONTENT),
}


def replay(scenario: Scenario, warm_up: int = WARM_UP, requests: int = REQUESTS) -> None:
    """Send `requests` between two marks, `warm_up` more before. Exits where the answer is wrong."""
    loop, transport = Loop(), Transport()
    sent = scenario.requests(warm_up + requests)
    # A task that is started eagerly looks for it.
    asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, loop))
    try:
        protocol = Reference(loop) if scenario.app is None else HTTPProtocol(_state(scenario, loop))
        protocol.connection_made(transport)
        if scenario.opening:
            _send(protocol, loop, [scenario.opening])
        _send(protocol, loop, sent[:warm_up])
        mark()
        _send(protocol, loop, sent[warm_up:])
        mark()
        answer = transport.written
        protocol.connection_lost(None)
        loop.run()
    finally:
        asyncio._set_running_loop(None)
    if not answer.endswith(scenario.answer):
        sys.exit(f"wrong answer: {answer!r}")


def mark() -> None:
    """Call a function that nothing else calls: at each call, callgrind writes its count to a file and restarts at 0."""
    os.getpgid(0)


def _state(scenario: Scenario, loop: Loop) -> ServerState:
    http2 = isinstance(scenario.request, Requests)
    metrics = "127.0.0.1:0" if scenario.with_metrics else None
    config = Config(scenario.app, access_log=False, log_config=None, http2=http2, metrics_bind=metrics)
    config.load()
    state = ServerState()
    state.prepare(config, backend.load(), cast(asyncio.AbstractEventLoop, loop), {})
    return state


def _send(protocol: asyncio.Protocol, loop: Loop, requests: Sequence[bytes]) -> None:
    for data in requests:
        protocol.data_received(data)
        loop.run()


if __name__ == "__main__":
    # Its passes take as long as there are objects, ours or not.
    gc.disable()
    for name in sys.argv[1:]:
        replay(SCENARIOS[name])
