"""Errors that cross a room's border. Each carries what becomes of it: a status, a code, an OSError."""

from asyncio import CancelledError


class ProtocolError(Exception):
    """A request that is refused: answered with `status`, then the connection closes (RFC 9112)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.status})"


class FrameError(Exception):
    """A WebSocket that is failed: told `code` and `reason` in a close frame, then the connection closes (RFC 6455
    section 7.1.7).
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


class ClientDisconnected(OSError):
    """Raised by `send()` once the client is gone (ASGI 2.4)."""


class StartupError(Exception):
    """The server cannot start. The message is the one line to log; `__cause__` is set when the user's own code
    raised.
    """

    code = 3
    is_reported = False
    """Whether its line has been logged."""


class StartupExit(StartupError, SystemExit):
    """What `Server.serve` and `run` raise, having logged it: it ends a program that does not catch it."""

    code = StartupError.code
    is_reported = True


def is_disconnect(error: BaseException, heard: bool = False) -> bool:
    """Whether an application's error only says that its client has left, however its framework wraps that.

    `heard`: the application has received the disconnect, and may raise an error of its framework's: `ClientDisconnect`
    or `WebSocketDisconnect` of Starlette, FastAPI and baize, `WebSocketDisconnect` of Litestar, `WebSocketDisconnected`
    of Falcon and Strawberry, `ClientDisconnectedError` of Quart, `WebSocketDisconnectError` of BlackSheep. Before, such
    an error counts only if it wraps one of ours. The name decides, so that no framework has to be imported.
    """
    if isinstance(error, (ClientDisconnected, CancelledError)):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(is_disconnect(each, heard) for each in error.exceptions)
    inner = error.__cause__
    if "Disconnect" in type(error).__name__:
        if heard:
            return True
        inner = inner or error.__context__
    return inner is not None and is_disconnect(inner, heard)
