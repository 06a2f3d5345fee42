"""The page of a process: the cells of `layout`, which its parent can read."""

from __future__ import annotations

from typing import TypeAlias

from pronghorn.metrics import layout

Page: TypeAlias = "memoryview"
"""A `memoryview` of format "q" with `layout.size()` items."""


def allocate() -> Page:
    """A page for this process alone."""
    return memoryview(bytearray(8 * layout.size())).cast("q")
