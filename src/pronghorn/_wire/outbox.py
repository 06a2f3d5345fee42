"""The write queue of one event loop: output is written once per iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .kernels import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._interfaces import CallSoon
    from .endpoint import Endpoint

# Seconds that output may wait for the end of a slow iteration.
MAX_DELAY = 0.001


class Outbox:
    """Flushes its members once per event-loop iteration, which joins small writes. In an iteration that takes longer,
    output waits for `max_delay` seconds at most, if more follows.
    """

    __slots__ = ("_call_soon", "_max_delay", "_members", "_run", "_scheduled", "_since")

    _call_soon: CallSoon
    _run: Callable[[], None]
    _members: list[Endpoint]
    _scheduled: bool
    _since: float
    _max_delay: float

    def __init__(self, call_soon: CallSoon, max_delay: float = MAX_DELAY) -> None:
        self._call_soon = call_soon
        self._members = []
        self._run = self.run
        self._scheduled = False
        self._since = 0.0
        self._max_delay = max_delay

    def add(self, member: Endpoint) -> None:
        """Flush `member` at the end of this iteration."""
        if not self._scheduled:
            self._scheduled = True
            self._since = monotonic()
            self._call_soon(self._run)
        elif monotonic() - self._since > self._max_delay:
            self._flush()
        self._members.append(member)

    def hold(self) -> None:
        """Begin an iteration that its caller ends by `run`."""
        self._scheduled = True
        self._since = monotonic()

    def run(self) -> None:
        """Flush all members at the end of the iteration."""
        self._scheduled = False
        self._flush()

    def _flush(self) -> None:
        members = self._members
        self._members = []
        self._since = monotonic()
        for member in members:
            try:
                member.leave_outbox()
            except Exception as error:
                member.crash(error)
