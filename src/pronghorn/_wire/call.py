"""Calls of the application: each a coroutine that a task drives, and that ends its exchange."""

from __future__ import annotations

from collections.abc import Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING

from pronghorn.constants import RETURNED
from pronghorn.coroutines import awaiting

from .kernels import advance

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable
    from contextvars import Context
    from typing import Any

    from .exchange import Exchange


# Attributes of a call whose application has not been called.
_NOT_BEGUN = {
    "__name__": "Call",
    "__qualname__": "Call",
    "cr_await": None,
    "cr_code": None,
    "cr_frame": None,
    "cr_running": False,
    "cr_suspended": False,
}


class Application:
    """Calls `app` in tasks that begin with a copy of `context`.

    `tasks` has the tasks that have not ended. With `eager`, `create_task` is asyncio's class, whose tasks drive their
    calls to the end. Otherwise it is called as `create_task(call, loop, context)`, and removes the task from `tasks`.

    `end(exchange, error, result)` follows every call, except those that returned None and have nothing left to do. It
    raises nothing.
    """

    __slots__ = ("_app", "_context", "_create_task", "_eager", "_end", "_loop", "tasks")

    tasks: set[Task[None]]
    _app: Callable[..., Any]
    _context: Context
    _create_task: Callable[..., Any]
    _eager: bool
    _end: Callable[[Exchange, BaseException | None, object], None]
    _loop: AbstractEventLoop

    def __init__(
        self,
        app: Callable[..., Any],
        tasks: set[Task[None]],
        end: Callable[[Exchange, BaseException | None, object], None],
        create_task: Callable[..., Any],
        loop: AbstractEventLoop,
        context: Context,
        eager: bool,
    ) -> None:
        self.tasks = tasks
        self._app = app
        self._end = end
        self._create_task = create_task
        self._loop = loop
        self._context = context
        self._eager = eager

    def start(self, exchange: Exchange) -> None:
        """Call the application for `exchange` in a new task, which becomes `exchange.task` unless it ends at once."""
        call = Call.__new__(Call)  # a call of the class costs more
        call._application = self
        call._exchange = exchange
        call._coroutine = None
        if self._eager:
            task = self._create_task(call, loop=self._loop, context=self._context.copy(), eager_start=True)
        else:
            task = self._create_task(call, self._loop, self._context.copy())
        if call._exchange is not None:
            exchange.task = task
            self.tasks.add(task)


class Call:
    """One call of the application, as the coroutine of its task.

    Raises nothing: the application's errors are for `end`. Other attributes are those of the application's coroutine.
    """

    __slots__ = ("_application", "_coroutine", "_exchange")

    _application: Application
    _coroutine: Any
    _exchange: Exchange | None

    def __await__(self) -> Call:
        return self

    def __iter__(self) -> Call:
        return self

    def __next__(self) -> Any:
        if self._coroutine is None and not self._begin():
            raise StopIteration
        try:
            result = advance(self._coroutine)
        except StopIteration as end:
            self._finish(None, end.value)
        except BaseException as error:
            self._finish(error, None)
        else:
            if result is not RETURNED:
                return result
            self._finish(None, None)
        raise StopIteration

    def send(self, value: Any) -> Any:
        return self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        error = kind if value is None else value
        try:
            if self._coroutine is None:
                raise error
            return self._coroutine.throw(error)
        except StopIteration as end:
            self._finish(None, end.value)
        except BaseException as raised:
            self._finish(raised, None)
        finally:
            del error, kind, value, traceback  # the error's traceback refers to this frame
        raise StopIteration

    def close(self) -> None:
        if self._coroutine is None:
            self._exchange = None
        elif self._exchange is not None:
            try:
                self._coroutine.close()
            except BaseException as error:
                self._finish(error, None)
            else:
                self._finish(GeneratorExit(), None)

    def __getattr__(self, name: str) -> Any:
        # Debuggers and asyncio read `cr_frame`, `cr_await`, `__qualname__` and others of a coroutine.
        if self._coroutine is None and name in _NOT_BEGUN:
            return _NOT_BEGUN[name]
        return getattr(self._coroutine, name)

    def _begin(self) -> bool:
        """Call the application. Return false if that ends the call."""
        exchange = self._exchange
        if exchange is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        try:
            coroutine = exchange.call(self._application._app)
        except BaseException as error:
            self._finish(error, None)
            return False
        if type(coroutine) is not CoroutineType:
            coroutine = awaiting(coroutine)
        self._coroutine = coroutine
        return True

    def _finish(self, error: BaseException | None, result: object) -> None:
        exchange = self._exchange
        if exchange is None:  # the call had ended before
            if error is not None:
                raise error
            return
        application = self._application
        if application._eager and exchange.task is not None:
            application.tasks.discard(exchange.task)
        try:
            if error is not None or result is not None or not exchange.is_settled():
                application._end(exchange, error, result)
        finally:
            self._exchange = None  # the task of an exchange refers to this call


Coroutine.register(Call)
