"""`--pid-file`: holds the PID of this process while it serves."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
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
def written(path: str | os.PathLike[str], program: Program | None = None) -> Iterator[PIDFile]:
    """Hold our PID in a file at `path` during the block, also if a signal that the server handles ends the process. The
    file names the predecessor of `program`, if it has one, until this process serves in its place.

    Raises StartupError if the file names another living process, or cannot be written.
    """
    predecessor = None if program is None else program.predecessor
    file = PIDFile(os.path.abspath(path), predecessor)  # the application may change the working directory
    if program is None or predecessor is None:
        file.write()
    else:
        program.on_taking_over(file.write)
    try:
        with signal_handlers.before_death(file.remove):
            yield file
    finally:
        file.remove()


class PIDFile:
    """The file at `path` of this process, which takes it over from `predecessor`."""

    def __init__(self, path: str, predecessor: int | None) -> None:
        self._path = path
        self._predecessor = predecessor
        self._pid = os.getpid()
        self._status: os.stat_result | None = None

    def write(self) -> None:
        try:
            owner = self._read()
            if owner not in (None, self._pid, self._predecessor) and pids.exists(owner):
                raise StartupError(f"--pid-file {self._path!r} names the running process {owner}. Stop it first.")
            try:
                self._replace()
            except PermissionError:  # with --user, the folder may be root's
                self._overwrite(b"%d\n" % self._pid)
        except ValueError:
            raise StartupError(f"--pid-file {self._path!r} is not a PID file: choose another path.") from None
        except OSError as error:
            raise StartupError(f"Cannot write --pid-file {self._path!r}: {error.strerror}.") from None

    def give(self, uid: int, gid: int) -> None:
        """Make a user and group the owners of the file: the next program writes to it as this user. Raises OSError."""
        if sys.platform != "win32" and self._status is not None:
            # A user who may write to the folder could put another file of root's at the path.
            try:
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
            except OSError:
                return
            try:
                if os.path.samestat(os.fstat(descriptor), self._status):
                    os.fchown(descriptor, uid, gid)
            finally:
                os.close(descriptor)

    def remove(self) -> None:
        """Remove the file if this process wrote it and nobody has replaced it. May be called again."""
        if os.getpid() != self._pid:  # a child that the application forked
            return
        try:
            if self._read() == self._pid:
                try:
                    os.unlink(self._path)
                except PermissionError:
                    with contextlib.suppress(OSError):
                        self._overwrite(b"")  # the number may become another process's
                    raise
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
                self._status = os.fstat(descriptor)
            os.chmod(temporary, 0o644)
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise

    def _overwrite(self, content: bytes) -> None:
        """Write into the file, in one step: a reader sees one of the two PIDs."""
        descriptor = os.open(self._path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            os.write(descriptor, content.ljust(os.fstat(descriptor).st_size, b"\n"))
            os.truncate(descriptor, len(content))
        finally:
            os.close(descriptor)
