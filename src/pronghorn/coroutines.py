"""Mark callables that return awaitables as coroutine functions."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any


def mark_coroutine_function(function: Any) -> None:
    """Make `inspect.iscoroutinefunction` true of `function` and its bound methods; before CPython 3.12, only asyncio's
    function of that name.
    """
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(function)
    else:
        function._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
