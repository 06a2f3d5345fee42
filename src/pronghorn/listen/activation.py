"""Sockets that a service manager passes to this process (sd_listen_fds(3)): numbered from 3, and named."""

from __future__ import annotations

import os

from pronghorn.errors import StartupError

_FIRST = 3


def descriptors(name: str) -> list[int]:
    """The descriptors of the sockets that are called `name`; several may be. Raises StartupError without any."""
    given = _named()
    if found := [number for number, each in given.items() if each == name]:
        return found
    known = ", ".join(f"fd://{each}" for each in dict.fromkeys(given.values()) if each)
    raise StartupError(f"systemd passes no socket called {name!r}. It passes {known or 'none that has a name'}.")


def _named() -> dict[int, str]:
    """The name of each descriptor; empty if it has none. Raises StartupError."""
    count, pid = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "")
    if not count.isdecimal() or not pid.isdecimal():
        raise StartupError("fd://NAME needs socket activation, but LISTEN_FDS and LISTEN_PID are not set.")
    if int(pid) != os.getpid():
        raise StartupError(
            f"The sockets in LISTEN_FDS are for process {pid}, not for this one, {os.getpid()}. A command before the "
            "server must replace itself with exec; otherwise use fd://NUMBER."
        )
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    numbers = range(_FIRST, _FIRST + int(count))
    return {number: names[index] if index < len(names) else "" for index, number in enumerate(numbers)}
