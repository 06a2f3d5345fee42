"""The types of the public interface: mypy checks a user's project strictly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import SOURCES

pytest.importorskip("mypy")

PROJECT = """
import asyncio
import contextlib
import logging.config
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import pronghorn
from pronghorn import Config, Server, StartupError, main, run
from pronghorn.config import LOG_LEVELS, LOGGING_CONFIG, ConfigError
from pronghorn.types import ASGI3App, Message, Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    message: Message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", message["type"].encode())]})


def create_app() -> ASGI3App:
    return app


class Quiet(Server):
    def install_signal_handlers(self) -> None: ...

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(signal.SIGTERM, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.port: int = self.servers[0].sockets[0].getsockname()[1]

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or counter > 10


async def embed() -> int:
    try:
        async with Quiet(Config(app, port=0, install_signals=False)) as server:
            return server.port
    except StartupError as error:
        return error.code


def in_a_thread() -> None:
    config = Config("main:app", "127.0.0.1", 8000, None, None, "asyncio", log_level="info", headers=[("x", "y")])
    server = Server(config=config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [config.bind_socket()]})
    thread.start()
    while not server.started:
        pass
    requests: int = server.server_state.total_requests
    print(requests, len(server.server_state.connections), len(server.server_state.tasks))
    server.should_exit = server.force_exit = True


def everything() -> None:
    logging.config.dictConfig(pronghorn.config.LOGGING_CONFIG | LOGGING_CONFIG)
    print(LOG_LEVELS["trace"], pronghorn.__version__)
    asyncio.run(Server(Config(create_app, factory=True, ws_ping_interval=None)).serve())
    run(app, host="0.0.0.0", port=80, log_config=None, timeout_graceful_shutdown=None)
    pronghorn.run("main:app", reload=True, reload_dirs=["src"], workers=2)
    main(["main:app", "--port", "80"])
    with contextlib.suppress(ConfigError):
        config = Config(app, loop=asyncio.new_event_loop, interface="asgi3", lifespan="off", log_level=10)
        config.load()
        print(config.loaded, config.loaded_app, config.get_loop_factory(), config.is_ssl, config.should_reload)
"""

MISTAKES = {
    'run("main:app", prot=80)': "call-arg",
    'run("main:app", port="80")': "arg-type",
    'Config("main:app", lifespan="maybe")': "arg-type",
    'Server("main:app")': "arg-type",
}


def test_mypy_accepts_public_interface_and_finds_mistakes(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(PROJECT)
    wrong = ["from pronghorn import Config, Server, run", *MISTAKES]
    (tmp_path / "wrong.py").write_text("\n".join(wrong))
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "project.py"]
    done = subprocess.run(
        [*command, "wrong.py", f"--cache-dir={tmp_path}"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line for line in done.stdout.splitlines() if ": error: " in line]
    errors = [(line.partition(": ")[0], line.rpartition("  ")[2]) for line in lines]
    assert errors == [(f"wrong.py:{number}", f"[{code}]") for number, code in enumerate(MISTAKES.values(), start=2)]
