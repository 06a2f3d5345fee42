"""Coroutines of other awaitables, and marks for callables that return them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


async def awaiting(awaitable: Awaitable[T]) -> T:
    """A coroutine that awaits `awaitable`."""
    return await awaitable


def mark_coroutine_function(function: Any) -> None:
    """Make `inspect.iscoroutinefunction` true of `function` and its bound methods; before CPython 3.12, only asyncio's
    function of that name.
    """
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(function)
    else:
        function._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
