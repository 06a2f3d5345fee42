"""Limits on the calls of an application that run at once: one over a limit waits for its turn, or is answered 503."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from pronghorn.metrics import layout

if TYPE_CHECKING:
    from pronghorn._wire.exchange import Exchange
    from pronghorn.application.calls import Server, Start

_WARNINGS = {"concurrency": "Exceeded concurrency limit.", "websockets": "Exceeded WebSocket limit."}


def limit(server: Server, start_request: Start, start_websocket: Start) -> tuple[Start, Start]:
    """The functions that call the application, within the limits of `server`.

    `limit_concurrency` counts connections and calls, as in uvicorn. With `limit_queue` or `limit_websockets` it counts
    calls only: a queue would be of no use to idle connections. With `limit_websockets` it does not count WebSockets.
    """
    most, room, websockets = server.limit_concurrency, server.limit_queue, server.limit_websockets
    if websockets is not None:
        start_websocket = Limit(server, websockets, 0, "websockets").wrap(start_websocket)
    if most is None:
        return start_request, start_websocket
    if room is None and websockets is None:
        refuse = functools.partial(_start_or_refuse, server, most)
        return functools.partial(refuse, start_request), functools.partial(refuse, start_websocket)
    calls = Limit(server, most, room or 0, "concurrency")
    if room is not None:
        server.queue = calls
    return calls.wrap(start_request), start_websocket if websockets is not None else calls.wrap(start_websocket)


class Limit:
    """A `Queue` that lets `most` calls run at once, and up to `room` exchanges wait for their turn, in order. One more
    is refused for `reason`, which is one of `layout.REASONS`.
    """

    def __init__(self, server: Server, most: int, room: int, reason: str) -> None:
        self._server = server
        self._most = most
        self._room = room
        self._reason = reason
        self._refused = _refused(reason)
        self._running = 0
        # The function that calls the application, for each exchange that waits: only while `most` calls run.
        self._waiting: dict[Exchange, Start] = {}

    def wrap(self, start: Start) -> Start:
        """`start`, within the limit."""
        return functools.partial(self._enter, start)

    def leave(self, exchange: Exchange) -> None:
        if self._waiting.pop(exchange, None) is not None:
            self._server.count(layout.WAITING, -1)

    def tick(self) -> None:
        for exchange in [each for each in self._waiting if not each.awaits_answer()]:
            self._drop(exchange)

    def refuse_waiting(self) -> None:
        for exchange in list(self._waiting):
            self._server.count(self._refused)
            self._drop(exchange)

    def _enter(self, start: Start, exchange: Exchange) -> None:
        if self._running < self._most:
            self._start(start, exchange)
        elif len(self._waiting) < self._room:
            self._waiting[exchange] = start
            self._server.count(layout.WAITING)
        else:
            _refuse(self._server, exchange, self._reason)

    def _start(self, start: Start, exchange: Exchange) -> None:
        start(exchange)
        task = exchange.task
        if task is not None:  # otherwise the call has ended
            self._running += 1
            task.add_done_callback(self._release, context=self._server.context)

    def _release(self, task: asyncio.Task[None]) -> None:
        """Let the next exchange take the place of a call that has ended."""
        self._running -= 1
        while self._waiting and self._running < self._most:
            exchange, start = next(iter(self._waiting.items()))
            if not exchange.awaits_answer():
                self._drop(exchange)
                continue
            self.leave(exchange)
            try:
                self._start(start, exchange)
            except Exception as error:
                exchange.crash(error)

    def _drop(self, exchange: Exchange) -> None:
        self.leave(exchange)
        try:
            exchange.fail(503)
        except Exception as error:
            exchange.crash(error)


def _start_or_refuse(server: Server, most: int, start: Start, exchange: Exchange) -> None:
    if len(server.connections) >= most or len(server.tasks) >= most:
        _refuse(server, exchange, "concurrency")
    else:
        start(exchange)


def _refuse(server: Server, exchange: Exchange, reason: str) -> None:
    server.count(_refused(reason))
    server.warn(_WARNINGS[reason])
    exchange.fail(503)


def _refused(reason: str) -> int:
    """The counter of those that are refused for `reason`."""
    return layout.REFUSED + layout.REASONS.index(reason)
