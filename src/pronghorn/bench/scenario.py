"""A scenario: an application, its load, the servers to compare, and pronghorn's targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pronghorn.bench.load import Load, Loader, parse
from pronghorn.bench.outcome import family
from pronghorn.bench.process import Process

# In a target, the server with the most responses per second (or the least CPU per request) of all but references.
BEST = "the best peer"
# A quick run measures these beside the servers with a target.
BRIEF = ("uvicorn", "peregrine")


class Exchange(Protocol):
    """The request to a server before it is measured."""

    @property
    def target(self) -> str:
        """The target of the request."""

    def check(self, process: Process) -> None:
        """Wait for the server to listen, and send the request. Raises ServerFailed if the response is wrong."""


@dataclass(frozen=True)
class Scenario:
    """A table.

    `targets` has, by server or for BEST, the lowest ratio of the subject's responses per second to that server's;
    `cpu_targets` that of the server's CPU per response to the subject's. `read` reads the output of the load.
    """

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
    cpu_targets: dict[str, float] = field(default_factory=dict)
    read: Callable[[str], Load] = parse

    @property
    def essential(self) -> set[str]:
        """The servers that a quick run measures, if they are in the table."""
        brief = (name for name in self.servers if family(name) in BRIEF)
        return {self.subject, *self.targets, *self.cpu_targets, *brief}

    def load_for(self, server: str) -> Loader:
        """The load for `server`: its own, of the same program, or the common one."""
        return self.other_loads.get(server, self.load)
