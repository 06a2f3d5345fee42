"""What is measured under load: an application, its load, the servers to compare, and what pronghorn should reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pronghorn.bench.load import Loader
from pronghorn.bench.process import Process


class Exchange(Protocol):
    """What is asked of a server before it is measured."""

    @property
    def target(self) -> str:
        """The target of the request."""

    def check(self, process: Process) -> None:
        """Ask once, after waiting for the server to listen. Raises ServerFailed when the answer is not right."""


@dataclass(frozen=True)
class Scenario:
    """One table. `targets` gives, per peer, the least ratio of the subject's answers per second to the peer's."""

    name: str
    title: str
    app: str
    load: Loader
    exchange: Exchange
    servers: tuple[str, ...]
    targets: dict[str, float]
    subject: str = "pronghorn"
    other_loads: dict[str, Loader] = field(default_factory=dict)
    unit: str = "request"

    def load_for(self, server: str) -> Loader:
        """What loads `server`: another script of the same programme, if it has one of its own."""
        return self.other_loads.get(server, self.load)
