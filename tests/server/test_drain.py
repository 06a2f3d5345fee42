"""The graceful end of connections and tasks, on a loop without a server."""

from __future__ import annotations

import asyncio
import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn.server.drain import Drain
from pronghorn.server.state import ServerState

PATIENCE = 20


class Connection:
    """A connection with a third-party protocol. `shutdown` removes it, unless it `hangs`."""

    def __init__(self, state: ServerState, hangs: bool = False) -> None:
        self.calls: list[str] = []
        self.transport = SimpleNamespace(abort=lambda: self.calls.append("abort"))
        self._state = state
        self._hangs = hangs
        state.connections.add(self)

    def shutdown(self) -> None:
        self.calls.append("shutdown")
        if not self._hangs:
            self._state.connections.discard(self)


def server(**attributes: Any) -> Any:
    """A server with a state, in the running loop."""
    state = ServerState()
    state._last_closed = asyncio.Event()
    usual = {"server_state": state, "servers": [], "linger": 0.0, "force_exit": False}
    return SimpleNamespace(config=SimpleNamespace(backlog=10), **(usual | attributes))


def soon(seconds: float = PATIENCE) -> float:
    return time.monotonic() + seconds


def test_wait_without_connections_and_tasks_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pronghorn.error")
    asyncio.run(asyncio.wait_for(drained(), PATIENCE))
    assert caplog.messages == []


async def drained() -> None:
    await Drain(server(linger=10 * PATIENCE)).wait(float("inf"))


def test_connections_are_shut_down() -> None:
    async def main() -> list[list[str]]:
        stopping = server()
        connections = [Connection(stopping.server_state) for _ in range(2)]
        await Drain(stopping).wait(soon())
        return [each.calls for each in connections]

    assert asyncio.run(main()) == [["shutdown"], ["shutdown"]]


def test_connection_that_stays_is_shut_down_again_and_aborted() -> None:
    async def main() -> list[str]:
        stopping = server()
        connection = Connection(stopping.server_state, hangs=True)
        drain = Drain(stopping)
        waiting = asyncio.ensure_future(drain.wait(float("inf")))
        async with asyncio.timeout(PATIENCE):
            while len(connection.calls) < 2:
                await asyncio.sleep(0)
            stopping.force_exit = True
            await waiting
        drain.abort_connections()
        return connection.calls

    first, second, *_, last = asyncio.run(main())
    assert (first, second, last) == ("shutdown", "shutdown", "abort")


class Inbox:
    """Has input for so many iterations of the loop."""

    def __init__(self, iterations: float) -> None:
        self.left = iterations

    def has_input(self) -> bool:
        self.left -= 1
        return self.left >= 0


def test_waiting_requests_are_served_before_their_connections_are_shut_down() -> None:
    async def main() -> float:
        stopping = server()
        stopping.server_state.inbox = inbox = Inbox(iterations=12)
        connections = [Connection(stopping.server_state) for _ in range(100)]
        left: list[float] = []
        connections[0].shutdown = lambda: left.append(inbox.left)  # type: ignore[method-assign]
        waiting = asyncio.ensure_future(Drain(stopping).wait(soon()))
        while not left:
            await asyncio.sleep(0)
        stopping.server_state.connections.clear()
        await waiting
        return left[0]

    assert asyncio.run(main()) == -1


def test_clients_that_send_without_end_do_not_prevent_a_shutdown() -> None:
    async def main() -> list[str]:
        stopping = server()
        stopping.server_state.inbox = Inbox(iterations=float("inf"))
        connection = Connection(stopping.server_state)
        await asyncio.wait_for(Drain(stopping).wait(float("inf")), PATIENCE)
        return connection.calls

    assert asyncio.run(main()) == ["shutdown"]


def test_running_task_is_cancelled_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> bool:
        stopping = server()
        task: asyncio.Task[Any] = asyncio.ensure_future(asyncio.Event().wait())  # type: ignore[assignment]
        stopping.server_state.tasks.add(task)
        await Drain(stopping).wait(soon(0.1))
        return task.cancelled()

    assert asyncio.run(main())
    assert caplog.messages == ["Cancel 1 running task(s), timeout graceful shutdown exceeded"]


def test_call_that_begins_while_others_are_cancelled_is_cancelled_too() -> None:
    async def main() -> tuple[bool, bool]:
        stopping = server()
        tasks: Any = stopping.server_state.tasks
        late: list[asyncio.Task[Any]] = []

        async def running() -> None:
            try:
                await asyncio.Event().wait()
            finally:  # its connection reads the next request
                late.append(asyncio.ensure_future(asyncio.Event().wait()))  # type: ignore[arg-type]
                tasks.add(late[0])

        tasks.add(asyncio.ensure_future(running()))
        drain = Drain(stopping)
        await drain.wait(soon(0.1))
        was_running = not late[0].done()
        drain.abort_connections()
        await drain.cancel_late_calls()
        return was_running, late[0].cancelled()

    assert asyncio.run(main()) == (True, True)


def test_wait_ends_when_the_exit_is_forced() -> None:
    async def main() -> tuple[list[str], bool]:
        stopping = server()
        connection = Connection(stopping.server_state, hangs=True)
        task: asyncio.Task[Any] = asyncio.ensure_future(asyncio.Event().wait())  # type: ignore[assignment]
        stopping.server_state.tasks.add(task)
        waiting = asyncio.ensure_future(Drain(stopping).wait(float("inf")))
        async with asyncio.timeout(PATIENCE):
            while not connection.calls:
                await asyncio.sleep(0)
            stopping.force_exit = True
            await waiting
        is_running = not task.done()
        task.cancel()
        return connection.calls[:1], is_running

    assert asyncio.run(main()) == (["shutdown"], True)
