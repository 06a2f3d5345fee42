"""The records of an honest client: its answers, their durations, and the failures."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.storm.content import content
from tests.storm.link import Answer, Place

# A kind of client stops after this many failures.
MOST_FAILURES = 20


class Failed(Exception):
    """A recorded failure. The client starts again."""


class Witness:
    """The record of one kind of honest client, until `end` (a `time.monotonic` time). `patience` limits an exchange;
    between two sessions a client rests for `rest` seconds on average.
    """

    def __init__(self, kind: str, end: float, patience: float, rest: float) -> None:
        self.kind = kind
        self.patience = patience
        self.rest = rest
        self.end = end
        self.answers = 0
        self.slowest = 0.0
        self.failures: list[str] = []
        self._name = re.sub(r"\W+", "-", kind)
        self._tokens = 0

    def is_over(self) -> bool:
        return time.monotonic() > self.end or len(self.failures) >= MOST_FAILURES

    def token(self) -> str:
        """Return a token that no other request has."""
        self._tokens += 1
        return f"{self._name}-{self._tokens}"

    @contextlib.asynccontextmanager
    async def exchange(self, what: str) -> AsyncIterator[None]:
        """Run an exchange with a time limit. Record an error and raise `Failed`."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.patience):
                yield
        except Exception as error:
            self.note(f"{what}: {error!r} after {time.monotonic() - began:.1f} s")
            raise Failed from error
        self.answers += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    def note(self, failure: str) -> None:
        self.failures.append(failure[:500])

    def told(self) -> dict[str, object]:
        return {"answers": self.answers, "slowest": round(self.slowest, 2), "failures": self.failures}


Session = Callable[[Place, Witness, random.Random], Awaitable[None]]


async def attend(session: Session, place: Place, witness: Witness, rng: random.Random) -> None:
    """Run one session after the other until the time is over."""
    while not witness.is_over():
        try:
            await session(place, witness, rng)
        except Failed:
            await asyncio.sleep(rng.uniform(0, 0.5))
        except Exception as error:  # outside of an exchange: connecting, closing
            witness.note(f"a session ended: {error!r}")
        await asyncio.sleep(rng.uniform(0, 2 * witness.rest))


def check(answer: Answer, token: str, body: bytes, status: int = 200) -> None:
    """Fail unless `answer` is exactly the response to the request with this token."""
    check_parts(answer.status, answer.fields.get("x-token"), answer.body, token, body, status)


def check_content(answer: Answer, token: str, size: int, status: int = 200) -> None:
    check(answer, token, content(token, size), status)


def check_parts(status: int, marked: str | None, body: bytes, token: str, expected: bytes, wanted: int = 200) -> None:
    if (status, marked) != (wanted, token):
        raise AssertionError(f"{status} with the token {marked}, not {wanted} with {token}: {body[:80]!r}")
    if body != expected:
        raise AssertionError(f"{len(body)} bytes of body that differ from the {len(expected)} expected")
