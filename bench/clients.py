"""The clients that are written in C, compiled at first use."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pronghorn.bench.load import LoadFailed

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class WebSockets:
    """WebSocket: websocket.c in one of its modes, with messages of `size` bytes."""

    mode: Literal["echo", "broadcast"]
    kind: Literal["text", "binary"]
    size: int
    connections: int

    def programme(self, directory: Path) -> str:
        """What to execute. Raises LoadFailed."""
        return compiled("websocket.c", directory)

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """How to load `target` at `port` for whole `seconds`."""
        return [self.mode, self.kind, *map(str, (self.size, self.connections, seconds, port)), target]


@dataclass(frozen=True)
class Paced:
    """HTTP at a fixed `rate`, requests per second: paced.c."""

    rate: int
    connections: int

    def programme(self, directory: Path) -> str:
        """What to execute. Raises LoadFailed."""
        return compiled("paced.c", directory)

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """How to load `target` at `port` for whole `seconds`."""
        return [*map(str, (self.connections, self.rate, seconds, port)), target]


def compiled(name: str, directory: Path) -> str:
    """The path of the client `name`, compiled into `directory` unless it is there. Raises LoadFailed."""
    source = HERE / name
    path = directory / source.stem
    if not path.exists():
        try:
            subprocess.run(["cc", "-O2", "-o", path, source], capture_output=True, text=True, check=True, timeout=60)
        except FileNotFoundError:
            raise LoadFailed(f"{name} needs a C compiler: there is no cc") from None
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise LoadFailed(f"{name} does not compile: {str(error.stderr or error).strip()}") from None
    return str(path)
