"""The clients that are written in C, compiled at first use."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pronghorn.bench.load import LoadFailed

HERE = Path(__file__).resolve().parent


class Compiled:
    """A program in C, next to this file."""

    source: ClassVar[str]

    def program(self, directory: Path) -> str:
        """The path of the program, compiled into `directory` unless it is there. Raises LoadFailed."""
        source = HERE / self.source
        path = directory / source.stem
        command = ["cc", "-O2", "-o", str(path), str(source)]
        if not path.exists():
            try:
                subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
            except FileNotFoundError:
                raise LoadFailed(f"{self.source} needs a C compiler: there is no cc") from None
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                raise LoadFailed(f"{self.source} does not compile: {str(error.stderr or error).strip()}") from None
        return str(path)


@dataclass(frozen=True)
class WebSockets(Compiled):
    """WebSocket: websocket.c in one of its modes, with messages of `size` bytes, over `http`."""

    source = "websocket.c"
    mode: Literal["echo", "broadcast"]
    kind: Literal["text", "binary"]
    size: int
    connections: int
    http: Literal["http1", "http2"] = "http1"

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """The arguments to load `target` at `port` for whole `seconds`."""
        return [self.mode, self.kind, *map(str, (self.size, self.connections, seconds, port)), target, self.http]


@dataclass(frozen=True)
class Paced(Compiled):
    """HTTP at a fixed `rate`, requests per second: paced.c."""

    source = "paced.c"
    rate: int
    connections: int

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """The arguments to load `target` at `port` for whole `seconds`."""
        return [*map(str, (self.connections, self.rate, seconds, port)), target]
