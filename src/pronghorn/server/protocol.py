"""HTTP on an asyncio transport: callbacks and flow control. The wire does all parsing and formatting."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from pronghorn.application import calls
from pronghorn.constants import PIECE_SIZE
from pronghorn.errors import HTTP2Error, ProtocolError
from pronghorn.listen import unsent
from pronghorn.listen.addresses import get_local_addr, get_remote_addr
from pronghorn.logging.formatters import TRACE_LOG_LEVEL
from pronghorn.logging.log import say
from pronghorn.metrics import layout
from pronghorn.server import transports
from pronghorn.server.state import ServerState

if TYPE_CHECKING:
    from pronghorn._wire.exchange import Exchange
    from pronghorn._wire.http1.connection import Connection
    from pronghorn._wire.http2.connection import HTTP2Connection
    from pronghorn._wire.request import Request
    from pronghorn._wire.websocket.session import WebSocket
    from pronghorn.listen.proxy_protocol import Addresses

# The reader of the input. The inbox reads for connections that are used again, and for large bodies: for a single short
# request, joining it costs more than it gains.
OPENED = 0  # the transport, no byte has arrived
USED = 1  # the transport, until the client sends again
INBOX = 2  # the inbox of the server; the transport is paused
TRANSPORT = 3  # the transport, to the end

# Seconds between checks of a TLS connection that is closing.
_CLOSE_POLL = 0.05


class HTTPProtocol(asyncio.Protocol):
    """One connection. Passes the events of the transport to `connection`, as its owner (see `_wire._interfaces`).

    `_reader`: OPENED -> USED -> INBOX -> TRANSPORT. Connections that the inbox cannot read begin with TRANSPORT.
    """

    __slots__ = (
        "_ends_later",
        "_fd",
        "_has_read_much",
        "_is_secure",
        "_reader",
        "_resumes_later",
        "_socket",
        "_state",
        "_transport",
        "addresses",
        "connection",
        "may_be_proxy",
        "on_request",
        "on_websocket",
        "sending",
    )

    connection: Connection | HTTP2Connection
    on_request: calls.Start
    on_websocket: calls.Start
    """Set for each connection, so that the hot path calls the application without a Python method in between."""
    sending: asyncio.Future[Any] | None
    """The file operation in progress, if any."""
    addresses: Addresses | None
    """Those of the PROXY protocol, if the connection began with any."""
    may_be_proxy: bool
    """False if forwarding fields do not count, even if the client's address is that of a trusted proxy."""
    _transport: asyncio.Transport

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.on_request = state.start_request
        self.on_websocket = state.start_websocket
        self._reader = OPENED
        self._has_read_much = False
        self._resumes_later = False
        self._ends_later = False
        self.sending = None
        self.addresses = None
        self.may_be_proxy = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        state = self._state
        self._transport = cast("asyncio.Transport", transport)
        self._is_secure = transports.is_secure(transport)
        self._socket = transport.get_extra_info("socket")
        self._fd = fd = transports.direct_fd(transport, self._socket)
        self.connection = self._make(transports.is_http2(transport))
        # A subclass may override `data_received`, which the inbox does not call.
        if fd < 0 or state.inbox is None or type(self).data_received is not HTTPProtocol.data_received:
            self._reader = TRANSPORT
        state.connections.add(self)
        state.count(layout.ACCEPTED)
        if state.traces:
            self._trace("made")

    def data_received(self, data: bytes) -> None:
        self.connection.receive(data)
        if self._reader == USED or (self._reader == OPENED and len(data) >= PIECE_SIZE):
            self._join_inbox()
        elif self._reader == OPENED:
            self._reader = USED

    def eof_received(self) -> bool:
        self.connection.end_input()
        if not self._is_secure:
            return True
        # The transport closes now, after sending what it was given so far.
        self.connection.flush()
        self._lose()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._resumes_later = False
        self._remove_from_inbox()
        self._state.remove_connection(self)
        self._lose()
        if self._state.traces:
            self._trace("lost")

    def pause_writing(self) -> None:
        self._resumes_later = False
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        if not self._has_read_much and self._socket is not None:
            received = transports.acknowledged(self._socket)
            if received is not None and received >= unsent.TRUST:
                self._has_read_much = True
                unsent.lift(self._socket)
        if transports.ends_twice(self._transport):
            self._resumes_later = True
            self._state.loop.call_soon(self._resume_later)
        else:
            self.connection.resume_writing()

    def is_idle(self) -> bool:
        """Return whether no request is in progress."""
        return self.connection.is_idle()

    def shutdown(self) -> None:
        """Close gracefully, as the server is stopping. May be called again."""
        try:
            self.connection.drain()
        except Exception as error:
            self.on_crash(error)

    def abort(self) -> None:
        """Reset the connection: a partial response must not look complete to the client."""
        if self._socket is not None:
            transports.reset_at_close(self._socket)
        self._end(self._transport.abort)

    # Called by the connection

    def on_upgrade(self, request: Request) -> None:
        self._state.warn("Unsupported upgrade request.")

    def on_accepted(self, session: WebSocket) -> None:
        self._state.count(layout.WEBSOCKETS)
        self._state.count(layout.OPEN_WEBSOCKETS)
        calls.log_accepted(session)

    def on_denied(self, session: WebSocket, status: int) -> None:
        calls.log_denied(session, status)

    def on_closed(self, session: WebSocket) -> None:
        self._state.count(layout.OPEN_WEBSOCKETS, -1)
        calls.log_closed()

    def on_refused(self, error: ProtocolError | HTTP2Error) -> None:
        if self._state.recorder is not None:
            self._state.recorder.refused(error)
        self._state.warn("Invalid HTTP request received. %s: %s", self.connection.peer_text or "client", error)

    def on_slow_client(self, reason: str) -> None:
        self._state.warn("Connection cut off. %s: %s", self.connection.peer_text or "client", reason)

    def on_preface(self, data: bytes) -> None:
        in_inbox = self._reader == INBOX
        if in_inbox:
            self._state.inbox.remove(self._fd)
        self.connection = self._make(True)
        if in_inbox and not self._add_to_inbox():
            self._transport.resume_reading()
        try:
            self.connection.receive(data)
        except Exception as error:  # the inbox would tell the old connection
            self.on_crash(error)

    def on_left(self, exchange: Exchange) -> None:
        calls.end_without_client(self._state, exchange)

    def on_overdue(self, is_answered: bool) -> None:
        self._state.warn(
            "Request timed out. %s: it took more than %d s, and %s",
            self.connection.peer_text or "client",
            self._state.shared.limits.request_timeout,
            "was answered with 503" if is_answered else "its response was cut off",
        )

    def on_log_failed(self, error: Exception) -> None:
        say(logging.ERROR, "Exception in the access log\n", error=error)

    def on_crash(self, error: Exception) -> None:
        say(logging.ERROR, "Exception in a connection\n", error=error)
        try:
            self.abort()
        except Exception:  # even the transport fails
            self._state.remove_connection(self)
            with contextlib.suppress(Exception):
                self._lose()

    def pause(self) -> None:
        if self._reader == INBOX:
            self._state.inbox.remove(self._fd)
        else:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._reader != INBOX or not self._add_to_inbox():
            self._transport.resume_reading()

    def leave_inbox(self, failed: bool) -> None:
        self._remove_from_inbox()
        if failed:
            self._end(self._transport.abort)
        else:
            self._transport.resume_reading()

    def defer(self) -> None:
        self._state.loop.call_soon(self.connection.process_deferred)

    def finish_writing(self) -> None:
        if transports.reports_reset(self._transport) and self.unsent():
            self._ends_later = True
            self._transport.set_write_buffer_limits(0)  # it resumes writing once it has sent everything
        else:
            transports.end_stream(self._transport)

    def close(self) -> None:
        if self._is_secure:
            # The engine starts a timer of many days. asyncio may keep it after it was cancelled, with its context: that
            # of a request, if the application's task has come here.
            contextvars.Context().run(self._close_secure)
        else:
            self._close()

    def unsent(self) -> int:
        return self._transport.get_write_buffer_size()

    def unread(self) -> int:
        return self.unsent() + (0 if self._socket is None else transports.unacknowledged(self._socket) or 0)

    def delivered(self, handed: int) -> int:
        size = None if self._socket is None else transports.acknowledged(self._socket)
        return handed - self.unread() if size is None else size

    def has_input(self) -> bool:
        return self._socket is not None and transports.has_input(self._socket)

    def has_left(self) -> bool:
        return transports.has_peer_ended(self._transport, self._socket)

    def send_file(self, request: Request, message: dict[str, Any]) -> Coroutine[Any, Any, None]:
        from pronghorn.server import file_sending  # few servers send files

        if not isinstance(self.connection, self._state.wire.Connection):
            return file_sending.send_as_body(self._state.loop, request, message)
        owner = cast("file_sending.Owner", self)
        return file_sending.send_file(self._state.loop, self._transport, owner, request, message)

    def _make(self, is_http2: bool) -> Connection | HTTP2Connection:
        """A connection of HTTP/2 or 1.1 on the transport."""
        state = self._state
        transport = self._transport
        kind = state.wire.load_http2() if is_http2 else state.wire.Connection
        client, server = self.addresses or (get_remote_addr(transport), get_local_addr(transport))
        joins = transports.needs_joining(transport)
        tls = None
        if self._is_secure:
            from pronghorn.listen import tls_extension  # only needed here

            tls = tls_extension.describe(transport)
        return kind(
            self, transport, state.outbox, state.shared, client, server, self._fd, joins, tls, self.may_be_proxy
        )

    def _trace(self, what: str) -> None:
        client = self.connection.peer_text
        say(TRACE_LOG_LEVEL, "%sHTTP connection %s", f"{client} - " if client else "", what)

    def _lose(self) -> None:
        """Handle the loss of the client: it cannot be reached any more. May be called again."""
        for exchange in self.connection.exchanges():
            calls.end_without_client(self._state, exchange)
        self.connection.lose()

    def _close(self) -> None:
        if not self._transport.is_closing():
            self._end(self._transport.close)

    def _close_secure(self) -> None:
        self._close()
        self._state.loop.call_later(_CLOSE_POLL, self._abort_once_delivered, False)

    def _end(self, end: Callable[[], None]) -> None:
        """Close or abort the transport; before that, cancel a running sendfile, during which asyncio's would fail."""
        self._remove_from_inbox()
        if self.sending is None:
            end()
        else:
            self.sending.add_done_callback(lambda _: end())
            self.sending.cancel()

    def _resume_later(self) -> None:
        if self._resumes_later:
            self._resumes_later = False
            try:
                if self._ends_later:
                    transports.end_stream(self._transport)
                self.connection.resume_writing()
            except Exception as error:
                self.on_crash(error)

    def _join_inbox(self) -> None:
        if transports.is_reentrant(self._state.loop):
            self._reader = TRANSPORT  # the inbox has one callback for all connections, which cannot run inside itself
        elif self._transport.is_reading() and not self._transport.is_closing() and self._add_to_inbox():
            self._transport.pause_reading()
            self._reader = INBOX

    def _add_to_inbox(self) -> bool:
        """Add the connection to the inbox. At a limit of the system, leave it to the transport and return false."""
        try:
            self._state.inbox.add(self._fd, self.connection)
        except OSError:
            self._reader = TRANSPORT
            return False
        return True

    def _remove_from_inbox(self) -> None:
        if self._reader == INBOX:
            self._reader = TRANSPORT
            self._state.inbox.remove(self._fd)

    def _abort_once_delivered(self, had_all: bool) -> None:
        """Close a TLS connection once the client has everything, without its close_notify (RFC 8446 section 6.1).

        A client does not read from its idle connections, and so does not answer.
        """
        if self not in self._state.connections:
            return
        has_all = not self.unsent() and transports.unacknowledged(self._socket) == 0
        if has_all and had_all:
            self._transport.abort()
        else:
            # Checked twice: the transport may have passed more to the system in between.
            self._state.loop.call_later(_CLOSE_POLL, self._abort_once_delivered, has_all)
