"""The processes: servers that replace each other, and the proxies in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tools.web_servers import nginx_configuration, program

# Seconds for a process to start, and to end.
PATIENCE = 60

ROOT = Path(__file__).parents[2]

HAPROXY = """\
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    retries 0
frontend clients
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    server only 127.0.0.1:{server}
"""

NGINX = """\
upstream server {{
    server 127.0.0.1:{server};
    keepalive 32;
}}
server {{
    listen 127.0.0.1:{port} backlog=2048;
    keepalive_requests 1000000;
    location / {{
        proxy_pass http://server;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_next_upstream off;
    }}
}}
"""


class Failed(Exception):
    """A process failed. The message says which and why."""


class Server:
    """`pronghorn` on an inherited socket, or on a port of its own."""

    def __init__(self, workers: int, place: socket.socket | int, flags: list[str]) -> None:
        self._workers = workers
        is_inherited = isinstance(place, socket.socket)
        number = place.fileno() if isinstance(place, socket.socket) else place
        self._passed = (number,) if is_inherited else ()
        self._command = [
            sys.executable,
            "-m",
            "pronghorn",
            "tools.restarts.app:app",
            "--no-access-log",
            "--lifespan",
            "off",
        ]
        self._command += ["--fd" if is_inherited else "--port", str(number), "--log-level", "debug", *flags]
        if workers > 1:
            self._command += ["--workers", str(workers)]
        self._process: asyncio.subprocess.Process | None = None
        self._lines: list[str] = []
        self._reader: asyncio.Task[None]

    async def start(self) -> None:
        """Start it, and wait until every process serves."""
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command, pass_fds=self._passed, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        serves = r"\] serves" if self._workers > 1 else "running on"
        try:
            async with asyncio.timeout(PATIENCE):
                while sum(bool(re.search(serves, line)) for line in self._lines) < self._workers:
                    if not (line := await process.stderr.readline()):
                        raise self._failed("a server ended")
                    self._lines.append(line.decode().rstrip())
        except TimeoutError:
            raise self._failed("a server did not start") from None
        self._reader = asyncio.create_task(self._read(process.stderr))

    async def stop(self) -> None:
        """Send SIGTERM and wait for the end. Raises Failed after a wrong exit code, or an error in the log."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self._process.wait(), PATIENCE)
        except TimeoutError:
            raise self._failed("a server did not end") from None
        await self._reader
        wrong = [line for line in self._lines if re.match("ERROR|CRITICAL|Traceback", line)]
        if wrong or code not in (0, -signal.SIGTERM):
            raise self._failed(f"a server ended with {code}")

    async def end(self) -> None:
        """Kill it, if it has not ended."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._lines.append(line.decode().rstrip())

    def _failed(self, reason: str) -> Failed:
        return Failed("\n".join([reason, *self._lines]))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def proxied(name: str, server: int, folder: Path) -> AsyncIterator[int]:
    """Run the proxy `name` in front of the server's port; yield its port, or the server's own for `direct`."""
    if name == "direct":
        yield server
        return
    port = free_port()
    file = folder / f"{name}.conf"
    if name == "nginx":
        file.write_text(nginx_configuration(NGINX.format(port=port, server=server)))
        flags = ["-p", str(folder), "-c", str(file)]
    else:
        file.write_text(HAPROXY.format(port=port, server=server))
        flags = ["-db", "-f", str(file)]
    found = program(name)
    if found is None:
        raise Failed(f"{name} is not installed")
    process = await asyncio.create_subprocess_exec(found, *flags, stderr=asyncio.subprocess.DEVNULL)
    try:
        await _wait_until_it_listens(port, name)
        yield port
    finally:
        process.kill()
        await process.wait()


async def _wait_until_it_listens(port: int, name: str) -> None:
    for _ in range(PATIENCE * 20):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise Failed(f"{name} did not start")
