"""What one run of the benchmarks has in common: the interpreter, the cores, the amount of work, the servers at hand."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .process import Process, ServerFailed
from .servers import SERVERS


@dataclass(frozen=True)
class Session:
    """`wanted` restricts the servers, by name or by the name before the first hyphen; empty means all."""

    python: str
    server_core: int
    load_core: int
    rounds: int
    seconds: int
    quick: bool
    wanted: Collection[str]
    missing: dict[str, str]
    directory: Path

    def choose(self, names: Iterable[str], essential: Collection[str]) -> list[str]:
        """The servers to measure out of `names`; a quick run measures the `essential` ones."""
        return [
            name
            for name in names
            if name not in self.missing
            and (not self.wanted or name in self.wanted or name.partition("-")[0] in self.wanted)
            and (not self.quick or name in essential or name in self.wanted)
        ]

    @contextmanager
    def running(self, name: str, app: str) -> Iterator[Process]:
        """Start a server, end it afterwards."""
        process = Process(SERVERS[name], self.python, app, self.server_core, self.directory)
        try:
            yield process
        finally:
            process.end()

    def say(self, text: str) -> None:
        """Tell progress."""
        print(text, file=sys.stderr, flush=True)

    def say_failed(self, error: ServerFailed) -> str:
        """Tell that a server is left out; return the line for the report."""
        self.say(f"  left out: {error}")
        return f"left out: {str(error).splitlines()[0]}"
