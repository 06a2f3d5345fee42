"""The programs that load a server: each runs on its own core, and prints a report."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pronghorn.bench.process import pinning

HERE = Path(__file__).resolve().parent
CONNECTIONS = 64


class LoadFailed(Exception):
    """A program could not be compiled, did not run to its end, or printed no report."""


@dataclass(frozen=True)
class Load:
    """The report of a program. `errors` counts the kinds of errors that occurred, under the program's names. A
    percentile is 0 if the program does not report it.
    """

    requests: int
    seconds: float
    bytes: int
    p50_us: int
    p99_us: int
    errors: dict[str, int]
    p999_us: int = 0

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


class Loader(Protocol):
    """A program with its settings."""

    @property
    def connections(self) -> int:
        """The number of connections that it opens."""

    def program(self, directory: Path) -> str:
        """The program to execute, compiled into `directory` if necessary. Raises LoadFailed."""

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """The arguments to load `target` at `port` for whole `seconds`."""


@dataclass(frozen=True)
class Wrk:
    """HTTP, over TLS if `secure`: wrk with a script that ends in `dofile("report.lua")`. The error `status`
    counts answers of 400 and above.
    """

    script: Path
    connections: int = CONNECTIONS
    secure: bool = False

    def program(self, directory: Path) -> str:
        """The program to execute."""
        return "wrk"

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """The arguments to load `target` at `port` for whole `seconds`."""
        url = f"{'https' if self.secure else 'http'}://127.0.0.1:{port}{target}"
        return ["-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(self.script), url]


@dataclass(frozen=True)
class Client:
    """HTTP: client.py, which sends the `requests`, one file each."""

    requests: Sequence[Path]
    connections: int = CONNECTIONS

    def program(self, directory: Path) -> str:
        """The program to execute."""
        return sys.executable

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """The arguments to load the server at `port` for whole `seconds`; the requests contain the targets."""
        numbers = map(str, (port, seconds, self.connections))
        return ["-P", "-m", "pronghorn.bench.client", *numbers, *map(str, self.requests)]


def parse(output: str) -> Load:
    """Read a report in one line. Raises LoadFailed when the line is missing."""
    line = re.search(r"^bench (.+)$", output, re.MULTILINE)
    if not line:
        raise LoadFailed(f"no report in the output:\n{output.strip()}")
    numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line[1])}
    return Load(
        requests=numbers.pop("requests"),
        seconds=numbers.pop("microseconds") / 1e6,
        bytes=numbers.pop("bytes"),
        p50_us=numbers.pop("p50"),
        p99_us=numbers.pop("p99"),
        p999_us=numbers.pop("p999", 0),
        errors={kind: count for kind, count in numbers.items() if count},
    )


def run(
    program: str, arguments: list[str], seconds: int, core: int | None, read: Callable[[str], Load] = parse
) -> Load:
    """Run for whole `seconds`, on `core` if there is one, and `read` the output. Raises LoadFailed."""
    name = Path(program).name
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            preexec_fn=pinning(core),
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"{name} did not end within {seconds + 30} s") from None
    if done.returncode:
        raise LoadFailed(f"{name} exited with status {done.returncode}: {done.stderr.strip()}")
    return read(done.stdout)
