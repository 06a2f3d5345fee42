"""What one run of the benchmarks has in common: the interpreter, the cores, the amount of work, the servers at hand."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pronghorn.bench.process import Process
from pronghorn.bench.servers import SERVERS, Server


@dataclass(frozen=True)
class Session:
    """`wanted` restricts the servers, by name or by the name before the first hyphen; empty means all.

    Without cores, nothing is pinned. Servers run in `root`, with `environment` if they are not to have their own;
    `directory` is for what the run leaves, and is removed after it.
    """

    python: str
    root: Path
    server_core: int | None
    load_core: int | None
    rounds: int
    seconds: int
    quick: bool
    wanted: Collection[str]
    missing: dict[str, str]
    directory: Path
    environment: Mapping[str, str] | None = None
    servers: Mapping[str, Server] = field(default_factory=lambda: SERVERS)

    def choose(self, names: Iterable[str], essential: Collection[str]) -> list[str]:
        """The servers to measure out of `names`; a quick run measures the `essential` ones, unless some are wanted."""
        return [
            name
            for name in names
            if name not in self.missing
            and (
                not {name, name.partition("-")[0]}.isdisjoint(self.wanted)
                if self.wanted
                else not self.quick or name in essential
            )
        ]

    @contextmanager
    def running(self, name: str, app: str) -> Iterator[Process]:
        """Start a server, end it afterwards."""
        process = Process(
            self.servers[name], self.python, app, self.root, self.server_core, self.directory, self.environment
        )
        try:
            yield process
        finally:
            process.end()

    def say(self, text: str) -> None:
        """Tell progress."""
        print(text, file=sys.stderr, flush=True)

    def say_failed(self, error: Exception) -> str:
        """Tell that a server, or a whole measurement, is left out; return the line for the report."""
        self.say(f"  left out: {error}")
        return f"left out: {str(error).splitlines()[0]}"
