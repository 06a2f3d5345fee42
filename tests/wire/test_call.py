"""Calls of the application in real tasks: what asyncio, the application and debuggers see, and how a call ends."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.rig import GET, Rig

PATIENCE = 30

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")


class PythonTask(asyncio.tasks._PyTask):  # type: ignore[name-defined, misc]
    """A task in interpreted Python, as some debuggers and loops use."""


def create_later(call: Any, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> asyncio.Task[None]:
    return asyncio.Task(call, loop=loop, context=context)


def create_in_python(call: Any, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> asyncio.Task[None]:
    task: asyncio.Task[None] = PythonTask(call, loop=loop, context=context)
    return task


def create_wrapped(call: Any, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> asyncio.Task[None]:
    """As the task factories of tracing libraries."""

    async def wrapped() -> None:
        await call

    return asyncio.Task(wrapped(), loop=loop, context=context)


KINDS: dict[str, tuple[Any, bool]] = {
    "later": (create_later, False),
    "python": (create_in_python, False),
    "wrapped": (create_wrapped, False),
}
if sys.version_info >= (3, 12):
    KINDS["eager"] = (asyncio.Task, True)


class Calls:
    """Starts calls of `app` and records their ends."""

    def __init__(self, wire: Any, app: Callable[..., Any], kind: str) -> None:
        loop = asyncio.get_running_loop()
        create, eager = KINDS[kind]
        self.tasks: set[asyncio.Task[None]] = set()
        self.ends: list[tuple[Any, BaseException | None, object]] = []
        self.context = contextvars.copy_context()

        def create_task(*arguments: Any) -> asyncio.Task[None]:
            task: asyncio.Task[None] = create(*arguments)
            task.add_done_callback(self.tasks.discard)
            return task

        create_task = create if eager else create_task
        self.application = wire.call.Application(app, self.tasks, self.end, create_task, loop, self.context, eager)
        self.rig = Rig(wire, create_future=loop.create_future, call_soon=loop.call_soon)

    def end(self, exchange: Any, error: BaseException | None, result: object) -> None:
        self.ends.append((exchange, error, result))

    def start(self) -> Any:
        """Start a call for a new request; return the request."""
        self.rig.receive(GET)
        self.application.start(self.rig.request)
        return self.rig.request

    async def until_over(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.tasks:
                await asyncio.sleep(0)


@pytest.fixture(params=list(KINDS))
def run(wire: Any, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A function that runs `test(calls)` in a loop."""

    def run(app: Callable[..., Any], test: Callable[[Calls], Awaitable[object]], debug: bool = False) -> Any:
        async def main() -> object:
            async with asyncio.timeout(PATIENCE):
                return await test(Calls(wire, app, request.param))

        return asyncio.run(main(), debug=debug)

    return run


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def hang(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


def test_complete_response_ends_a_call_without_a_report(run: Any) -> None:
    async def test(calls: Calls) -> None:
        request = calls.start()
        await calls.until_over()
        assert request.is_complete()
        assert calls.ends == []

    run(answer, test)


def test_running_call_is_among_the_tasks(run: Any) -> None:
    async def test(calls: Calls) -> None:
        request = calls.start()
        assert calls.tasks == {request.task}
        request.task.cancel()
        await calls.until_over()

    run(hang, test)


def test_missing_response_is_reported(run: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)

    async def test(calls: Calls) -> None:
        request = calls.start()
        await calls.until_over()
        assert calls.ends == [(request, None, None)]

    run(app, test)


@pytest.mark.parametrize("waits", [False, True])
def test_result_is_reported(run: Any, waits: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> int:
        if waits:
            await asyncio.sleep(0)
        return 42

    async def test(calls: Calls) -> None:
        request = calls.start()
        await calls.until_over()
        assert calls.ends == [(request, None, 42)]

    run(app, test)


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_exception_is_reported_and_not_raised_in_the_task(run: Any, error: BaseException) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        raise error

    async def test(calls: Calls) -> None:
        request = calls.start()
        task = request.task
        await task
        assert calls.ends == [(request, error, None)]
        assert task.result() is None

    run(app, test)


def test_exception_before_the_coroutine_exists_is_reported(run: Any) -> None:
    def app(scope: Any) -> None:
        raise AssertionError("never called")

    async def test(calls: Calls) -> None:
        calls.start()
        await calls.until_over()
        [(_, error, _)] = calls.ends
        assert isinstance(error, TypeError)

    run(app, test)


def test_result_that_cannot_be_awaited_is_reported(run: Any) -> None:
    async def test(calls: Calls) -> None:
        calls.start()
        await calls.until_over()
        [(_, error, _)] = calls.ends
        assert isinstance(error, TypeError)
        assert "NoneType" in str(error)
        assert "await" in str(error)

    run(lambda scope, receive, send: None, test)


class Later:
    """An awaitable that is no coroutine."""

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.sleep(0).__await__()
        return (yield from self._coroutine.__await__())


def test_other_awaitables_are_awaited(run: Any) -> None:
    async def test(calls: Calls) -> None:
        request = calls.start()
        await calls.until_over()
        assert request.is_complete()
        assert calls.ends == []

    run(lambda *arguments: Later(answer(*arguments)), test)


def test_current_task_is_the_task_of_the_exchange(run: Any) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    async def test(calls: Calls) -> None:
        task = calls.start().task
        await calls.until_over()
        assert seen == [task, task]

    run(app, test)


def test_each_call_has_its_own_context(run: Any) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set("inside")
        await asyncio.sleep(0)
        seen.append(VARIABLE.get())
        await answer(scope, receive, send)

    async def test(calls: Calls) -> None:
        for _ in range(2):
            calls.start()
            await calls.until_over()
        assert seen == ["outside", "inside"] * 2

    run(app, test)


def test_timeout_of_the_application_ends_its_wait(run: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await hang(scope, receive, send)
        await answer(scope, receive, send)

    async def test(calls: Calls) -> None:
        request = calls.start()
        await calls.until_over()
        assert request.is_complete()

    run(app, test)


def test_error_in_a_task_group_reaches_the_application(run: Any) -> None:
    async def fail() -> None:
        raise ValueError

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await hang(scope, receive, send)
        except* ValueError:
            pass
        await answer(scope, receive, send)

    async def test(calls: Calls) -> None:
        request = calls.start()
        await calls.until_over()
        assert request.is_complete()
        assert calls.ends == []

    run(app, test)


def test_cancelled_application_may_answer(run: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await hang(scope, receive, send)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            await answer(scope, receive, send)

    async def test(calls: Calls) -> None:
        request = calls.start()
        await asyncio.sleep(0)
        request.task.cancel()
        await calls.until_over()
        assert request.is_complete()
        assert calls.ends == []

    run(app, test)


def test_cancellation_is_reported(run: Any) -> None:
    async def test(calls: Calls) -> None:
        request = calls.start()
        await asyncio.sleep(0)
        request.task.cancel("stop")
        await calls.until_over()
        [(_, error, _)] = calls.ends
        assert isinstance(error, asyncio.CancelledError)
        assert error.args == ("stop",)

    run(hang, test)


def test_call_cancelled_before_its_first_step_is_reported(wire: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("never called")

    async def main() -> None:
        calls = Calls(wire, app, "later")
        task = calls.start().task
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE)
        [(_, error, _)] = calls.ends
        assert isinstance(error, asyncio.CancelledError)
        assert not calls.tasks

    asyncio.run(main())


@pytest.mark.parametrize("run", [kind for kind in KINDS if kind != "wrapped"], indirect=True)
def test_stack_of_the_task_is_the_application_s(run: Any) -> None:
    async def test(calls: Calls) -> None:
        task = calls.start().task
        await asyncio.sleep(0)
        assert [frame.f_code for frame in task.get_stack()] == [hang.__code__]
        coroutine = task.get_coro()
        assert asyncio.iscoroutine(coroutine)
        assert coroutine.cr_code is hang.__code__
        assert inspect.iscoroutine(coroutine.cr_await)
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
        assert "coro=<hang()" in repr(task)
        task.cancel()
        await calls.until_over()

    run(hang, test)


def test_call_works_in_debug_mode(run: Any) -> None:
    async def test(calls: Calls) -> None:
        request = calls.start()
        await calls.until_over()
        assert request.is_complete()

    run(answer, test, debug=True)


def test_stop_iteration_of_a_callable_is_an_error(run: Any) -> None:
    def app(scope: Any, receive: Any, send: Any) -> Any:
        return next(iter(()))

    async def test(calls: Calls) -> None:
        request = calls.start()
        await calls.until_over()
        [(exchange, error, _)] = calls.ends
        assert exchange is request
        assert isinstance(error, StopIteration)

    run(app, test)


# A task in Python keeps the error that it throws in a cycle of its own.
@pytest.mark.parametrize("run", [kind for kind in KINDS if kind != "python"], indirect=True)
@pytest.mark.parametrize("is_cancelled", [False, True])
def test_ended_call_keeps_nothing_alive(run: Any, is_cancelled: bool) -> None:
    class Note:
        pass

    notes: list[weakref.ref[Note]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        note = Note()
        notes.append(weakref.ref(note))
        scope["note"] = note
        await asyncio.sleep(0)
        if is_cancelled:
            await hang(scope, receive, send)
        await answer(scope, receive, send)

    async def test(calls: Calls) -> None:
        task = calls.start().task
        for _ in range(3):
            await asyncio.sleep(0)
        if is_cancelled:
            task.cancel()
        await calls.until_over()
        del task
        calls.ends.clear()
        calls.rig.requests.clear()
        calls.rig.connection.lose()
        await asyncio.sleep(0)
        assert notes[0]() is None

    gc.disable()
    try:
        run(app, test)
    finally:
        gc.enable()


@pytest.fixture
def call(wire: Any) -> Any:
    """A call whose first step has not run, and the ends of its application."""
    calls: list[Any] = []
    ends: list[Any] = []

    def create(call: Any, loop: Any, context: Any) -> None:
        calls.append(call)

    rig = Rig(wire)
    rig.receive(GET)
    application = wire.call.Application(
        answer, set(), lambda *end: ends.append(end), create, None, contextvars.Context(), False
    )
    application.start(rig.request)
    return SimpleNamespace(coroutine=calls[0], ends=ends)


def test_attributes_of_a_call_that_has_not_begun(call: Any) -> None:
    assert inspect.getcoroutinestate(call.coroutine) == inspect.CORO_CLOSED
    assert call.coroutine.__qualname__ == "Call"
    assert not hasattr(call.coroutine, "ag_frame")


def test_call_closed_before_its_first_step_ends_without_a_report(call: Any) -> None:
    call.coroutine.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        call.coroutine.send(None)
    assert call.ends == []


def test_thrown_exception_is_reported(call: Any) -> None:
    error = ValueError()
    with pytest.raises(StopIteration):
        call.coroutine.throw(error)
    assert [end[1] for end in call.ends] == [error]


def test_call_closed_while_it_waits_is_reported(run: Any) -> None:
    async def test(calls: Calls) -> None:
        task = calls.start().task
        await asyncio.sleep(0)
        task.get_coro().close()
        [(_, error, _)] = calls.ends
        assert isinstance(error, GeneratorExit)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(hang, test)
