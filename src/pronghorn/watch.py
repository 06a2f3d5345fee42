"""Which files have changed: found by watchfiles where it is installed, else by their times."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pronghorn.config import Config

_INCLUDES = {"*.py"}
_EXCLUDES = {".*", ".py[cod]", ".sw.*", "~*"}

# Seconds between two looks at the times of files, at least: with less one core would do nothing else.
_LEAST_DELAY = 0.05

_log = logging.getLogger("pronghorn.error")


class Files:
    """The directories to watch, and which of the files in them count.

    An include or exclude is a pattern as `Path.match` takes it, or a directory. A default pattern holds unless it is
    given on the other side; a file that an include names outright counts whatever excludes it.
    """

    def __init__(self, config: Config) -> None:
        includes, excludes = _listed(config.reload_includes), _listed(config.reload_excludes)
        self._excluded = _directories(excludes)
        wanted = [*map(Path, _listed(config.reload_dirs)), *_directories(includes)]
        directories = {each.resolve() for each in wanted if each.is_dir() and not self._is_excluded(each.resolve())}
        self.directories = sorted(each for each in directories if directories.isdisjoint(each.parents)) or [Path.cwd()]
        self._includes = (_INCLUDES | set(includes)) - set(excludes)
        self._excludes = (_EXCLUDES | set(excludes)) - set(includes)

    def count(self, path: Path) -> bool:
        """Whether a change of `path` is one that counts."""
        matching = [pattern for pattern in self._includes if path.match(pattern)]
        if not matching or any(str(path).endswith(pattern) for pattern in matching):
            return bool(matching)
        return not self._is_excluded(path) and not any(path.match(pattern) for pattern in self._excludes)

    def times(self) -> dict[str, int]:
        """When each file that counts was last changed."""
        times = {}
        for directory in self.directories:
            for parent, names, files in os.walk(directory):
                names[:] = [name for name in names if not self._is_excluded(Path(parent, name))]
                for path in (Path(parent, name) for name in files):
                    with contextlib.suppress(OSError):
                        if self.count(path):
                            times[str(path)] = path.stat().st_mtime_ns
        return times

    def _is_excluded(self, path: Path) -> bool:
        return not self._excluded.isdisjoint([path, *path.parents])


class Watcher:
    """While entered, watches `files` in a thread; `changes` becomes readable when there are some."""

    def __init__(self, files: Files, delay: float) -> None:
        self.name = "WatchFiles" if find_spec("watchfiles") else "StatReload"
        self.changes: Any  # a connection, of another type on Windows
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
        self._thread.join(1)  # it may be held by changes that nobody reads any more
        self.changes.close()
        self._found.close()

    def read(self) -> list[str]:
        """The files that have changed since the last time."""
        paths: set[str] = set()
        while self.changes.poll():
            paths |= self.changes.recv()
        return sorted(paths)

    def _watch(self) -> None:
        if self.name == "WatchFiles":
            try:
                for paths in _notified(self._files, self._delay, self._stop):
                    self._found.send(paths)
                return
            except Exception as error:  # as when the system watches for too many already
                if self._stop.is_set():
                    return
                _log.warning("WatchFiles cannot watch (%s): looking at the times of the files instead.", error)
        for paths in _compared(self._files, max(self._delay, _LEAST_DELAY), self._stop):
            self._found.send(paths)


def _notified(files: Files, delay: float, stop: threading.Event) -> Iterator[set[str]]:
    import watchfiles

    changes = watchfiles.watch(
        *files.directories,
        watch_filter=lambda change, path: files.count(Path(path)),
        stop_event=stop,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    for found in changes:
        yield {path for _, path in found}
        stop.wait(delay)


def _compared(files: Files, delay: float, stop: threading.Event) -> Iterator[set[str]]:
    before = files.times()
    while not stop.wait(delay):
        now = files.times()
        changed = {path for path, _ in before.items() ^ now.items()}
        before = now
        if changed:
            yield changed


def _listed(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else [each for each in value or () if each]


def _directories(patterns: list[str]) -> set[Path]:
    """Those that are named by `patterns`, or match them in the working directory."""
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            found.add(path.resolve())
        elif pattern != ".*" and not path.is_absolute():  # which is meant for files: nobody wants .git and the like
            found.update(each.resolve() for each in Path.cwd().glob(pattern) if each.is_dir())
    return found
