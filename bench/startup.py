"""Time from the start of the process to its first answer."""

from __future__ import annotations

import time

from pronghorn.bench.outcome import Column, Headline, Outcome, at_most, middle
from pronghorn.bench.process import ServerFailed
from pronghorn.bench.session import Session

from .rest import REQUEST, read_answer
from .scenarios import PEERS

SERVERS = ("pronghorn", *PEERS, "floor")
ESSENTIAL = ("pronghorn", "uvicorn", "floor")
ROUNDS, QUICK_ROUNDS = 7, 3
POLL_SECONDS = 0.0005
EACH_SECONDS = 0.7


def whole_milliseconds(value: float) -> str:
    """Seconds, formatted as milliseconds."""
    return f"{value * 1000:.0f} ms"


def measure(session: Session) -> Outcome:
    """Start every server in turn, several times over; the first time fills the caches and does not count."""
    columns = (
        Column("median", "median", whole_milliseconds),
        Column("fastest", "fastest", whole_milliseconds),
        Column("slowest", "slowest", whole_milliseconds),
    )
    title = "Time from exec to the first answer, plain application"
    headline = Headline(title, "median", whole_milliseconds, least_is_best=True)
    outcome = Outcome("startup", title, columns, headlines=[headline])
    taken: dict[str, list[float]] = {name: [] for name in session.choose(SERVERS, ESSENTIAL)}
    for _ in range(1 + (QUICK_ROUNDS if session.quick else ROUNDS)):
        for name in list(taken):
            try:
                taken[name].append(first_answer(session, name))
            except ServerFailed as error:
                outcome.notes.append(session.say_failed(error))
                del taken[name]
    for name, times in taken.items():
        counted = times[1:]
        outcome.rows[name] = {"median": middle(counted), "fastest": min(counted), "slowest": max(counted)}
    session.say("  " + ", ".join(f"{name} {whole_milliseconds(row['median'])}" for name, row in outcome.rows.items()))
    ours, theirs = (outcome.rows.get(name, {}).get("median") for name in ("pronghorn", "uvicorn"))
    outcome.verdicts.append(at_most("uvicorn", theirs, ours, whole_milliseconds))
    return outcome


def seconds(session: Session) -> float:
    """The approximate time that `measure` takes."""
    rounds = 1 + (QUICK_ROUNDS if session.quick else ROUNDS)
    return len(session.choose(SERVERS, ESSENTIAL)) * rounds * EACH_SECONDS


def first_answer(session: Session, name: str) -> float:
    """Seconds from fork and exec to the last byte of the first answer."""
    start = time.perf_counter()
    with session.running(name, "bench.apps:plain") as process, process.connect(POLL_SECONDS) as connection:
        connection.sendall(REQUEST)
        read_answer(process, connection)
        return time.perf_counter() - start
