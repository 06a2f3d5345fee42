"""The global interpreter lock. A free-threaded CPython enables it, until its end, when it imports an extension module
that has not declared that it does not need it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from typing import Any

is_reported = False
"""True once a line of the log says that it is enabled."""

_log = logging.getLogger("pronghorn.error")


def is_enabled() -> bool:
    """Return whether only one thread runs Python code at a time."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return ask is None or bool(ask())


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Log a warning, with the module's name, if an import inside the block enables the GIL."""
    if is_enabled():
        yield
        return
    loader: Any = ExtensionFileLoader
    create = loader.create_module

    def create_module(self: ExtensionFileLoader, spec: ModuleSpec) -> Any:
        global is_reported
        was_enabled = is_enabled()  # also for the time of another import
        module = create(self, spec)
        if not was_enabled and is_enabled():
            is_reported = True
            _log.warning(
                "The module %s needs the GIL, which is enabled from now on: threads do not run in parallel.", spec.name
            )
        return module

    loader.create_module = create_module
    try:
        yield
    finally:
        loader.create_module = create
