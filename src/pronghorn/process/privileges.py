"""`--user`, `--group` and `--umask`: the user that serves, once root has bound the sockets."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pronghorn.errors import StartupError
from pronghorn.process import modes

# The system reserves 2**32 - 1.
_MAX_ID = 2**32 - 2


class Options(Protocol):
    """The parameters of a configuration that say as whom to run."""

    user: str | None
    group: str | None
    umask: int | str | None


class Identity(NamedTuple):
    """A user and a group. `name` is the user's, None for a number that no user has."""

    uid: int
    gid: int
    name: str | None


def identify(options: Options) -> Identity | None:
    """Look up the user and group of `options`; None if neither is given. Without a group, it is the user's own.

    Raises StartupError.
    """
    if options.user is None and options.group is None:
        return None
    if sys.platform != "win32":
        user = _user(str(os.getuid()) if options.user is None else options.user)
        gid = user.gid if options.group is None else _gid(options.group)
        if gid == _UNKNOWN:
            raise StartupError(f"--user {options.user} is no user of this system, so it has no group: give --group.")
        return user._replace(gid=gid)
    raise StartupError("--user and --group are not available on Windows.")


def drop(options: Options, identity: Identity | None, give: Callable[[int, int], None]) -> None:
    """Apply the umask, and become `identity` for good, with its supplementary groups.

    First, `give` must hand our files to its user and group. Raises StartupError.
    """
    if options.umask is not None:
        os.umask(modes.parse(options.umask))
    if sys.platform != "win32" and identity is not None and not _is_current(identity):
        try:
            give(identity.uid, identity.gid)
            if identity.name is None:
                os.setgroups([identity.gid])
            else:
                os.initgroups(identity.name, identity.gid)
            os.setgid(identity.gid)
            os.setuid(identity.uid)  # last: an ordinary user may not change groups
        except PermissionError:
            raise StartupError(
                "--user and --group need root: start the server as root, or as that user without these flags."
            ) from None
        except OSError as error:
            raise StartupError(f"Cannot change to --user and --group: {error.strerror}.") from None
        for path in (sys.executable, os.__file__, __file__):  # otherwise the next import fails
            if not os.access(path, os.R_OK):
                raise StartupError(f"--user and --group may not read {path}, which the server needs.")


# Stands for the group of a number that no user has. No group has this number.
_UNKNOWN = -1

if sys.platform != "win32":
    import grp
    import pwd

    def _is_current(identity: Identity) -> bool:
        """Return whether an ordinary user runs this process, and is this one."""
        return (identity.uid, identity.gid) == (os.getuid(), os.getgid()) and identity.uid != 0

    def _user(text: str) -> Identity:
        number = _number(text)
        try:
            entry = pwd.getpwnam(text) if number is None else pwd.getpwuid(number)
        except KeyError:
            if number is None:
                raise StartupError(f"--user {text!r} does not exist on this system.") from None
            return Identity(number, _UNKNOWN, None)
        return Identity(entry.pw_uid, entry.pw_gid, entry.pw_name)

    def _gid(text: str) -> int:
        number = _number(text)
        try:
            return grp.getgrnam(text).gr_gid if number is None else number
        except KeyError:
            raise StartupError(f"--group {text!r} does not exist on this system.") from None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and int(text) <= _MAX_ID else None
