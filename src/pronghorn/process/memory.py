"""The resident memory of this process, and the limit on it. All numbers are bytes."""

from __future__ import annotations

import os
import re
from mmap import PAGESIZE
from pathlib import Path, PurePosixPath

from pronghorn.errors import StartupError

_STATM = "/proc/self/statm"

_VALUE = re.compile(r"(?P<mib>\d{1,9})|(?P<share>\d{1,3})%", re.ASCII)

# A version 1 group without a limit shows the largest multiple of the page size.
_UNLIMITED = 1 << 60


def resident() -> int:
    """The resident set size of this process."""
    with open(_STATM, "rb") as file:
        return int(file.read().split()[1]) * PAGESIZE


def parse(value: str | int) -> tuple[int, bool]:
    """Parse `--limit-max-rss`: a number, and True if it is a percentage, False for MiB. Raises ValueError."""
    found = _VALUE.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(f"{value!r} is neither a number of MiB nor a percentage such as 80%")
    number = int(found["mib"] or found["share"])
    if number == 0 or (found["share"] and number > 100):
        raise ValueError(f"{value!r} is out of range")
    return number, bool(found["share"])


def limit(value: str | int, workers: int) -> int:
    """The limit for one of `workers` processes. Raises StartupError if the system cannot tell what it needs."""
    if not os.path.exists(_STATM):
        raise StartupError(f"--limit-max-rss: this system has no {_STATM}, which shows the memory of a process.")
    number, is_share = parse(value)
    if not is_share:
        return number * 2**20
    available = control_group_limit()
    if available is None:
        raise StartupError(
            f"--limit-max-rss {value}: no control group limits the memory of this process, so there is nothing to take"
            " a share of. Give a number of MiB."
        )
    return available * number // 100 // workers


def control_group_limit(
    membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """The lowest limit of this process's control group and those above it, of version 2 or 1; None if there is none."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    limits: list[int] = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            limits += _limits(mount, group, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits(mount / "memory", group, "memory.limit_in_bytes")
    return min(limits, default=None)


def _limits(mount: Path, group: str, name: str) -> list[int]:
    """The limits in the files called `name` of `group` and those above it.

    A container may show only its own group, at the top, under a path of the host: then only the last file exists.
    """
    path = PurePosixPath(group.lstrip("/"))
    found: list[int] = []
    for each in (path, *path.parents):
        try:
            text = (mount / each / name).read_text().strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < _UNLIMITED:
            found.append(int(text))
    return found
