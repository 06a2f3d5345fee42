"""An event loop of asyncio in virtual time: it never waits, and its pauses end at the next timer or network event."""

from __future__ import annotations

import asyncio
import itertools
import random
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tests.simulation.network import Network

# Of any origin, and not a whole second: the server's clock ticks in whole ones.
EPOCH = 1_000_000.25

# Seconds that one iteration takes at most, so that the network acts between the iterations of a busy loop.
ITERATION = 0.0002


# Virtual seconds that a life may take.
LONGEST = 1000.0


class Stuck(Exception):
    """The loop waits for ever: there is neither a timer nor anything on the network, or nothing comes of it."""


class Clock:
    """Virtual seconds."""

    def __init__(self) -> None:
        self.now = EPOCH

    def read(self) -> float:
        return self.now

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace the clocks that Python code reads."""
        with mock.patch.object(time, "monotonic", self.read), mock.patch.object(time, "time", self.read):
            yield


class Selector(selectors.EpollSelector):
    """Reports sockets that are ready, in random order. Instead of waiting, it moves the clock."""

    def __init__(self, clock: Clock, network: Network, rng: random.Random) -> None:
        super().__init__()
        self._clock = clock
        self._network = network
        self._rng = rng
        self._registered: dict[int, int] = {}
        self._numbers = itertools.count()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._registered[key.fd] = next(self._numbers)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        clock = self._clock
        clock.now += self._rng.random() * ITERATION
        self._network.run_until(clock.now)
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            end = float("inf") if timeout is None else clock.now + timeout
            while not ready and clock.now < end:
                self._network.notice_output()
                due = min(end, self._network.next_event())
                if due > EPOCH + LONGEST:
                    raise Stuck
                clock.now = max(clock.now, due)
                self._network.run_until(clock.now)
                ready = super().select(0)
        if len(ready) > 1:
            # Neither the numbers of descriptors nor the system's order belong to the seed.
            ready.sort(key=lambda each: self._registered[each[0].fd])
            self._rng.shuffle(ready)
        return ready


class Task(asyncio.Task[Any]):
    """A task whose hash does not depend on its address: the server keeps tasks in a set."""

    def __init__(self, coroutine: Any, *, loop: Loop, **options: Any) -> None:
        self._number = next(loop.numbers)
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


class Loop(asyncio.SelectorEventLoop):
    """`numbers` are those of its tasks."""

    def __init__(self, clock: Clock, network: Network, rng: random.Random) -> None:
        self._clock = clock
        self.numbers = itertools.count(1)
        super().__init__(Selector(clock, network, rng))

    def time(self) -> float:
        return self._clock.now

    def create_task(self, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        return Task(coroutine, loop=self, **options)

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        """The timers that would still fire."""
        return [timer for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    def watched(self) -> int:
        """The number of descriptors that the loop watches, without its own."""
        return len(self._selector.get_map()) - 1  # type: ignore[attr-defined]
