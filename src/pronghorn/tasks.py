"""Tasks in a loop whose task factory may be of the form `factory(loop, coroutine)`, which takes nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def create(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop | None = None) -> asyncio.Task[T]:
    """A task of the loop's own kind, in a copy of the context that is there."""
    loop = loop or asyncio.get_running_loop()
    factory: Any = loop.get_task_factory()
    if factory is None:
        return loop.create_task(coroutine)
    # Not by the loop's `create_task`: uvloop's gives the factory further arguments, always.
    task: asyncio.Task[T] = factory(loop, coroutine)
    return task
