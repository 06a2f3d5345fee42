"""The server under test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.server import process

FORMS = ("compiled", "interpreted")


@contextlib.contextmanager
def serve(form: str, *flags: str) -> Iterator[str]:
    """The address of a pronghorn that echoes, until the end of the block."""
    folder = Path(__file__).parent
    with process("echo:app", "--app-dir", str(folder), "--no-access-log", *flags, form=form) as server:
        yield f"ws://127.0.0.1:{server.port}"
