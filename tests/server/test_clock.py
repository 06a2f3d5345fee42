"""The clock, which ticks once a second for the Date field and the connections' deadlines."""

import asyncio
import email.utils
import time
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import pytest

from pronghorn.server import beat
from pronghorn.server.clock import Clock


class Loop:
    """A loop with a time that tests set."""

    def __init__(self):
        self.now = 100.9
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        timer = SimpleNamespace(at=self.now + delay, callback=callback, cancelled=False)
        timer.cancel = lambda: setattr(timer, "cancelled", True)
        self.timers.append(timer)
        return timer

    def run_due(self):
        """Run the timers that are due, in order."""
        while due := [timer for timer in self.timers if timer.at <= self.now and not timer.cancelled]:
            timer = min(due, key=lambda each: each.at)
            self.timers.remove(timer)
            timer.callback()

    def advance(self, seconds):
        """Let `seconds` pass, one by one."""
        for _ in range(seconds):
            self.now += 1
            self.run_due()


class State:
    """Records the ticks."""

    def __init__(self):
        self.loop = Loop()
        self.ticks = []
        self.lags = []

    def tick(self, now):
        self.ticks.append(now)

    def note_lag(self, seconds):
        self.lags.append(seconds)


@pytest.fixture
def state(monkeypatch):
    state = State()
    monkeypatch.setattr(beat, "monotonic", state.loop.time)
    return state


def date_of(shared):
    return parsedate_to_datetime(dict(shared.default_fields)[b"date"].decode())


def test_start_sets_the_clock_at_once(state):
    Clock(state).start()
    assert state.ticks == [100]


def test_clock_ticks_every_second(state):
    Clock(state).start()
    state.loop.advance(3)
    assert state.ticks == [100, 101, 102, 103]


def test_ticks_missed_by_blocked_loop_are_skipped(state):
    Clock(state).start()
    state.loop.now += 50
    state.loop.run_due()
    assert state.ticks == [100, 101]
    assert len(state.loop.timers) == 1


def test_lag_of_blocked_loop_is_noted(state):
    Clock(state).start()
    state.loop.now += 50
    state.loop.run_due()
    assert state.lags == [49]


def test_failed_tick_does_not_stop_clock(state):
    Clock(state).start()
    state.tick = None
    with pytest.raises(TypeError):
        state.loop.advance(1)
    assert len(state.loop.timers) == 1


def test_stop_ends_the_ticks(state):
    clock = Clock(state)
    clock.start()
    state.loop.advance(1)
    clock.stop()
    state.loop.advance(10)
    assert state.ticks == [100, 101]


def test_stop_before_start_has_no_effect(state):
    Clock(state).stop()
    assert state.loop.timers == []


def test_date_changes_with_tick(wire, monkeypatch):
    module = wire.shared
    shared = module.Shared(module.Limits(), object)
    before = date_of(shared)
    assert before.tzinfo is not None
    later = time.time() + 3600
    monkeypatch.setattr(email.utils.time, "time", lambda: later)
    shared.tick(1)
    assert 3590 <= (date_of(shared) - before).total_seconds() <= 3660


def test_date_has_format_of_rfc9110(wire):
    shared = wire.shared.Shared(wire.shared.Limits(), object)
    name, value = (text.decode() for text in shared.default_fields[0])
    assert name == "date"
    assert value.endswith(" GMT")
    assert len(value) == len("Sun, 06 Nov 1994 08:49:37 GMT")


def test_tick_adds_no_date_when_date_is_off(wire):
    shared = wire.shared.Shared(wire.shared.Limits(), object, date=False)
    shared.tick(5)
    assert shared.default_fields == [(b"server", b"pronghorn")]


def test_date_and_server_of_user_replace_ours(wire):
    fields = [(b"date", b"mine"), (b"server", b"other"), (b"x-a", b"1")]
    shared = wire.shared.Shared(wire.shared.Limits(), object, fields=fields)
    shared.tick(5)
    assert shared.default_fields == fields


def test_clock_ticks_on_real_loop():
    async def main():
        ticked = asyncio.Event()
        loop = asyncio.get_running_loop()
        clock = Clock(SimpleNamespace(loop=loop, tick=lambda now: ticked.set()))
        clock.start()
        clock.stop()
        return ticked.is_set()

    assert asyncio.run(main())
