"""The watchdog: reports an event loop that is blocked, with the stack of its thread.

A timer of the loop notes that the loop runs. A thread checks that: only a thread can see the stack while the loop is
blocked. `faulthandler.dump_traceback_later` would even see it while a C function holds the interpreter's lock, but it
writes to a descriptor instead of the log, exists once for each process, where it may be the application's, and takes
the time in which the process was suspended for a block.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from time import monotonic, process_time

from pronghorn.logging.log import say
from pronghorn.server.beat import Beat

# Seconds between checks: this part of the time that makes a block, and no more than a second.
_PART = 0.1
_LEAST, _MOST = 0.01, 1.0

# The part of the time in which a process that is not suspended has a processor, even on a loaded machine. Between two
# checks, a process that is suspended for a block's time has it for less: _PART.
_RUNNING = 0.2


class Watchdog:
    """Watches `loop`, from `start` to `stop`, for blocks of `seconds` or more. Both are called by the loop's thread.

    Time in which the process was suspended does not count: by SIGSTOP, or on some systems while the machine sleeps.
    Clocks go on, but the watching thread wakes late, and the process has hardly used the processor meanwhile. If it
    has, the thread alone had to wait, for a call that held the interpreter's lock.

    `blocks` counts them. Nothing is reported once `is_stopping()` is true.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, is_stopping: Callable[[], bool]) -> None:
        self.blocks = 0
        self._loop = loop
        self._seconds = seconds
        self._is_stopping = is_stopping
        self._interval = min(max(seconds * _PART, _LEAST), _MOST)
        self._stopped = threading.Event()
        self._beat = Beat(loop, self._interval, self._take_turn)
        # The lags that may have been blocks.
        self._late: collections.deque[float] = collections.deque()
        self._thread_id = 0
        # The rest belongs to the watching thread. The suspended time is that since the loop's last turn.
        self._suspended = 0.0
        self._is_reported = False

    def start(self) -> None:
        self._thread_id = threading.get_ident()
        self._beat.start()
        threading.Thread(target=self._watch, name="pronghorn watchdog", daemon=True).start()

    def stop(self) -> None:
        """May be called again."""
        self._stopped.set()
        self._beat.stop()

    def _take_turn(self, lag: float) -> None:
        """Called by the loop, which runs."""
        if lag >= self._seconds:
            self._late.append(lag)

    def _watch(self) -> None:
        due = self._beat.due
        before, cpu_before = monotonic(), process_time()
        while not self._stopped.wait(self._interval):
            now, cpu = monotonic(), process_time()
            lost = self._lost(now - before, cpu - cpu_before)
            before, cpu_before = now, cpu
            self._suspended += lost
            if self._loop.is_closed():  # by a program that did not stop its server
                return
            if self._is_stopping():
                continue
            if self._beat.due != due:
                due = self._beat.due
                self._end_block()
                # The loop's turn may have been before or after the time that was lost just now.
                self._suspended = max(0.0, min(lost, now - due + self._interval))
            self._check(now - due - self._suspended)

    def _lost(self, passed: float, cpu: float) -> float:
        """The part of the `passed` seconds in which the loop could not even try to run. `cpu` is the processor time of
        the process in these seconds.
        """
        if not self._loop.is_running():
            return passed
        return max(0.0, passed - self._interval) if cpu < passed * _RUNNING else 0.0

    def _check(self, overdue: float) -> None:
        """Report a block that is in progress."""
        if overdue < self._seconds or self._is_reported:
            return
        frame = sys._current_frames().get(self._thread_id)
        if frame is not None:
            self._is_reported = True
            self.blocks += 1
            stack = "Stack of the event loop's thread (most recent call last):\n"
            stack += "".join(traceback.format_stack(frame)).rstrip("\n")
            say(logging.ERROR, "The event loop has been blocked for %.1f s.", overdue, stack=stack)

    def _end_block(self) -> None:
        """Report the end of a block, or a whole one that ended before this thread could see it."""
        while self._late:
            blocked = self._late.popleft() - self._suspended
            if self._is_reported:
                say(logging.ERROR, "The event loop goes on. It was blocked for %.1f s.", blocked)
            elif blocked >= self._seconds:
                self.blocks += 1
                say(logging.ERROR, "The event loop was blocked for %.1f s, but its stack could not be read.", blocked)
            self._is_reported = False
