"""What makes the event loop, by its name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from pronghorn import loader
from pronghorn.errors import StartupError

if TYPE_CHECKING:
    import asyncio

LoopFactory: TypeAlias = "Callable[[], asyncio.AbstractEventLoop]"

_HOMES = {"uvloop": "uvloop:new_event_loop", "zuvloop": "zuvloop:new_event_loop"}


def factory(name: str) -> LoopFactory | None:
    """The factory of `--loop`, which may be an import string; None leaves the loop to asyncio."""
    if name == "none":
        return None
    if name == "auto":
        try:
            return _import("uvloop")
        except StartupError:
            return _asyncio()
    return _asyncio() if name == "asyncio" else _import(name)


def _asyncio() -> LoopFactory:
    import asyncio

    chosen: LoopFactory = asyncio.SelectorEventLoop
    if sys.platform == "win32":
        chosen = asyncio.ProactorEventLoop
    return chosen


def _import(name: str) -> LoopFactory:
    try:
        found: LoopFactory = loader.resolve(_HOMES.get(name, name))
    except StartupError as error:
        raise StartupError(f"Error loading custom loop setup function. {error}") from error.__cause__
    return found
