"""Event loop factories by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from pronghorn.application import loader
from pronghorn.errors import StartupError

if TYPE_CHECKING:
    import asyncio

LoopFactory: TypeAlias = "Callable[[], asyncio.AbstractEventLoop]"

FACTORIES: dict[str, str | None] = {
    "none": None,
    "auto": "uvloop:new_event_loop",  # asyncio's if it is not installed
    "asyncio": "asyncio:ProactorEventLoop" if sys.platform == "win32" else "asyncio:SelectorEventLoop",
    "uvloop": "uvloop:new_event_loop",
    "zuvloop": "zuvloop:new_event_loop",
}


def factory(name: str) -> LoopFactory | None:
    """The factory for `--loop`, which may be an import string; None leaves the choice to asyncio."""
    try:
        found: LoopFactory | None = loader.resolve_name(name, FACTORIES)
    except StartupError as error:
        if name == "auto":
            return factory("asyncio")
        raise StartupError(f"Error loading custom loop setup function. {error}") from error.__cause__
    return found
