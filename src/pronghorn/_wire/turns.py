"""The decompression of messages, spread over the iterations of one event loop: a kilobyte may become a megabyte."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._interfaces import CallSoon, TakesTurns

# Decompressed bytes in one iteration, after which the event loop has its turn: about two milliseconds.
MOST_AT_ONCE = 1048576


class Turns:
    """Gives its members turns, as many in an iteration as `MOST_AT_ONCE` allows. Each message is decompressed to its
    end before the next one is begun, or all of them would take memory.
    """

    __slots__ = ("_call_soon", "_is_scheduled", "_run", "_waiting")

    _call_soon: CallSoon
    _run: Callable[[], None]
    _waiting: deque[TakesTurns]
    _is_scheduled: bool

    def __init__(self, call_soon: CallSoon) -> None:
        self._call_soon = call_soon
        self._run = self.run
        self._waiting = deque()
        self._is_scheduled = False

    def is_busy(self) -> bool:
        """Return whether a member waits for its turn."""
        return len(self._waiting) > 0

    def ask(self, member: TakesTurns, has_begun: bool) -> None:
        """Give `member`, which does not wait for one, a turn: next if it `has_begun` a message, otherwise last."""
        if has_begun:
            self._waiting.appendleft(member)
        else:
            self._waiting.append(member)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._run)

    def run(self) -> None:
        """Give turns in this iteration. A member may ask for another one."""
        waiting = self._waiting
        size = 0
        while waiting and size < MOST_AT_ONCE:
            member = waiting.popleft()
            try:
                size += member.take_turn()
            except Exception as error:
                member.crash(error)
        self._is_scheduled = len(waiting) > 0
        if self._is_scheduled:
            self._call_soon(self._run)
