"""The pages of a server's processes, summed up."""

import multiprocessing

import pytest

from pronghorn.metrics import layout, page
from pronghorn.metrics.page import Pages


@pytest.fixture
def pages():
    """The pages of two processes, 1 and 2, each with a request that has ended and one in progress."""
    pages = Pages()
    for pid in (1, 2):
        made = page.allocate()
        made[layout.REQUESTS] = made[layout.ACTIVE_REQUESTS] = 1
        made[layout.DURATION] = 1
        pages.add(pid, made)
    return pages


def test_processes_are_summed_up(pages):
    total = pages.read().total
    assert [total[cell] for cell in (layout.REQUESTS, layout.ACTIVE_REQUESTS, layout.DURATION)] == [2, 2, 2]


def test_each_process_is_shown(pages):
    workers = pages.read().workers
    assert {pid: cells[layout.REQUESTS] for pid, cells in workers.items()} == {1: 1, 2: 1}


def test_counters_outlive_their_process(pages):
    pages.retire(1)
    total, workers, *_ = pages.read()
    assert [total[cell] for cell in (layout.REQUESTS, layout.DURATION)] == [2, 2]
    assert list(workers) == [2]


def test_processor_time_of_a_slot_includes_earlier_processes():
    pages = Pages()
    for pid, slot, spent in ((1, 1, 10), (2, 2, 20), (3, 1, 5)):
        made = page.allocate()
        made[layout.CPU] = spent
        pages.add(pid, made, slot)
    pages.retire(1)
    reading = pages.read()
    assert reading.cpu == {1: 15, 2: 20}
    assert reading.total[layout.CPU] == 35


def test_gauges_end_with_their_process(pages):
    pages.retire(1)
    assert pages.read().total[layout.ACTIVE_REQUESTS] == 1


def test_process_without_a_page_may_end(pages):
    pages.retire(3)
    pages.stop(3)
    assert pages.read().total[layout.REQUESTS] == 2


def test_drain_reaches_every_process(pages):
    pages.drain()
    assert all(cells[layout.DRAINING] == 1 for cells in pages.read().workers.values())


def test_stop_reaches_one_process(pages):
    pages.stop(1)
    assert {pid: cells[layout.STOPPED] for pid, cells in pages.read().workers.items()} == {1: 1, 2: 0}


def _count(memory):
    page.of_shared(memory)[layout.REQUESTS] += 1


def test_page_is_shared_with_another_process():
    context = multiprocessing.get_context("spawn")
    memory = page.allocate_shared()
    child = context.Process(target=_count, args=(memory,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert page.of_shared(memory)[layout.REQUESTS] == 1
