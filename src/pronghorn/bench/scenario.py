"""A scenario: an application, its load, the servers to compare, and pronghorn's targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pronghorn.bench.load import Loader
from pronghorn.bench.process import Process


class Exchange(Protocol):
    """The request to a server before it is measured."""

    @property
    def target(self) -> str:
        """The target of the request."""

    def check(self, process: Process) -> None:
        """Wait for the server to listen, and send the request. Raises ServerFailed if the response is wrong."""


@dataclass(frozen=True)
class Scenario:
    """A table. `targets` has, by server, the lowest ratio of the subject's responses per second to that server's."""

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
        """The load for `server`: its own, of the same program, or the common one."""
        return self.other_loads.get(server, self.load)
