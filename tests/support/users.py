"""Servers that change to an ordinary user, which must be able to read Python and the tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Shows a folder again below a parent that is closed to ordinary users, in mounts of this process alone.
_OPEN = """
mount --bind "$1/$2" /mnt && mount -t tmpfs -o mode=755 tmpfs "$1" && mkdir "$1/$2" && mount --move /mnt "$1/$2"
shift 2
exec "$@"
"""


def prefix() -> list[str]:
    """A command that runs a server whose Python everybody may read; empty if everybody may read it anyway."""
    python = Path(sys.executable).resolve()
    for folder in list(python.parents)[::-1]:
        if not folder.stat().st_mode & 0o001:
            child = python.relative_to(folder).parts[0]
            return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _OPEN, "sh", str(folder), child]
    return []


def can_change() -> bool:
    """Return whether a server may change its user here."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return False
    try:
        program = [*prefix(), "setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", "import pronghorn"]
        return subprocess.run(program, capture_output=True, timeout=60).returncode == 0
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder in which everybody may create files: those of pytest are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)
