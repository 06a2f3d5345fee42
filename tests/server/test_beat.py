"""The repeating timer, on each event loop."""

import asyncio
import time

import pytest

from pronghorn.server.beat import Beat

PATIENCE = 30


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """A function that runs a coroutine in a new event loop."""
    factory = None if request.param == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    def run(coroutine):
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(coroutine, PATIENCE))

    return run


def test_lag_of_a_blocked_loop_is_measured(run):
    async def main():
        lags = asyncio.Queue()
        beat = Beat(asyncio.get_running_loop(), 0.05, lags.put_nowait)
        beat.start()
        assert await lags.get() >= 0
        time.sleep(0.3)  # noqa: ASYNC251 - blocks the loop
        assert await lags.get() >= 0.24
        beat.stop()

    run(main())


def test_next_call_is_due_after_the_interval(run):
    async def main():
        dues = asyncio.Queue()
        beat = Beat(asyncio.get_running_loop(), 0.05, lambda lag: dues.put_nowait(beat.due))
        beat.start()
        first = beat.due
        assert await dues.get() == first
        assert beat.due >= first + 0.05
        beat.stop()

    run(main())


def test_failed_call_does_not_stop_the_beat(run):
    async def main():
        calls = asyncio.Queue()

        def fail(lag):
            calls.put_nowait(lag)
            raise ValueError

        reported = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: reported.append(context["exception"]))
        beat = Beat(loop, 0.01, fail)
        beat.start()
        for _ in range(2):
            await calls.get()
        beat.stop()
        beat.stop()
        await asyncio.sleep(0.05)
        assert calls.empty()
        assert reported

    run(main())
