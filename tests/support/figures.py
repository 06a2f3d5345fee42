"""Invented results of a benchmark comparison, and its settings and console."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronghorn.bench.result import Result
from pronghorn.bench.session import Session

if TYPE_CHECKING:
    from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


def session(directory: Path = Path(), *, missing: Iterable[str] = (), **settings: Any) -> Session:
    """A session that pins no process to a core."""
    return Session(sys.executable, ROOT, directory, missing=dict.fromkeys(missing, "module"), **settings)


def printed(show: Callable[[Console], object], **settings: Any) -> str:
    """The output of `show` on a console 80 characters wide."""
    from rich.console import Console

    written = io.StringIO()
    show(Console(file=written, width=80, **settings))
    return written.getvalue()


def row(**figures: Any) -> dict[str, Any]:
    """The row of a server that used its core fully."""
    usual = {
        "per_second": 50_000.0,
        "range": (49_000.0, 51_000.0),
        "cpu_us": 20.0,
        "busy": 1.0,
        "load_busy": 0.5,
        "others": 0.0,
        "p50_us": 900,
        "p99_us": 2_000,
        "ratio": 2.0,
        "cpu_ratio": 2.5,
        "void": [],
        "rss": 32 * 2**20,
        "limited": False,
    }
    return usual | figures


def result(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "date": "2026-11-22 15:00",
        "command": "pronghorn bench main:app",
        "app": "main:app",
        "request": "GET /<b>",
        "connections": 64,
        "rounds": 5,
        "seconds": 3,
        "load": "wrk 4.2",
        "cores": "nothing is pinned to a core",
        "machine": {"processor": "some"},
        "versions": {"python": "3"},
        "commands": {"pronghorn": "python -m pronghorn", "uvicorn": "python -m uvicorn"},
        "answers": {"pronghorn": "200 with 5 bytes", "uvicorn": "200 with 5 bytes"},
        "rows": {"pronghorn": row(per_second=100_000.0, ratio=None, cpu_ratio=None), "uvicorn": row()},
        "left_out": {"granian": "granian exited with status 1\n<traceback>"},
        "notes": ["Mind & the gap."],
    }
    return Result(**fields | changes)
