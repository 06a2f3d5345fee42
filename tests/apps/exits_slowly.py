"""A module without an application. Its first process exits once another one does, which takes a second."""

import atexit
import os
import time
from pathlib import Path

from saying import say

FIRST = Path(os.environ["MARKS"], "first")
SECOND = Path(os.environ["MARKS"], "second")


def clean_up():
    try:
        FIRST.touch(exist_ok=False)
    except FileExistsError:
        SECOND.touch()
        say("cleanup begins")
        time.sleep(1)
        say("cleanup ends")
    else:
        end = time.monotonic() + 30
        while not SECOND.exists() and time.monotonic() < end:
            time.sleep(0.01)


atexit.register(clean_up)
