"""Second names for our loggers: uvicorn's, for code and configurations that know only those.

`uvicorn.access` and `pronghorn.access` stay two objects, since others may already hold either, but they share all state
(handlers, filters, level, propagation, parent). Only `disabled` is kept by name: a configuration that disables every
logger it does not mention has mentioned ours if it mentions either.

Not covered: records carry our names, so code that compares `record.name` with `uvicorn.access` finds no match.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

NAMES = {f"uvicorn{suffix}": f"pronghorn{suffix}" for suffix in ("", ".error", ".access", ".asgi")}
"""Our name for each of uvicorn's."""


def join_loggers() -> None:
    """Make uvicorn's loggers and ours the same. Both keep what was set on either before."""
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
        # By name: the value, and whether it was set for this logger, not for all that a configuration does not mention.
        by_name = self.__dict__.setdefault("_disabled_by_name", {})
        by_name[id(self)] = value, sys._getframe(1).f_code.co_name != "_handle_existing_loggers"
        explicit = [value for value, is_explicit in by_name.values() if is_explicit]
        self.__dict__["_is_disabled"] = any(explicit or [value for value, _ in by_name.values()])

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
        # A user's own class stays a base class.
        logger.__class__ = type(type(logger).__name__, (_Shared, type(logger)), {})
        logger.disabled = value
