"""The lifespan protocol (ASGI lifespan 2.0): one task runs the application from before the first connection to after
the last one."""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import Any, Literal, TypeAlias

from pronghorn.application import tasks
from pronghorn.errors import StartupError
from pronghorn.types import ASGI3App, Message, Scope

Mode: TypeAlias = Literal["auto", "on", "off"]

# Seconds for an application to return after its last message or its cancellation; after that it is abandoned.
_GRACE = 5


class _Phase(enum.Enum):
    STARTING = enum.auto()
    RUNNING = enum.auto()
    STOPPING = enum.auto()
    OVER = enum.auto()  # complete, failed or not supported: no more messages, either way


class Lifespan:
    """Call `startup`, then `shutdown` if that succeeded; then both may be called again. Cancelling either cancels the
    application's task.

    In mode `auto`, an exception before the end of startup means that the application does not support the protocol.
    """

    def __init__(self, app: ASGI3App, mode: Mode, log: logging.Logger) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._mode = mode
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._reset()

    @property
    def failed(self) -> bool:
        """True if the application has failed to start or to stop."""
        return self.startup_failed or self.shutdown_failed

    @property
    def should_exit(self) -> bool:
        """True if the server must not continue."""
        return self.failed

    async def startup(self) -> None:
        """Wait until the application is ready. Raises StartupError if its startup fails."""
        if self._mode == "off":
            return
        self._reset()
        self._log.info("Waiting for application startup.")
        self._phase = _Phase.STARTING
        self._task = tasks.create(self._run())
        self._task.set_name("lifespan")
        await self._until(self._started)
        if self.startup_failed:
            await self._end()
            raise StartupError("Application startup failed. Exiting.")
        self._log.info("Application startup complete.")

    async def shutdown(self) -> None:
        """Wait until the application has shut down; `failed` then has the result."""
        if self._task is None or self._phase is not _Phase.RUNNING:
            return
        self._log.info("Waiting for application shutdown.")
        self._phase = _Phase.STOPPING
        self._stopping.set()
        await self._until(self._stopped)
        if self.shutdown_failed:
            self._log.error("Application shutdown failed. Exiting.")
        else:
            self._log.info("Application shutdown complete.")
        await self._end()

    async def cancel(self) -> None:
        """Cancel the application's task without sending it a message."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_GRACE)

    def _reset(self) -> None:
        self.startup_failed = False
        self.shutdown_failed = False
        self.error_occurred = False  # for programs that read uvicorn's attribute
        self._phase = _Phase.OVER
        self._received = 0  # how many of the two messages the application has received
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._idle = asyncio.Event()  # the application has returned, or waits for a message that will not come

    async def _run(self) -> None:
        asgi = {"version": "3.0", "spec_version": "2.0"}
        scope: Scope = {"type": "lifespan", "asgi": asgi, "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
            if self._phase is _Phase.STARTING:
                self._phase = _Phase.RUNNING
        except BaseException as error:
            self._raised(error)
        finally:
            for event in (self._started, self._stopped, self._idle):
                event.set()

    def _raised(self, error: BaseException) -> None:
        cancelled = isinstance(error, asyncio.CancelledError) and self._task is not None and self._task.cancelling()
        self.error_occurred = not cancelled
        if cancelled or self._phase is _Phase.OVER:
            self._phase = _Phase.OVER
        elif self._phase is _Phase.STARTING and self._mode == "auto":
            self._phase = _Phase.OVER
            self._log.info("ASGI 'lifespan' protocol appears unsupported.")
            self._log.debug("The exception was:", exc_info=error)
        else:
            self._fail()
            self._log.error("Exception in 'lifespan' protocol\n", exc_info=error)

    def _fail(self) -> None:
        self.startup_failed = self._phase is _Phase.STARTING
        self.shutdown_failed = not self.startup_failed
        self._phase = _Phase.OVER

    async def _receive(self) -> Message:
        if self._received == 0:
            self._received = 1
            return {"type": "lifespan.startup"}
        if self._phase is not _Phase.OVER:
            await self._stopping.wait()
        if self._phase is _Phase.STOPPING and self._received == 1:
            self._received = 2
            return {"type": "lifespan.shutdown"}
        self._idle.set()
        return await asyncio.Future()

    async def _send(self, message: Message) -> None:
        match message["type"], self._phase:
            case "lifespan.startup.complete", _Phase.STARTING:
                self._phase = _Phase.RUNNING
                self._started.set()
            case "lifespan.startup.failed", _Phase.STARTING:
                self._fail()
                self._started.set()
            case "lifespan.shutdown.complete", _Phase.STOPPING:
                self._phase = _Phase.OVER
                self._stopped.set()
            case "lifespan.shutdown.failed", _Phase.STOPPING:
                self._fail()
                self._stopped.set()
            case kind, phase:
                raise RuntimeError(f"{kind!r} is not a message that lifespan expects while {phase.name.lower()}")
        if self.failed and message.get("message"):
            self._log.error("%s", message["message"])

    async def _until(self, event: asyncio.Event) -> None:
        try:
            await event.wait()
        except asyncio.CancelledError:
            await self.cancel()
            raise

    async def _end(self) -> None:
        """Give the application some seconds to return, then cancel it."""
        try:
            async with asyncio.timeout(_GRACE):
                await self._idle.wait()
        except TimeoutError:
            pass
        finally:
            await self.cancel()
