"""A server process: started on its own core if possible, measured, ended by its id."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from pronghorn.bench import certificate
from pronghorn.bench.certificate import CertificateFailed
from pronghorn.bench.servers import Server

if sys.platform != "win32":
    import resource

T = TypeVar("T")

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
SETTLE_TIMEOUT, LOOK = 3.0, 0.1
# The share of a core that an idle server may use.
IDLE = 0.1
SPARE_DESCRIPTORS = 200


class ServerFailed(Exception):
    """A server did not start, died or gave a wrong answer; the text names it and the reason."""


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
    """Bytes in memory: resident (RSS), and with each shared page divided among its users (PSS; 0: not known)."""

    rss: int
    pss: int


class Process:
    """A running server in `root`, pinned to `core` if there is one; `environment`, if given, replaces its own.

    Its output goes to a file, whose end explains a failure.
    """

    def __init__(
        self,
        server: Server,
        python: str,
        app: str,
        root: Path,
        core: int | None,
        directory: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.server = server
        self.port = free_port()
        if server.secure:
            try:
                certificate.make(directory)
            except CertificateFailed as error:
                raise ServerFailed(str(error)) from None
        self._log = directory / f"{server.name}-{self.port}.log"
        with self._log.open("ab") as output:
            self._popen = subprocess.Popen(
                server.command(
                    python, app, self.port, directory / certificate.CERTIFICATE, directory / certificate.KEY
                ),
                cwd=root,
                env=server.environ() if environment is None else {**environment, **server.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=pinning(core),
            )
        self._process = psutil.Process(self._popen.pid)

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
        """CPU used so far by the server and its running children."""
        used = self._each(psutil.Process.cpu_times)
        return CPU(sum(each.user for each in used), sum(each.system for each in used))

    def memory(self) -> Memory:
        """Memory of the server and its children."""
        used = self._each(psutil.Process.memory_full_info)
        return Memory(sum(each.rss for each in used), sum(getattr(each, "pss", 0) for each in used))

    def forget_output(self) -> None:
        """Empty the log file, so that an access log does not fill the disk."""
        os.truncate(self._log, 0)

    def settle(self) -> None:
        """Wait, SETTLE_TIMEOUT seconds at most, until it has closed connections and finished late requests.

        Otherwise that work would disturb the server that is loaded next.
        """
        end, used = time.monotonic() + SETTLE_TIMEOUT, self.cpu().total
        while time.monotonic() < end:
            time.sleep(LOOK)
            before, used = used, self.cpu().total
            if used - before <= IDLE * LOOK:
                return

    def stop(self) -> None:
        """Suspend it until `go_on`."""
        self._each(psutil.Process.suspend)

    def go_on(self) -> None:
        """Resume it."""
        self._each(psutil.Process.resume)

    def end(self) -> None:
        """Terminate the server, kill it if it does not end, and kill its children; by process id only."""
        _, *children = self._tree()
        self._popen.terminate()
        try:
            self._popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for child in children:
            with contextlib.suppress(psutil.Error):  # has ended by itself
                child.kill()

    def _each(self, method: Callable[[psutil.Process], T]) -> list[T]:
        """The results for the server and its children; processes that have ended are skipped."""
        results = []
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                results.append(method(process))
        return results

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return [self._process]


def pinning(core: int | None) -> Callable[[], None] | None:
    """A function that pins the calling process to `core`, None without a core."""
    return None if core is None else lambda: os.sched_setaffinity(0, {core})


def children() -> CPU:
    """CPU of the ended children of this process; 0 where the system does not report it."""
    if sys.platform == "win32":
        return CPU(0, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return CPU(used.ru_utime, used.ru_stime)


def busy_seconds(cores: Collection[int | None]) -> float:
    """Seconds that `cores` have worked since boot, for all processes."""
    every = psutil.cpu_times(percpu=True)
    idle = ("idle", "iowait", "guest", "guest_nice")  # guest time is already part of user and nice
    return sum(
        sum(seconds for name, seconds in times._asdict().items() if name not in idle)
        for core, times in enumerate(every)
        if core in cores
    )


def allow_connections(count: int) -> None:
    """Allow `count` connections in this process and in those that it starts. Raises NotEnoughFiles."""
    if sys.platform == "win32":
        return
    needed = count + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise NotEnoughFiles(f"needs {needed} open files, the limit is {hard}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def tls_context() -> ssl.SSLContext:
    """A context for TLS 1.3 that accepts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def free_port() -> int:
    """A free port, chosen by the system."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
