"""`--pid-file`: holds the PID of this process while it serves."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pronghorn import signal_handlers
from pronghorn.errors import StartupError
from pronghorn.process import pids

if TYPE_CHECKING:
    from pronghorn.process.upgrade import Program

# Maximum bytes to read from a file that may be something else.
_MAX_SIZE = 64

_log = logging.getLogger("pronghorn.error")


@contextlib.contextmanager
def written(path: str | os.PathLike[str], program: Program | None = None) -> Iterator[None]:
    """Hold our PID in a file at `path` during the block, also if a signal that the server handles ends the process. The
    file names the predecessor of `program`, if it has one, until this process serves in its place.

    Raises StartupError if the file names another living process, or cannot be written.
    """
    predecessor = None if program is None else program.predecessor
    file = _PIDFile(os.path.abspath(path), predecessor)  # the application may change the working directory
    if program is None or predecessor is None:
        file.write()
    else:
        program.on_taking_over(file.write)
    try:
        with signal_handlers.before_death(file.remove):
            yield
    finally:
        file.remove()


class _PIDFile:
    def __init__(self, path: str, predecessor: int | None) -> None:
        self._path = path
        self._predecessor = predecessor
        self._pid = os.getpid()

    def write(self) -> None:
        try:
            owner = self._read()
            if owner not in (None, self._pid, self._predecessor) and pids.exists(owner):
                raise StartupError(f"--pid-file {self._path!r} names the running process {owner}. Stop it first.")
            self._replace()
        except ValueError:
            raise StartupError(f"--pid-file {self._path!r} is not a PID file: choose another path.") from None
        except OSError as error:
            raise StartupError(f"Cannot write --pid-file {self._path!r}: {error.strerror}.") from None

    def remove(self) -> None:
        """Remove the file if this process wrote it and nobody has replaced it. May be called again."""
        if os.getpid() != self._pid:  # a child that the application forked
            return
        try:
            if self._read() == self._pid:
                os.unlink(self._path)
        except ValueError:  # somebody's file now
            pass
        except OSError as error:  # with --user, the folder may still be root's
            _log.warning("Cannot remove --pid-file %r: %s. The next start replaces it.", self._path, error.strerror)

    def _read(self) -> int | None:
        """The PID in the file; None without a file, or if it is empty. Raises ValueError for anything else."""
        try:
            with open(self._path, "rb") as file:
                content = file.read(_MAX_SIZE).strip()
        except FileNotFoundError:
            return None
        if content and not content.isdigit():
            raise ValueError
        return int(content) if content else None

    def _replace(self) -> None:
        """Put a complete file in place: a reader never sees a part of it."""
        folder, name = os.path.split(self._path)
        descriptor, temporary = tempfile.mkstemp(prefix=f"{name}.", dir=folder)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(f"{self._pid}\n")
            os.chmod(temporary, 0o644)
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise
