"""Create tasks on event loops whose task factory may only take `(loop, coroutine)`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def create(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop | None = None) -> asyncio.Task[T]:
    """Create a task with the loop's factory, in a copy of the current context."""
    loop = loop or asyncio.get_running_loop()
    factory: Any = loop.get_task_factory()
    if factory is None:
        return loop.create_task(coroutine)
    # Not with `loop.create_task`: uvloop's always passes further arguments to the factory.
    task: asyncio.Task[T] = factory(loop, coroutine)
    return task
