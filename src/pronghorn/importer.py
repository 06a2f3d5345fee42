"""uvicorn's function for import strings."""

from __future__ import annotations

from typing import Any

from pronghorn.application import loader
from pronghorn.errors import StartupError as ImportFromStringError


def import_from_string(import_str: Any) -> Any:
    """Import the object that a string names; anything else is returned unchanged. Raises ImportFromStringError."""
    return loader.resolve_name(import_str, {})


__all__ = ["ImportFromStringError", "import_from_string"]
