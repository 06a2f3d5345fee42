"""uvicorn's loggers as second names of ours, so that code and configurations which know only those work on ours.

`uvicorn.access` and `pronghorn.access` stay two objects, since others may already hold either, but all that a logger is
(handlers, filters, level, propagation, parent) they share. Only whether it is disabled is known by name: a
configuration that disables every logger which it does not name has named ours if it names either.

Not covered: records bear our names, so code that compares `record.name` with `uvicorn.access` does not find it.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

NAMES = {f"uvicorn{suffix}": f"pronghorn{suffix}" for suffix in ("", ".error", ".access", ".asgi")}
"""Our name for each of uvicorn's."""


def join_loggers() -> None:
    """Make uvicorn's loggers and ours the same. What was done to either before, both have."""
    for theirs, ours in NAMES.items():
        _join(logging.getLogger(ours), logging.getLogger(theirs))


class _Shared(logging.Logger):
    """One of two loggers with the same `__dict__`."""

    @property
    def disabled(self) -> bool:
        state: bool = self.__dict__["_is_disabled"]
        return state

    @disabled.setter
    def disabled(self, value: bool) -> None:
        # By name: the value, and whether somebody meant this logger rather than all that a configuration leaves out.
        said = self.__dict__.setdefault("_disabled_by_name", {})
        said[id(self)] = value, sys._getframe(1).f_code.co_name != "_handle_existing_loggers"
        meant = [value for value, is_meant in said.values() if is_meant]
        self.__dict__["_is_disabled"] = any(meant or [value for value, _ in said.values()])

    def __reduce__(self) -> Any:
        return logging.getLogger, (self.name,)


def _join(ours: logging.Logger, theirs: logging.Logger) -> None:
    if theirs.__dict__ is ours.__dict__:
        return
    ours.handlers += [each for each in theirs.handlers if each not in ours.handlers]
    ours.filters += [each for each in theirs.filters if each not in ours.filters]
    ours.propagate = ours.propagate and theirs.propagate
    ours.setLevel(ours.level or theirs.level)
    disabled = [each.__dict__.pop("disabled") for each in (ours, theirs)]
    theirs.__dict__ = ours.__dict__
    for logger, value in zip((ours, theirs), disabled, strict=True):
        # A class of the user's own stays what it is.
        logger.__class__ = type(type(logger).__name__, (_Shared, type(logger)), {})
        logger.disabled = value
