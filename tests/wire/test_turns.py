"""Turns: their order, how much is done in one iteration, and errors."""

from __future__ import annotations

from typing import Any

import pytest

MIB = 1 << 20


class Member:
    """One that takes `turns` of `size` bytes each."""

    def __init__(
        self, turns: Any, name: str, log: list[str], size: int = 0, count: int = 1, has_begun: bool = False
    ) -> None:
        self.turns = turns
        self.name = name
        self.log = log
        self.size = size
        self.count = count
        self.has_begun = has_begun

    def take_turn(self) -> int:
        self.log.append(self.name)
        self.count -= 1
        if self.count:
            self.turns.ask(self, self.has_begun)
        return self.size

    def crash(self, error: Exception) -> None:
        self.log.append(f"{self.name}: {error}")


class Failing(Member):
    def take_turn(self) -> int:
        raise ValueError("failed")


class Queue:
    """Turns with a loop that is run by hand."""

    def __init__(self, wire: Any) -> None:
        self.soon: list[Any] = []
        self.turns = wire.turns.Turns(self.soon.append)
        self.log: list[str] = []

    def add(self, name: str, kind: type[Member] = Member, **options: int) -> None:
        self.turns.ask(kind(self.turns, name, self.log, **options), False)

    def iteration(self) -> str:
        """The turns that were taken."""
        soon = self.soon.copy()
        self.soon.clear()
        self.log.clear()
        for callback in soon:
            callback()
        return " ".join(self.log)


@pytest.fixture
def queue(wire: Any) -> Queue:
    return Queue(wire)


def test_turns_are_taken_in_order(queue: Queue) -> None:
    for name in "abc":
        queue.add(name)
    assert [queue.iteration(), queue.iteration()] == ["a b c", ""]


def test_iteration_ends_after_much_work(queue: Queue) -> None:
    for name in "abcd":
        queue.add(name, size=MIB // 2)
    assert [queue.iteration(), queue.iteration(), queue.iteration()] == ["a b", "c d", ""]


def test_one_that_asks_again_is_behind_the_others(queue: Queue) -> None:
    queue.add("a", size=MIB, count=3)
    queue.add("b", size=MIB, count=2)
    assert [queue.iteration() for _ in range(6)] == ["a", "b", "a", "b", "a", ""]


def test_one_that_has_begun_is_before_the_others(queue: Queue) -> None:
    queue.add("a", size=MIB, count=3, has_begun=True)
    queue.add("b", size=MIB)
    assert [queue.iteration() for _ in range(5)] == ["a", "a", "a", "b", ""]


def test_queue_is_busy_while_somebody_waits(queue: Queue) -> None:
    assert not queue.turns.is_busy()
    queue.add("a", size=MIB)
    assert queue.turns.is_busy()
    queue.iteration()
    assert not queue.turns.is_busy()


def test_error_does_not_reach_the_others(queue: Queue) -> None:
    queue.add("a", Failing)
    queue.add("b")
    assert queue.iteration() == "a: failed b"


def test_queue_that_was_empty_goes_on(queue: Queue) -> None:
    queue.add("a")
    queue.iteration()
    queue.add("b")
    assert queue.iteration() == "b"
