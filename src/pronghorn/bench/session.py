"""The settings that all measurements of one run share: interpreter, cores, amount of work, servers."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import psutil

from pronghorn.bench.cores import Cores
from pronghorn.bench.outcome import family
from pronghorn.bench.process import Process
from pronghorn.bench.servers import SERVERS, Server

FEW_ROUNDS = 3
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def print_progress(text: str) -> None:
    """Print to stderr at once."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Session:
    """The settings of a run.

    `wanted` restricts the servers, by name or family; empty means all. Servers run in `root`, with `environment` or,
    if it is None, their own. `directory` is for files of the run. `started` collects the names of the servers.
    """

    python: str
    root: Path
    directory: Path
    cores: Cores = field(default_factory=Cores)
    rounds: int = 1
    seconds: int = 1
    warm_up: int = 1
    quick: bool = False
    wanted: Collection[str] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    servers: Mapping[str, Server] = field(default_factory=lambda: SERVERS)
    say: Callable[[str], None] = print_progress
    started: set[str] = field(default_factory=set)

    def choose(self, names: Iterable[str], essential: Collection[str]) -> list[str]:
        """The servers to measure out of `names`; a quick run measures the `essential` ones, unless some are wanted."""
        return [
            name
            for name in names
            if name not in self.missing
            and (
                not {name, family(name)}.isdisjoint(self.wanted) if self.wanted else not self.quick or name in essential
            )
        ]

    @contextmanager
    def running(self, name: str, app: str) -> Iterator[Process]:
        """Start a server, and end it afterwards."""
        self.started.add(name)
        process = Process(
            self.servers[name], self.python, app, self.root, self.cores.server, self.directory, self.environment
        )
        try:
            yield process
        finally:
            process.end()

    def with_few_rounds(self) -> Session:
        """The session with three rounds at most."""
        return replace(self, rounds=min(FEW_ROUNDS, self.rounds))

    def commands(self) -> dict[str, str]:
        """The command lines of the servers that were started, by name."""
        return {name: server.command_line() for name, server in self.servers.items() if name in self.started}

    def say_failed(self, error: Exception) -> str:
        """Print that a server or a measurement is left out; return the line for the report."""
        self.say(f"  left out: {error}")
        return left_out(error)


def left_out(reason: object) -> str:
    """The first line of the reason why a server or a measurement is left out."""
    return f"left out: {str(reason).splitlines()[0]}"


@contextmanager
def measuring(cores: Cores) -> Iterator[Path]:
    """A temporary directory to measure in, away from the server's core.

    SIGINT and SIGTERM unwind the stack. At the end all children are killed: a signal may come between the start of a
    server and its record.
    """

    def stop(number: int, frame: object) -> NoReturn:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    previous = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        with tempfile.TemporaryDirectory(prefix="pronghorn-bench-") as directory:
            cores.leave()
            yield Path(directory)
    finally:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
        for number, handler in previous.items():
            signal.signal(number, handler)
