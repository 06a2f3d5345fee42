"""The time between the end of the server and the end of its process: the interpreter would wait forever for threads and
child processes of the application.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import threading
import time

from pronghorn.logging import outlet

# Seconds for atexit functions, threads and child processes.
_TIMEOUT = 5

_log = logging.getLogger("pronghorn.error")


def limit() -> None:
    """End this process soon, from a thread."""
    threading.Thread(target=_exit, daemon=True).start()


@functools.cache
def limit_at_exit() -> None:
    """End this process soon after its interpreter has begun to exit. May be called again."""
    # Functions of `atexit` only run once all threads have ended, but a pool of threads ends its own in this way.
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        register(limit)


def _exit() -> None:
    time.sleep(_TIMEOUT)
    _log.warning("Exiting although threads or child processes of the application are still running.")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    outlet.flush()
    os._exit(1)
