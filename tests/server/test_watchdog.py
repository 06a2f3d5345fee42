"""The watchdog, on real event loops that tests block."""

import asyncio
import logging
import threading
import time

import pytest

from pronghorn.server.watchdog import Watchdog
from tests.support.server import PATIENCE, lacks, wait_until

BLOCK = 0.2


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """A function that runs a coroutine in an event loop of each kind."""
    if reason := lacks("interpreted", request.param):
        pytest.skip(reason)
    if request.param == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    else:
        factory = asyncio.new_event_loop

    def run(coroutine):
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture
def records():
    """The records of the server's own log."""
    found = []
    handler = logging.Handler()
    handler.emit = found.append
    logger = logging.getLogger("pronghorn.error")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def started(seconds=BLOCK, is_stopping=lambda: False):
    watchdog = Watchdog(asyncio.get_running_loop(), seconds, is_stopping)
    watchdog.start()
    return watchdog


async def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def blocks_here(condition):
    wait_until(condition)


def pause(seconds):
    time.sleep(seconds)


def test_block_is_reported_while_it_lasts(run, records):
    async def main():
        watchdog = started()
        await asyncio.sleep(0)
        blocks_here(lambda: records)
        await until(lambda: len(records) == 2)
        watchdog.stop()
        return watchdog

    watchdog = run(main())
    first, second = records
    assert (first.levelname, first.name, second.levelname) == ("ERROR", "pronghorn.error", "ERROR")
    assert first.getMessage() == "The event loop has been blocked for 0.2 s."
    assert 'in main\n    blocks_here(lambda: records)\n  File "' in first.stack_info
    assert second.getMessage().startswith("The event loop goes on. It was blocked for 0.")
    assert watchdog.blocks == 1


def test_each_block_is_reported(run, records):
    async def main():
        watchdog = started()
        for number in (1, 3):
            await asyncio.sleep(0)
            blocks_here(lambda number=number: len(records) == number)
            await until(lambda number=number: len(records) == number + 1)
        watchdog.stop()
        return watchdog

    assert run(main()).blocks == 2


def test_call_that_holds_the_lock_is_reported_afterwards(run, records):
    async def main():
        watchdog = started()
        end = time.monotonic() + PATIENCE
        while not records and time.monotonic() < end:
            sum(range(30_000_000))
            await asyncio.sleep(2 * BLOCK)  # time for the thread
        watchdog.stop()

    run(main())
    assert "blocked for" in records[0].getMessage()


def test_busy_loop_that_turns_is_not_reported(run, records):
    async def main():
        watchdog = started(seconds=PATIENCE)
        end = time.monotonic() + BLOCK
        while time.monotonic() < end:
            await asyncio.sleep(0)
        watchdog.stop()
        return watchdog

    assert run(main()).blocks == 0
    assert records == []


def test_nothing_is_reported_while_the_server_stops(run, records):
    async def main():
        checks = []
        watchdog = started(is_stopping=lambda: checks.append(time.monotonic()) or True)
        began = time.monotonic()
        blocks_here(lambda: checks and checks[-1] > began + 2 * BLOCK)
        watchdog.stop()
        return watchdog

    assert run(main()).blocks == 0
    assert records == []


def test_stop_ends_the_thread(run):
    async def main():
        before = set(threading.enumerate())
        watchdog = started()
        (thread,) = set(threading.enumerate()) - before
        watchdog.stop()
        watchdog.stop()
        await until(lambda: not thread.is_alive())

    run(main())


def test_loop_that_does_not_run_is_not_reported(records):
    loop = asyncio.new_event_loop()

    async def start():
        return started()

    watchdog = loop.run_until_complete(start())
    time.sleep(3 * BLOCK)
    loop.run_until_complete(asyncio.sleep(BLOCK))
    watchdog.stop()
    loop.close()
    assert watchdog.blocks == 0
    assert records == []


def test_closed_loop_ends_the_thread():
    loop = asyncio.new_event_loop()
    before = set(threading.enumerate())

    async def start():
        return started()

    loop.run_until_complete(start())
    (thread,) = set(threading.enumerate()) - before
    loop.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_failing_filter_does_not_end_the_watch(run, records, capsys):
    filtered = []

    class Failing(logging.Filter):
        def filter(self, record):
            filtered.append(record)
            raise ZeroDivisionError

    logger = logging.getLogger("pronghorn.error")
    failing = Failing()

    async def main():
        watchdog = started()
        logger.addFilter(failing)
        try:
            blocks_here(lambda: filtered)
        finally:
            logger.removeFilter(failing)
        await until(lambda: records)  # of the end of this block
        blocks_here(lambda: watchdog.blocks == 2)
        watchdog.stop()

    run(main())
    assert "ZeroDivisionError" in capsys.readouterr().err
