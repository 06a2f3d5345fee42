"""Errors shared between modules. Each carries the response it leads to: a status, a close code, an OSError."""

from asyncio import CancelledError

from pronghorn.http2_constants import ERROR_NAMES


class ProtocolError(Exception):
    """A request is refused: the response has `status`, then the connection closes (RFC 9112)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.status})"


class FrameError(Exception):
    """A WebSocket connection fails: a close frame with `code` and `reason` is sent, then the connection closes (RFC
    6455 section 7.1.7).
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


class HTTP2Error(Exception):
    """An HTTP/2 connection fails: GOAWAY with `code` is sent, then the connection closes (RFC 9113 section 5.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({ERROR_NAMES[self.code]})"


class StreamError(HTTP2Error):
    """A stream of HTTP/2 fails: RST_STREAM with `code` is sent, the connection stays open (RFC 9113 section 5.4.2)."""


class ClientDisconnected(OSError):
    """Raised by `send()` once the client is gone (ASGI 2.4)."""


class StartupError(Exception):
    """The server cannot start. The message is the one line to log; `__cause__` is set when the user's own code
    raised.
    """

    code = 3
    is_reported = False
    """True once its line has been logged."""


class StartupExit(StartupError, SystemExit):
    """Raised by `Server.serve` and `run` after logging it. Ends a program that does not catch it."""

    code = StartupError.code
    is_reported = True


def is_disconnect(error: BaseException, knows: bool = False) -> bool:
    """Return whether an application's error only means that its client is gone, however its framework wraps that.

    `knows`: the application has received the disconnect, so it may raise its framework's error: `ClientDisconnect`
    or `WebSocketDisconnect` of Starlette, FastAPI and baize, `WebSocketDisconnect` of Litestar, `WebSocketDisconnected`
    of Falcon and Strawberry, `ClientDisconnectedError` of Quart, `WebSocketDisconnectError` of BlackSheep. Before
    that, such an error counts only if it wraps one of ours. The name decides, so no framework has to be imported.
    """
    if isinstance(error, (ClientDisconnected, CancelledError)):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(is_disconnect(each, knows) for each in error.exceptions)
    inner = error.__cause__
    if "Disconnect" in type(error).__name__:
        if knows:
            return True
        inner = inner or error.__context__
    return inner is not None and is_disconnect(inner, knows)
