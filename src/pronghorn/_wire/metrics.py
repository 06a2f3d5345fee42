"""Counts requests and bytes, in the cells that `pronghorn.metrics.layout` assigns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.metrics.layout import (
    ACTIVE_REQUESTS,
    CANCELLED,
    DURATION,
    PROBES,
    RECEIVED,
    REQUESTS,
    SENT,
    STATUSES,
    TIME_TO_FIRST_BYTE,
    TIMED_OUT,
)

from .kernels import method_index, monotonic

if TYPE_CHECKING:
    from .kernels import Cells

_CLASSES = len(STATUSES)


class Metrics:
    """The metrics of one worker, kept in `cells`."""

    __slots__ = ("_cells",)

    _cells: Cells

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def received(self, size: int) -> None:
        """Count bytes from a client."""
        self._cells.add(RECEIVED, size)

    def sent(self, size: int) -> None:
        """Count bytes to a client."""
        self._cells.add(SENT, size)

    def timed_out(self, kind: int) -> None:
        """Count a client or an application that was too slow, by the index of the timeout."""
        self._cells.add(TIMED_OUT + kind, 1)

    def cancelled(self) -> None:
        """Count a response whose client has left before its end."""
        self._cells.add(CANCELLED, 1)

    def began(self) -> None:
        """Count a request whose head was read."""
        self._cells.add(ACTIVE_REQUESTS, 1)

    def probed(self) -> None:
        """Count a request that has begun as a probe of the server's health."""
        self._cells.add(ACTIVE_REQUESTS, -1)
        self._cells.add(PROBES, 1)

    def ended(self, method: str, status: int, began: float, answered: float) -> None:
        """Count the end of a request, whose head was read at `began` and whose response began at `answered`, or now if
        that is 0. `status` is 0 if the client left before.
        """
        cells = self._cells
        status_class = status // 100
        if status_class >= _CLASSES:
            status_class = 0
        cells.add(ACTIVE_REQUESTS, -1)
        cells.add(REQUESTS + method_index(method) * _CLASSES + status_class, 1)
        if status:
            now = monotonic()
            cells.observe(DURATION, now - began)
            cells.observe(TIME_TO_FIRST_BYTE, (now if answered == 0.0 else answered) - began)
