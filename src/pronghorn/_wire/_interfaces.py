"""Interfaces that the hot path uses. Not compiled: the hot path imports them for type checkers only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pronghorn.errors import HTTP2Error, ProtocolError

    from .exchange import Exchange
    from .request import Request
    from .websocket.session import WebSocket

CallSoon: TypeAlias = Callable[[Callable[[], None]], object]
"""An event loop's `call_soon`."""

Client: TypeAlias = tuple[str, int]
"""(host, port), as in `scope["client"]`."""

Server: TypeAlias = tuple[str, int | None]
"""(host, port) or, for a Unix socket, (path, None), as in `scope["server"]`."""


class Transport(Protocol):
    """The part of `asyncio.Transport` that the hot path uses."""

    def write(self, data: bytes, /) -> None:
        """Write `data` now, or once the client can take it."""

    def writelines(self, pieces: Iterable[bytes | memoryview], /) -> None:
        """Write several buffers, as `write` does one."""

    def is_closing(self) -> bool:
        """Return whether the transport is closed, or will close once its buffer is empty."""


class TakesTurns(Protocol):
    """A member of `Turns`."""

    def take_turn(self) -> int:
        """Go on, and return the number of bytes that were decompressed."""

    def crash(self, error: Exception, /) -> None:
        """Report an error of `take_turn`, and end only what has raised it. Raises nothing."""


class Poll(Protocol):
    """The part of `select.epoll` that the hot path uses."""

    def fileno(self) -> int:
        """Return the descriptor that is readable while one that is registered is."""

    def register(self, fd: int, events: int, /) -> None:
        """Watch `fd` for input, as `events` is EPOLLIN. Raises OSError at a limit of the system."""

    def unregister(self, fd: int, /) -> None:
        """Stop watching `fd`, which is still open."""

    def poll(self, timeout: int, limit: int, /) -> list[tuple[int, int]]:
        """Return up to `limit` of the readable descriptors, in turn if there are more. `timeout` is 0."""

    def close(self) -> None: ...


class ReaderLoop(Protocol):
    """The part of an event loop that calls readers."""

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> None:
        """Call `callback` while `fd` is readable."""

    def remove_reader(self, fd: int, /) -> object:
        """Stop calling."""


class Compressor(Protocol):
    """The part of zlib's compression objects that permessage-deflate uses."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


class Decompressor(Protocol):
    """The part of zlib's decompression objects that permessage-deflate uses."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class CompressionLibrary(Protocol):
    """The part of zlib, or of a library like it, that permessage-deflate uses."""

    @property
    def compressobj(self) -> Callable[..., Compressor]: ...
    @property
    def decompressobj(self) -> Callable[..., Decompressor]: ...
    @property
    def error(self) -> type[Exception]: ...
    @property
    def Z_SYNC_FLUSH(self) -> int: ...


class ConnectionOwner(Protocol):
    """The owner of one connection. Does everything for it that needs a socket, an event loop or a logger."""

    # Exchanges

    @property
    def on_request(self) -> Callable[[Request], None]:
        """Runs the application for a request."""

    def on_upgrade(self, request: Request) -> None:
        """Report that the Upgrade field of `request` is ignored; `on_request` follows."""

    @property
    def on_websocket(self) -> Callable[[WebSocket], None]:
        """Runs the application for a WebSocket handshake; replaces `on_request`."""

    def on_accepted(self, session: WebSocket) -> None:
        """Report that the application accepted `session`."""

    def on_denied(self, session: WebSocket, status: int) -> None:
        """Report that the application denied `session` with an HTTP response."""

    def on_closed(self, session: WebSocket) -> None:
        """Report the end of `session`, which the application had accepted."""

    def on_refused(self, error: ProtocolError | HTTP2Error) -> None:
        """Report that a request, or a connection of HTTP/2, is refused because of `error`."""

    def on_preface(self, data: bytes) -> None:
        """Continue with HTTP/2: `data`, the input so far, begins with its preface."""

    def on_left(self, exchange: Exchange) -> None:
        """End the application's call as the configuration says: its client has left."""

    def send_file(self, request: Request, message: dict[str, Any]) -> Awaitable[object]:
        """Return an awaitable that sends the file named in `message`, a pathsend or zerocopysend."""

    # The transport

    def pause(self) -> None:
        """Pause reading."""

    def resume(self) -> None:
        """Resume reading."""

    def leave_inbox(self, failed: bool) -> None:
        """Let the transport read the end of the stream or, if reading has `failed`, abort it."""

    def finish_writing(self) -> None:
        """End the stream after the data already written."""

    def close(self) -> None:
        """Close after the data already written."""

    def abort(self) -> None:
        """Reset the connection now."""

    def unsent(self) -> int:
        """Return the number of bytes in the transport's write buffer."""

    def unread(self) -> int:
        """Return `unsent()` plus the number of sent bytes that the client's system has not acknowledged."""

    def delivered(self, handed: int) -> int:
        """Return a number that grows whenever the client's system acknowledges some of the `handed` bytes."""

    def has_input(self) -> bool:
        """Return whether bytes have arrived that are not read yet."""

    def has_left(self) -> bool:
        """Return whether the client is known to have ended its stream."""

    # The loop

    def defer(self) -> None:
        """Call the connection's `process_deferred` in the next event-loop iteration."""

    # Reports

    def on_slow_client(self, reason: str) -> None:
        """Report that the client was too slow; `abort` follows."""

    def on_overdue(self, is_answered: bool) -> None:
        """Report that a request takes longer than its deadline: it `is_answered` next, or its response is cut off."""

    def on_log_failed(self, error: Exception) -> None:
        """Report that a line of the access log was lost. Raises nothing."""

    def on_crash(self, error: Exception) -> None:
        """Report any other error, and abort this connection alone. Raises nothing."""
