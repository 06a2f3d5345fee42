"""The shares of workers: whose turn it is to accept, and a worker that does not accept in its turn."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import get_context

import pytest

from pronghorn.listen import balance
from pronghorn.listen.balance import Memory, Share, Table

OTHER = 1


@pytest.fixture
def table() -> Table:
    return Table(balance.allocate(3))


@pytest.fixture
def share(table: Table) -> Callable[[int], Share]:
    """A function that returns the share of this process with a number of connections, beside a worker with none."""

    def share(count: int) -> Share:
        for pid in (os.getpid(), OTHER):
            table.add(pid)
        show(table, OTHER, 0)
        made = Share(table, range(count))
        made.join([])
        return made

    return share


def show(table: Table, pid: int, count: int) -> None:
    row = table.row_of(pid)
    assert row is not None
    table.write(row, count)


def waits(share: Share) -> int:
    """The number of times that the share asks to wait before it allows a connection."""
    count = 0
    while not share.allowance():
        count += 1
    return count


def test_worker_without_others_accepts_all(table: Table) -> None:
    table.add(os.getpid())
    share = Share(table, range(1000))
    share.join([])
    assert share.allowance() > 0
    assert table.least() == 1000


def test_worker_that_is_not_in_the_table_does_not_wait(table: Table) -> None:
    table.add(OTHER)
    show(table, OTHER, 0)
    assert Share(table, range(1000)).allowance() >= 1000


def test_worker_that_does_not_accept_yet_is_not_waited_for(share: Callable[[int], Share], table: Table) -> None:
    mine = share(1000)
    table.remove(OTHER)
    table.add(OTHER)
    assert mine.allowance() > 0


def test_worker_that_has_ended_is_not_waited_for(share: Callable[[int], Share], table: Table) -> None:
    mine = share(1000)
    assert not mine.allowance()
    table.remove(OTHER)
    assert mine.allowance() > 0


def test_connections_in_progress_count(share: Callable[[int], Share], table: Table) -> None:
    mine = share(0)
    show(table, OTHER, 1000)
    mine.join(range(7))
    assert table.least() == 7


def test_worker_accepts_a_few_more_than_another(share: Callable[[int], Share]) -> None:
    assert share(0).allowance() == 5
    assert share(4).allowance() == 1
    assert share(5).allowance() == 0


def test_lead_grows_with_the_number_of_connections(share: Callable[[int], Share], table: Table) -> None:
    mine = share(800)
    show(table, OTHER, 700)
    assert not mine.allowance()
    show(table, OTHER, 750)
    assert mine.allowance() > 0


def test_worker_does_not_wait_forever_for_a_blocked_one(share: Callable[[int], Share]) -> None:
    mine = share(64)
    assert waits(mine) == 20
    assert [mine.allowance() for _ in range(4)] == [0, 3, 0, 3]


def test_worker_that_accepts_again_is_waited_for_again(share: Callable[[int], Share], table: Table) -> None:
    mine = share(64)
    waits(mine)
    show(table, OTHER, 1)
    assert waits(mine) == 20


def test_share_that_has_left_accepts_all_and_holds_nobody_up(share: Callable[[int], Share], table: Table) -> None:
    mine = share(1000)
    mine.leave()
    mine.update()
    assert mine.allowance() >= 1000
    show(table, OTHER, 5000)
    assert table.least() == 5000


def test_full_table_leaves_out_a_worker(table: Table) -> None:
    for pid in range(1, 5):
        table.add(pid)
    assert [table.row_of(pid) for pid in range(1, 5)] == [0, 1, 2, None]
    table.remove(4)
    table.remove(2)
    table.add(4)
    assert table.row_of(4) == 1


def _write(memory: Memory) -> None:
    table = Table(memory)
    table.add(os.getpid())
    show(table, os.getpid(), 7)


def test_table_is_shared_with_a_spawned_process() -> None:
    memory = balance.allocate(1)
    process = get_context("spawn").Process(target=_write, args=(memory,))
    process.start()
    process.join(60)
    assert Table(memory).least() == 7
