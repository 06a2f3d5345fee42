"""The lifespan protocol: messages to and from the application, and log lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pronghorn.application import lifespan
from pronghorn.application.lifespan import Lifespan
from pronghorn.errors import StartupError

Logged = pytest.LogCaptureFixture
LOG = logging.getLogger("lifespan.test")


@pytest.fixture(autouse=True)
def log_all_lines(caplog: Logged) -> None:
    caplog.set_level(logging.INFO, LOG.name)


async def good(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


def live(app: Any, mode: Any = "auto") -> Lifespan:
    """Run the startup and shutdown of `app`."""

    async def run() -> Lifespan:
        subject = Lifespan(app, mode, LOG)
        await subject.startup()
        await subject.shutdown()
        return subject

    lived: Lifespan = bounded(run)
    return lived


def bounded(run: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(10):
            return await run()

    return asyncio.run(main())


WHOLE = [
    "Waiting for application startup.",
    "Application startup complete.",
    "Waiting for application shutdown.",
    "Application shutdown complete.",
]


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_startup_and_shutdown_are_logged(mode: str, caplog: Logged) -> None:
    assert not live(good, mode).failed
    assert caplog.messages == WHOLE


def test_off_never_calls_application(caplog: Logged) -> None:
    live(None, "off")
    assert caplog.messages == []


def test_scope_has_shared_state() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await good(scope, receive, send)

    subject = live(app)
    assert scopes == [{"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}]
    assert scopes[0]["state"] is subject.state


def test_startup_and_shutdown_run_in_one_task() -> None:
    tasks: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        await good(scope, receive, send)
        tasks.append(asyncio.current_task())

    live(app)
    assert tasks[0] is tasks[1]


def test_application_finishes_after_its_last_message() -> None:
    done: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await good(scope, receive, send)
        await asyncio.sleep(0)
        done.append("cleaned up")

    live(app)
    assert done == ["cleaned up"]


def test_application_that_receives_after_shutdown_is_cancelled() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await good(scope, receive, send)
        await receive()

    assert not live(app).failed


@pytest.mark.parametrize("after_receive", [False, True])
def test_auto_takes_exception_as_unsupported(after_receive: bool, caplog: Logged) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if after_receive:
            await receive()
        raise ValueError("only http here")

    assert not live(app, "auto").failed
    assert caplog.messages == [WHOLE[0], "ASGI 'lifespan' protocol appears unsupported.", WHOLE[1]]


def test_on_takes_exception_as_failure(caplog: Logged) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("no database")

    with pytest.raises(StartupError, match=r"^Application startup failed\. Exiting\.$") as caught:
        live(app, "on")
    assert caught.value.__cause__ is None
    assert caplog.messages == [WHOLE[0], "Exception in 'lifespan' protocol\n"]
    assert caplog.records[1].exc_info is not None


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize("raises", [False, True])
def test_failed_startup_is_logged_and_raised(mode: str, raises: bool, caplog: Logged) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "100% no database"})
        if raises:
            raise ValueError

    with pytest.raises(StartupError, match="startup failed"):
        live(app, mode)
    assert caplog.messages == [WHOLE[0], "100% no database"]


def test_application_that_returns_early_counts_as_started(caplog: Logged) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    live(app)
    assert caplog.messages == WHOLE


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_failed_shutdown_is_logged(mode: str, caplog: Logged) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "still busy"})

    assert live(app, mode).failed
    assert caplog.messages == [*WHOLE[:3], "still busy", "Application shutdown failed. Exiting."]


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_exception_during_shutdown_is_logged(mode: str, caplog: Logged) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError

    assert live(app, mode).failed
    assert caplog.messages == [
        *WHOLE[:3],
        "Exception in 'lifespan' protocol\n",
        "Application shutdown failed. Exiting.",
    ]


def test_exception_between_startup_and_shutdown_is_logged_at_once(caplog: Logged) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ValueError

    assert live(app).failed
    assert caplog.messages == [WHOLE[0], "Exception in 'lifespan' protocol\n", WHOLE[1]]


def test_system_exit_fails_startup(caplog: Logged) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise SystemExit(9)

    with pytest.raises(StartupError):
        live(app, "on")


@pytest.mark.parametrize(
    "message", ["lifespan.startup.complete", "lifespan.shutdown.complete", "lifespan.shutdown.failed", "http.response"]
)
def test_message_out_of_order_is_refused(message: str) -> None:
    errors: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await send({"type": message})
        except RuntimeError as error:
            errors.append(error)
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    assert not live(app).failed
    assert len(errors) == 1


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_hanging_application_is_cancelled_with_its_waiter(phase: str, caplog: Logged) -> None:
    cancelled: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if phase == "shutdown":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(phase)

    async def run() -> None:
        subject = Lifespan(app, "auto", LOG)
        if phase == "shutdown":
            await subject.startup()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(getattr(subject, phase)(), 0.01)
        assert cancelled == [phase]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    bounded(run)
    assert [each.levelname for each in caplog.records if each.levelno > logging.INFO] == []


def test_application_that_ignores_cancellation_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan, "_GRACE", 0.01)

    async def run() -> None:
        over = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue

        subject = Lifespan(app, "auto", LOG)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(subject.startup(), 0.01)
        over.set()

    bounded(run)


def test_cancelled_receive_loses_no_message() -> None:
    async def run() -> None:
        has_cancelled = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            has_cancelled.set()
            assert (await receive())["type"] == "lifespan.shutdown"
            await send({"type": "lifespan.shutdown.complete"})

        subject = Lifespan(app, "auto", LOG)
        await subject.startup()
        await has_cancelled.wait()
        await subject.shutdown()
        assert not subject.failed

    bounded(run)
