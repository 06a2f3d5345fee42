"""Find changed files: with watchfiles if it is installed, otherwise by modification times."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

T = TypeVar("T")

_INCLUDES = {"*.py"}
_EXCLUDES = {".*", ".py[cod]", ".sw.*", "~*"}

# Minimum seconds between comparisons of modification times: with less, they would keep a core busy.
_MIN_DELAY = 0.05

_log = logging.getLogger("pronghorn.error")


class Files:
    """The watched `directories`, except those in `excluded`, and a filter for the files in them.

    An include or exclude is a pattern for `Path.match`, or a directory. A default pattern applies unless the user gives
    it as the opposite. An include that is the end of a file's path, such as its name, overrides all excludes.
    """

    def __init__(
        self,
        dirs: Sequence[str | os.PathLike[str]] | None = None,
        includes: Sequence[str] | None = None,
        excludes: Sequence[str] | None = None,
    ) -> None:
        includes, excludes = _unique(includes), _unique(excludes)
        self.includes = [each for each in includes if each not in excludes]
        self.excludes = excludes
        self.excluded = sorted(_directories(excludes))
        wanted = [*map(Path, _unique(dirs)), *_directories(includes)]
        found = {each.resolve() for each in wanted if each.is_dir() and not self._is_excluded(each.resolve())}
        self.directories = sorted(each for each in found if found.isdisjoint(each.parents)) or [Path.cwd()]
        self._includes = (_INCLUDES | set(includes)) - set(excludes)
        self._excludes = (_EXCLUDES | set(excludes)) - set(includes)

    def is_watched(self, path: Path) -> bool:
        """Return whether a change of the file `path` causes a reload."""
        matching = [pattern for pattern in self._includes if path.match(pattern)]
        if not matching or any(str(path).endswith(pattern) for pattern in matching):
            return bool(matching)
        return not self._is_excluded(path) and not any(path.match(pattern) for pattern in self._excludes)

    def modification_times(self) -> dict[str, int]:
        """The modification time of each watched file, in nanoseconds."""
        times = {}
        for directory in self.directories:
            for parent, names, files in os.walk(directory):
                names[:] = [name for name in names if not self._is_excluded(Path(parent, name))]
                for path in (Path(parent, name) for name in files):
                    with contextlib.suppress(OSError):
                        if self.is_watched(path):
                            times[str(path)] = path.stat().st_mtime_ns
        return times

    def _is_excluded(self, path: Path) -> bool:
        return not {path, *path.parents}.isdisjoint(self.excluded)


class Watcher:
    """Context manager: watches `files` in a thread. `changes` becomes readable when a file has changed."""

    def __init__(self, files: Files, delay: float) -> None:
        self.name = "WatchFiles" if find_spec("watchfiles") else "StatReload"
        self.changes: Any  # a multiprocessing connection, whose type differs on Windows
        self._files = files
        self._delay = delay
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.changes, self._found = multiprocessing.Pipe(duplex=False)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(1)  # it may block while sending changes that are no longer read
        self.changes.close()
        self._found.close()

    def read(self) -> list[str]:
        """The files that have changed since the previous call."""
        paths: set[str] = set()
        while self.changes.poll():
            paths |= self.changes.recv()
        return sorted(paths)

    def _watch(self) -> None:
        if self.name == "WatchFiles":
            try:
                for paths in _watch_notifications(self._files, self._delay, self._stop):
                    self._found.send(paths)
                return
            except Exception as error:  # for example, the system's limit on watches is reached
                if self._stop.is_set():
                    return
                _log.warning("WatchFiles cannot watch (%s): comparing modification times instead.", error)
        for paths in _compare_times(self._files, max(self._delay, _MIN_DELAY), self._stop):
            self._found.send(paths)


def _watch_notifications(files: Files, delay: float, stop: threading.Event) -> Iterator[set[str]]:
    import watchfiles

    changes = watchfiles.watch(
        *files.directories,
        watch_filter=lambda change, path: files.is_watched(Path(path)),
        stop_event=stop,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    for found in changes:
        yield {path for _, path in found}
        stop.wait(delay)


def _compare_times(files: Files, delay: float, stop: threading.Event) -> Iterator[set[str]]:
    before = files.modification_times()
    while not stop.wait(delay):
        now = files.modification_times()
        changed = {path for path, _ in before.items() ^ now.items()}
        before = now
        if changed:
            yield changed


def _unique(value: Sequence[T] | None) -> list[T]:
    """The values without duplicates. A string is one value."""
    return [cast("T", value)] if isinstance(value, str) else list(dict.fromkeys(each for each in value or () if each))


def _directories(patterns: list[str]) -> set[Path]:
    """The directories that `patterns` name, or match in the working directory."""
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            found.add(path.resolve())
        elif pattern != ".*" and not path.is_absolute():  # `.*` means files, not directories such as .git
            found.update(each.resolve() for each in Path.cwd().glob(pattern) if each.is_dir())
    return found
