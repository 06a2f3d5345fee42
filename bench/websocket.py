"""The load on WebSockets: websocket.c, compiled at first use."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pronghorn.bench.load import LoadFailed

CLIENT = Path(__file__).resolve().parent / "websocket.c"


@dataclass(frozen=True)
class WebSockets:
    """WebSocket: websocket.c in one of its modes, with messages of `size` bytes."""

    mode: Literal["echo", "broadcast"]
    kind: Literal["text", "binary"]
    size: int
    connections: int

    def programme(self, directory: Path) -> str:
        """What to execute: compiled into `directory` unless it is there. Raises LoadFailed."""
        path = directory / CLIENT.stem
        if not path.exists():
            try:
                subprocess.run(["cc", "-O2", "-o", path, CLIENT], capture_output=True, text=True, check=True)
            except FileNotFoundError:
                raise LoadFailed(f"{CLIENT.name} needs a C compiler: there is no cc") from None
            except subprocess.CalledProcessError as error:
                raise LoadFailed(f"{CLIENT.name} does not compile: {error.stderr.strip()}") from None
        return str(path)

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """How to load `target` at `port` for whole `seconds`."""
        return [self.mode, self.kind, *map(str, (self.size, self.connections, seconds, port)), target]
