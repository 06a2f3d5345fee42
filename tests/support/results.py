"""Tables of results in Markdown files, with the date, the versions and the command that they come from."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

import pronghorn


def provenance(command: str, form: str) -> str:
    """The lines above a table. `command` is for a shell in the project's folder."""
    facts = (
        datetime.date.today(),
        f"pronghorn {pronghorn.__version__}",
        form,
        f"CPython {platform.python_version()}",
        f"{platform.system()} {platform.machine()}",
        f"{os.cpu_count()} cores",
    )
    return f"{', '.join(map(str, facts))}:\n\n    {command}\n"


def append(path: Path, text: str) -> None:
    """Add `text` to a file, which may not exist yet."""
    with path.open("a") as file:
        file.write(text)
