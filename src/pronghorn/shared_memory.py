"""Cells of memory, integers of 64 bits, that a process shares with those that it spawns."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from multiprocessing.heap import BufferWrapper

Memory: TypeAlias = "BufferWrapper"
"""Can be an argument of a process that is spawned. The process that has allocated it must keep it while it is used."""

_CELL = 8


def allocate(size: int) -> Memory:
    """Memory for a number of cells, all 0. Raises OSError."""
    from multiprocessing.heap import BufferWrapper  # only the parent of workers needs it

    memory = BufferWrapper(_CELL * size)
    memory.create_memoryview()[:] = bytes(_CELL * size)  # it may have been used before
    return memory


def cells(memory: Memory) -> memoryview[int]:
    return memory.create_memoryview().cast("q")
