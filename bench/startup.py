"""Time from the start of the process to its first answer."""

from __future__ import annotations

import time

from pronghorn.bench.outcome import Row
from pronghorn.bench.session import Session

from .memory import REQUEST, read_answer
from .samples import Samples
from .scenarios import COMPETITORS

POLL_SECONDS = 0.0005


def whole_milliseconds(seconds: float) -> str:
    """Seconds, formatted as milliseconds."""
    return f"{seconds * 1000:.0f} ms"


def first_answer(session: Session, name: str) -> Row:
    """Seconds from fork and exec to the last byte of the first answer."""
    start = time.perf_counter()
    with session.running(name, "bench.apps:plain") as process, process.connect(POLL_SECONDS) as connection:
        connection.sendall(REQUEST)
        read_answer(process, connection)
        return dict.fromkeys(("median", "fastest", "slowest"), time.perf_counter() - start)


STARTUP = Samples(
    "startup",
    "Time from exec to the first answer, plain application",
    {"median": "median", "fastest": "fastest", "slowest": "slowest"},
    whole_milliseconds,
    ("pronghorn", *COMPETITORS, "floor"),
    first_answer,
    {"median": "Time from exec to the first answer, plain application"},
    starts=7,
    quick_starts=3,
    seconds_each=0.7,
    discarded=1,  # fills the caches
    aggregates={"fastest": min, "slowest": max},
)
