"""Readings of one input by both forms, whole and in pieces, that must be alike."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tests.support.forms import load_form
from tests.support.splits import split_at

if TYPE_CHECKING:
    from collections.abc import Callable

# The first bytes of an input say where it is cut.
CUTS = 3


@functools.cache
def forms() -> list[Any]:
    """Both forms of the hot path, the interpreted one first."""
    return [load_form("interpreted"), load_form("compiled")]


def with_cuts(data: bytes) -> tuple[bytes, list[bytes]]:
    """The content of an input, whole and in pieces."""
    content = data[CUTS:]
    return content, split_at(content, [cut * len(content) // 256 for cut in data[:CUTS]])


def alike(*results: Any) -> Any:
    """Return the result that all have. Raises AssertionError at a difference."""
    for result in results[1:]:
        assert result == results[0], (results[0], result)
    return results[0]


def attempt(error: type[Exception], step: Callable[..., Any], *arguments: Any) -> Any:
    """The result of `step`, or the name and the attributes of an `error` that it raises."""
    try:
        return step(*arguments)
    except error as raised:
        return type(raised).__name__, vars(raised) or str(raised)
