"""File modes, as an operator writes them: in octal."""

from __future__ import annotations

import re

_OCTAL = re.compile(r"(?:0o)?[0-7]{1,4}", re.ASCII)


def parse(mode: int | str) -> int:
    """Parse an octal mode such as "660"; a number stays as it is. Raises ValueError."""
    if isinstance(mode, str):
        if not _OCTAL.fullmatch(mode):
            raise ValueError(f"{mode!r} is not an octal mode, such as 660")
        mode = int(mode, 8)
    if not 0 <= mode <= 0o777:
        raise ValueError(f"{mode:o} is not a mode between 0 and 777")
    return mode
