"""Errors that cross a room's border. Each carries what becomes of it: a status, a code, an OSError."""


class ProtocolError(Exception):
    """A request that is refused: answered with `status`, then the connection closes (RFC 9112)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.status})"


class ClientDisconnected(OSError):
    """Raised by `send()` once the client is gone (ASGI HTTP 2.4)."""


class StartupError(Exception):
    """The server cannot start. The message is the one line to log; `__cause__` is set when the user's own code
    raised.
    """

    code = 3
