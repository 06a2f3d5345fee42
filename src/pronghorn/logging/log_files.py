"""The files that `logging` writes to: owned by another user, or opened again once a program such as logrotate has moved
them.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from pronghorn.logging import streams
from pronghorn.logging.log import say


def give(uid: int, gid: int) -> None:
    """Make a user and group the owners of the open log files: a worker opens them as this user. Raises OSError.

    Leaves a link alone: whoever may write to the folder could point it to any file of root's.
    """
    for handler in _file_handlers():
        if sys.platform != "win32" and handler.stream is not None:
            status = os.fstat(handler.stream.fileno())
            named = os.lstat(handler.baseFilename)
            if stat.S_ISREG(named.st_mode) and named.st_nlink == 1 and os.path.samestat(status, named):
                os.fchown(handler.stream.fileno(), uid, gid)


def reopen() -> None:
    """Open each log file again that is no longer at its path. One that cannot be opened stays as it is."""
    for handler in _file_handlers():
        try:
            _reopen(handler)
        except Exception as error:
            say(logging.ERROR, "Cannot reopen the log file %r: %s", handler.baseFilename, error)
    for descriptor, path in streams.files.items():
        try:
            streams.reopen(descriptor, path)
        except OSError as error:
            say(logging.ERROR, "Cannot reopen the log file %r: %s", path, error)


def _reopen(handler: logging.FileHandler) -> None:
    handler.acquire()
    try:
        old: Any = handler.stream  # None until the first line, with `delay`
        if old is not None and streams.has_moved(handler.baseFilename, old.fileno()):
            handler.stream = handler._open()
            old.close()
    finally:
        handler.release()


def _file_handlers() -> Iterator[logging.FileHandler]:
    """The file handlers of all loggers, also those behind a MemoryHandler or a queue."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    seen: set[int] = set()
    yield from _files_among((each for logger in loggers for each in getattr(logger, "handlers", ())), seen)


def _files_among(handlers: Iterable[Any], seen: set[int]) -> Iterator[logging.FileHandler]:
    for handler in handlers:
        if id(handler) not in seen:
            seen.add(id(handler))
            if isinstance(handler, logging.FileHandler):
                yield handler
            yield from _files_among(_behind(handler), seen)


def _behind(handler: Any) -> list[Any]:
    listener = getattr(handler, "listener", None)
    return [each for each in (getattr(handler, "target", None), *getattr(listener, "handlers", ())) if each is not None]
