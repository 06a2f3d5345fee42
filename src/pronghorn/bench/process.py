"""A server as a process: started on a core of its own, measured from /proc, ended by its id."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pronghorn.bench.servers import Server

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
SPARE_DESCRIPTORS = 200
CERTIFICATE, KEY = "certificate.pem", "key.pem"
TICKS = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server did not start, died or answered wrongly; the text says which and why."""


class NotEnoughFiles(Exception):
    """The system does not let a process have as many connections as a measurement needs."""


@dataclass(frozen=True)
class CPU:
    """Seconds of CPU that a process tree has used so far."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """User and system together."""
        return self.user + self.system

    def __sub__(self, other: CPU) -> CPU:
        return CPU(self.user - other.user, self.system - other.system)


@dataclass(frozen=True)
class Memory:
    """Bytes in memory: resident (RSS), and with each shared page divided among its users (PSS)."""

    rss: int
    pss: int


class Process:
    """One running server, which imports from `root`. Its output goes to a regular file; its end explains a failure."""

    def __init__(self, server: Server, python: str, app: str, root: Path, core: int, directory: Path) -> None:
        self.server = server
        self.port = free_port()
        if server.secure:
            make_certificate(directory)
        self._log = directory / f"{server.name}-{self.port}.log"
        with self._log.open("ab") as output:
            self._popen = subprocess.Popen(
                server.command(python, app, self.port, directory / CERTIFICATE, directory / KEY),
                cwd=root,
                env=server.environ(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )

    def connect(self, pause: float = 0.005) -> socket.socket:
        """Connect as soon as the server listens, trying again every `pause` seconds."""
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=START_TIMEOUT)
                return tls_context().wrap_socket(connection) if self.server.secure else connection
            except ConnectionRefusedError:
                self.check_alive()
                if time.monotonic() > deadline:
                    raise self.failure(f"did not listen within {START_TIMEOUT:.0f} s") from None
                time.sleep(pause)

    def check_alive(self) -> None:
        """Raise `ServerFailed` if the process has ended."""
        if self._popen.poll() is not None:
            raise self.failure(f"exited with status {self._popen.returncode}")

    def failure(self, reason: str) -> ServerFailed:
        """The error for `reason`, with the last lines that the server wrote."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - 1000))
            tail = log.read().decode(errors="replace").strip()
        return ServerFailed(f"{self.server.name} {reason}" + (f"\n{tail}" if tail else ""))

    def cpu(self) -> CPU:
        """CPU used so far by the server and its children that live."""
        user = system = 0
        for pid in self._tree():
            if fields := _stat(pid):
                user += int(fields[11])
                system += int(fields[12])
        return CPU(user / TICKS, system / TICKS)

    def memory(self) -> Memory:
        """Memory of the server and its children."""
        totals = {"Rss": 0, "Pss": 0}
        for pid in self._tree():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in totals:
                    totals[name] += int(rest.split()[0]) * 1024
        return Memory(totals["Rss"], totals["Pss"])

    def forget_output(self) -> None:
        """Empty the log file, so that an access log does not fill the disk."""
        os.truncate(self._log, 0)

    def end(self) -> None:
        """End the server and what it started: asked first, then killed; by process id only."""
        pids = list(self._tree())
        self._popen.terminate()
        try:
            self._popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for pid in pids[1:]:
            fields = _stat(pid)
            if fields and int(fields[3]) == self._popen.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _tree(self) -> Iterator[int]:
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
                children.setdefault(int(fields[1]), []).append(int(entry.name))
        found = [self._popen.pid]
        for pid in found:
            yield pid
            found.extend(children.get(pid, []))


def allow_connections(count: int) -> None:
    """Let this process, and each that it starts from now on, have so many open. Raises NotEnoughFiles."""
    needed = count + SPARE_DESCRIPTORS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise NotEnoughFiles(f"needs {needed} open files, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def make_certificate(directory: Path) -> None:
    """Put a self-signed certificate and its key into `directory`, unless they are there. Raises ServerFailed."""
    if (directory / CERTIFICATE).exists():
        return
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    try:
        subprocess.run(
            ["openssl", *arguments.split(), "-keyout", KEY, "-out", CERTIFICATE],
            cwd=directory,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        raise ServerFailed("a certificate needs openssl, which is not installed") from None
    except subprocess.CalledProcessError as error:
        raise ServerFailed(f"openssl makes no certificate: {error.stderr.strip()}") from None


def tls_context() -> ssl.SSLContext:
    """What asks for TLS 1.3, of whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def free_port() -> int:
    """A port that the system chose and nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on (proc(5) numbers it 3); None if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
