"""Interfaces of what surrounds the hot path. Not compiled: its modules import them for type checkers only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pronghorn.errors import ProtocolError

    from .request import Request
    from .websocket import WebSocket

CallSoon: TypeAlias = Callable[[Callable[[], None]], object]
"""An event loop's `call_soon`."""

Client: TypeAlias = tuple[str, int]
"""Host and port, as `scope["client"]` has them."""

Server: TypeAlias = tuple[str, int | None]
"""Host and port or, of a Unix socket, its path and None, as `scope["server"]` has them."""


class Transport(Protocol):
    """As much of an `asyncio.Transport` as the hot path uses."""

    def write(self, data: bytes, /) -> None:
        """Write `data`, now or when the client takes it."""

    def writelines(self, pieces: Iterable[bytes], /) -> None:
        """As `write`, for several buffers."""

    def is_closing(self) -> bool:
        """Return whether the transport is closed, or closes once it is empty."""


class Compressor(Protocol):
    """As much of a compression object of zlib's as permessage-deflate uses."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


class Decompressor(Protocol):
    """As much of a decompression object of zlib's as permessage-deflate uses."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class ConnectionOwner(Protocol):
    """The owner of one connection: does for it everything that needs a socket, a loop or a logger."""

    # Exchanges

    def on_request(self, request: Request) -> None:
        """A request has come: run the application."""

    def on_upgrade(self, request: Request) -> None:
        """`request` asks for an upgrade that is not taken; `on_request` follows."""

    def on_websocket(self, session: WebSocket) -> None:
        """A WebSocket's handshake has come, in place of `on_request`: run the application."""

    def on_accepted(self, session: WebSocket) -> None:
        """The application has accepted `session`."""

    def on_denied(self, session: WebSocket, status: int) -> None:
        """The application has answered the handshake of `session` with an HTTP response."""

    def on_refused(self, error: ProtocolError) -> None:
        """The client's request is refused for `error`."""

    def on_stalled(self, request: Request) -> None:
        """The client has ended its stream, and the response does not go on."""

    def send_file(self, request: Request, message: dict[str, Any]) -> Awaitable[object]:
        """Return an awaitable that sends the file which `message`, a pathsend or zerocopysend, names."""

    # The transport

    def pause(self) -> None:
        """Pause reading."""

    def resume(self) -> None:
        """Resume reading."""

    def finish_writing(self) -> None:
        """End the stream behind what was written."""

    def close(self) -> None:
        """Close behind what was written."""

    def abort(self) -> None:
        """Close now, by a reset."""

    def unsent(self) -> int:
        """Return the number of bytes that wait in the transport."""

    def unread(self) -> int:
        """Return that number, plus that of the bytes which the client's system has not acknowledged."""

    def delivered(self, handed: int) -> int:
        """Return a number that grows as the client's system acknowledges some of the `handed` bytes."""

    def has_left(self) -> bool:
        """Return whether the client is known to be gone."""

    # The loop

    def defer(self) -> None:
        """Call the connection's `proceed` in the next event-loop iteration."""

    # Reports

    def on_cut(self, reason: str) -> None:
        """The client was too slow; `abort` follows."""

    def on_log_failed(self, error: Exception) -> None:
        """A line of the access log was lost. Raises nothing."""

    def on_crash(self, error: Exception) -> None:
        """Anything else was raised where other connections are served too. Raises nothing."""
