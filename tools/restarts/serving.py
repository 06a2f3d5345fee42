"""The processes: servers that replace each other, and the proxies in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tools.restarts.app import FOLDER
from tools.restarts.clients import trusting
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
    """`pronghorn` on an inherited socket, or on a port of its own.

    `prefix` is a command that runs it. `folder` is for files of the trial. `errors` matches those that its log may
    have.
    """

    def __init__(
        self,
        workers: int,
        place: socket.socket | int,
        flags: Sequence[str],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        errors: str = "",
    ) -> None:
        self.folder = folder
        self.port: int = place.getsockname()[1] if isinstance(place, socket.socket) else place
        self.has_workers = workers > 1
        self._workers = workers
        self._errors = errors
        is_inherited = isinstance(place, socket.socket)
        number = place.fileno() if isinstance(place, socket.socket) else place
        self._passed = (number,) if is_inherited else ()
        self._command = [
            *prefix,
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
        self._has_parent = workers > 1 or "--reload" in flags
        self.pid = 0
        """The process to signal. It changes with `upgrade`."""
        self._process: asyncio.subprocess.Process | None = None
        self._lines: list[str] = []
        self._reader: asyncio.Task[None]

    async def start(self) -> None:
        """Start it, and wait until every process serves."""
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            pass_fds=self._passed,
            cwd=ROOT,
            env={**os.environ, FOLDER: str(self.folder)},
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        self.pid = process.pid
        serves = r"\] serves" if self._has_parent else "running on"
        try:
            async with asyncio.timeout(PATIENCE):
                while sum(bool(re.search(serves, line)) for line in self._lines) < self._workers:
                    if not (line := await process.stderr.readline()):
                        raise self._failed("a server ended")
                    self._lines.append(line.decode().rstrip())
        except TimeoutError:
            raise self._failed("a server did not start") from None
        self._reader = asyncio.create_task(self._read(process.stderr))

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    async def ask(self, target: str) -> bytes:
        """Send a request on a connection of its own; return the head of the response. Raises Failed."""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(f"GET {target} HTTP/1.1\r\nhost: restarts\r\nconnection: close\r\n\r\n".encode())
                answer = await reader.read()
                writer.close()
        except (OSError, TimeoutError) as error:
            raise self._failed(f"no answer: {error!r}") from None
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise self._failed(f"a wrong answer: {answer!r}")
        return answer

    async def certificate(self) -> bytes | None:
        """The certificate that a new connection is shown, encoded by DER. Raises Failed."""
        try:
            async with asyncio.timeout(PATIENCE):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=trusting())
        except (OSError, TimeoutError) as error:
            raise self._failed(f"no connection with TLS: {error!r}") from None
        shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return shown

    def count(self, pattern: str) -> int:
        """The number of lines with `pattern` in the log so far."""
        return len(self._find(pattern))

    def workers(self) -> list[int]:
        """The process ids of the workers that serve."""
        ended = self._find(r"Terminated child process \[(\d+)\]") + self._find(r"\[(\d+)\] died")
        return [pid for pid in self._find(r"\[(\d+)\] serves") if pid not in ended]

    async def wait_for(self, pattern: str, count: int) -> None:
        """Wait until `count` lines with `pattern` are in the log. Raises Failed."""
        for _ in range(PATIENCE * 50):
            if self.count(pattern) >= count:
                return
            if self._reader.done():
                break
            await asyncio.sleep(0.02)
        raise self._failed(f"less than {count} lines with {pattern!r}")

    async def upgrade(self) -> None:
        """Send SIGUSR2 and wait until the new program serves and the old one has ended. Raises Failed."""
        assert self._process is not None
        upgrades = self.count("stopping this one")
        self.signal(signal.SIGUSR2)
        await self.wait_for("stopping this one", upgrades + 1)
        old, self.pid = self.pid, self._find(r"The new program \[(\d+)\] serves")[-1]
        await self.wait_for(rf"(?:Stopping parent|Finished server) process \[{old}\]", 1)
        # Not `wait`, which also waits for the end of the log: the new program writes to it.
        while old == self._process.pid and self._process.returncode is None:
            await asyncio.sleep(0.02)
        if self._process.returncode:
            raise self._failed("the old program failed")

    async def stop(self) -> None:
        """Send SIGTERM and wait for the end. Raises Failed after a wrong exit code, or an error in the log."""
        assert self._process is not None
        self.signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self._process.wait(), PATIENCE)
            await asyncio.wait_for(self._reader, PATIENCE)
        except TimeoutError:
            raise self._failed("a server did not end") from None
        wrong = [line for line in self._lines if re.match("ERROR|CRITICAL|Traceback", line)]
        wrong = [line for line in wrong if not (self._errors and re.match(self._errors, line))]
        if wrong or code not in (0, -signal.SIGTERM):
            raise self._failed(f"a server ended with {code}")

    async def end(self) -> None:
        """Kill it, if it has not ended."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            if self.pid != self._process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            await self._process.wait()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._lines.append(line.decode().rstrip())

    def _find(self, pattern: str) -> list[int]:
        """The numbers that `pattern` has found, or 0, for each line with it."""
        found = [each for line in self._lines if (each := re.search(pattern, line))]
        return [int(each[1]) if each.re.groups else 0 for each in found]

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
