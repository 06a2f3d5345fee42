"""A fixed input through the real protocol, without sockets and without time: every run executes the same instructions.

`bench.instructions` runs it under callgrind.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import Any, cast

from pronghorn import backend
from pronghorn.config import Config
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.state import ServerState

from . import apps

WARM_UP, REQUESTS = 200, 1000

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
BROWSER = rb"""Connection: keep-alive
sec-ch-ua-platform: "Linux"
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36
sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"
sec-ch-ua-mobile: ?0
Accept: application/json, text/plain, */*
Sec-Fetch-Site: same-origin
Sec-Fetch-Mode: cors
Sec-Fetch-Dest: empty
Referer: https://app.example.com/dashboard/orders?page=2
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-GB,en;q=0.9,de;q=0.8
Cookie: session=7f3c1e9ab2d84c5fa06d1b7e3c9f8a42; theme=dark; consent=analytics%3Dfalse; _ga=GA1.1.1234567890.1700000000
"""
POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n"
UPGRADE = (
    GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
KEY = bytes([0x37, 0xFA, 0x21, 0x3D])
CONTENT = bytes(range(32, 96))


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
    """`request` is sent again and again, `opening` once before; each answer ends with `answer`."""

    app: Any
    request: bytes
    answer: bytes
    opening: bytes = b""


def masked(payload: bytes) -> bytes:
    """A short text frame as clients send it (RFC 6455 section 5.2)."""
    return bytes([0x81, 0x80 | len(payload)]) + KEY + bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))


REFERENCE = "reference"
SCENARIOS = {
    REFERENCE: Scenario(None, GET + b"\r\n", CONTENT),
    "plain": Scenario(apps.plain, GET + b"\r\n", b"Hello, world!"),
    "browser": Scenario(apps.plain, GET + BROWSER.replace(b"\n", b"\r\n") + b"\r\n", b"Hello, world!"),
    "post": Scenario(apps.echo, POST + CONTENT, CONTENT),
    "websocket": Scenario(apps.websocket_echo, masked(CONTENT), CONTENT, UPGRADE),
}


def replay(scenario: Scenario, warm_up: int = WARM_UP, requests: int = REQUESTS) -> None:
    """Send `requests` between two marks, `warm_up` more before. Exits where the answer is wrong."""
    loop, transport = Loop(), Transport()
    # A task that is started eagerly looks for it.
    asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, loop))
    try:
        protocol = Reference(loop) if scenario.app is None else HTTPProtocol(_state(scenario.app, loop))
        protocol.connection_made(transport)
        if scenario.opening:
            _send(protocol, loop, scenario.opening, 1)
        _send(protocol, loop, scenario.request, warm_up)
        mark()
        _send(protocol, loop, scenario.request, requests)
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


def _state(app: Any, loop: Loop) -> ServerState:
    config = Config(app, access_log=False, log_config=None)
    config.load()
    state = ServerState()
    state.prepare(config, backend.load(), cast(asyncio.AbstractEventLoop, loop), {})
    return state


def _send(protocol: asyncio.Protocol, loop: Loop, data: bytes, times: int) -> None:
    for _ in range(times):
        protocol.data_received(data)
        loop.run()


if __name__ == "__main__":
    # Its passes take as long as there are objects, ours or not.
    gc.disable()
    for name in sys.argv[1:]:
        replay(SCENARIOS[name])
