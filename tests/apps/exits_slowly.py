"""A module without an application. Its first process exits once another one does, which takes a second."""

import atexit
import os
import sys
import time
from pathlib import Path

FIRST = Path(os.environ["MARKS"], "first")
SECOND = Path(os.environ["MARKS"], "second")


def clean_up():
    try:
        FIRST.touch(exist_ok=False)
    except FileExistsError:
        SECOND.touch()
        print("cleanup begins", file=sys.stderr, flush=True)
        time.sleep(1)
        print("cleanup ends", file=sys.stderr, flush=True)
    else:
        end = time.monotonic() + 30
        while not SECOND.exists() and time.monotonic() < end:
            time.sleep(0.01)


atexit.register(clean_up)
