"""The standard streams: opened if the process was started without some of them, and opened again once a program such as
logrotate has moved the file that a shell sent them to.
"""

from __future__ import annotations

import os
import stat
import sys

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}

files: dict[int, str] = {}
"""The path of the file that standard output or error goes to, by its descriptor."""


def open_missing() -> None:
    """Open each closed descriptor from 0 to 2 on the null device. Otherwise a socket could get that number, and receive
    the output of a standard stream.
    """
    for number, (name, mode) in enumerate(_MODES.items()):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open until the process ends


def remember_files() -> None:
    """Fill `files`, before a file is moved: then its descriptor has the new name. Linux only."""
    for number in (1, 2):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
            if stat.S_ISREG(os.fstat(number).st_mode) and not has_moved(path, number):
                files[number] = path
        except OSError:
            pass


def reopen(number: int, path: str) -> None:
    """Send a standard stream to `path`, if that is another file by now. Raises OSError."""
    if has_moved(path, number):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(opened, number)
        os.close(opened)


def has_moved(path: str, descriptor: int) -> bool:
    """Return whether `path` is not the file that `descriptor` is."""
    try:
        return not os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return True
