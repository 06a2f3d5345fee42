"""The keyboard while the screen is drawn."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

if sys.platform != "win32":
    import termios


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """Neither show the keys that are pressed, which would stay on the screen, nor pass them to the next program."""
    if sys.platform != "win32" and sys.stdin is not None and sys.stdin.isatty():
        terminal = sys.stdin.fileno()
        original = termios.tcgetattr(terminal)
        silent = original.copy()
        silent[3] &= ~termios.ECHO  # the local modes
        try:
            termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
            yield
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, original)
    else:
        yield
