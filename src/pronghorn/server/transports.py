"""Facts about transports beyond their interface: those of asyncio and uvloop, plain and with TLS, and that of
aiofastnet. tests/server/test_transports.py checks each fact on real ones.

`sock` is the transport's socket, taken in `connection_made`: asyncio's TLS transport no longer has it once it is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Iterator

if sys.platform == "linux":
    import fcntl

ITERATIONS_TO_CONNECT = 3
"""Event-loop iterations between `accept()` and `connection_made()`, without TLS."""

# Transports that send bytes unchanged and keep the socket open until `connection_lost`.
_PLAIN = {
    ("asyncio.selector_events", "_SelectorSocketTransport"),
    ("uvloop.loop", "TCPTransport"),
    ("uvloop.loop", "UnixTransport"),
}

# Queries for the unacknowledged bytes in a socket's send buffer: an ioctl on Linux, a socket option on macOS.
_SIOCOUTQ = 0x5411
_SO_NWRITE = 0x1024

# The position of `tcpi_bytes_acked` in Linux's TCP_INFO.
_BYTES_ACKED = slice(120, 128)

# SO_LINGER on, with a timeout of 0: closing discards unsent data. Two integers, on Windows two shorts.
_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

# Errors of getpeername() on a socket that is no longer connected, on Linux and on macOS.
_NO_PEER = {errno.ENOTCONN, errno.EINVAL}


def is_secure(transport: asyncio.BaseTransport) -> bool:
    """Return whether the transport encrypts. Such a transport has no half-close: it closes when `eof_received` returns,
    whatever that returns.
    """
    return transport.get_extra_info("sslcontext") is not None


def is_http2(transport: asyncio.BaseTransport) -> bool:
    """Return whether the client has chosen HTTP/2 in its TLS handshake (RFC 7301, RFC 9113 section 3.2)."""
    tls = transport.get_extra_info("ssl_object")
    return tls is not None and tls.selected_alpn_protocol() == "h2"


def direct_fd(transport: asyncio.BaseTransport, sock: socket.socket | None) -> int:
    """Return the descriptor that may be written to directly while the transport's buffer is empty, or -1.

    Never on Windows, where sockets are not file descriptors.
    """
    kind = type(transport)
    if sock is None or (kind.__module__, kind.__name__) not in _PLAIN or os.name == "nt":
        return -1
    return sock.fileno()


def needs_joining(transport: asyncio.BaseTransport) -> bool:
    """Return whether to join buffers instead of calling `writelines`: asyncio's applies no backpressure."""
    return _is_of_asyncio(transport)


def ends_twice(transport: asyncio.BaseTransport) -> bool:
    """Return whether a transport that is ended or written to inside `resume_writing`, where a write may fail, can call
    `connection_lost` twice: asyncio's does.
    """
    return _is_of_asyncio(transport)


def reports_reset(transport: asyncio.Transport) -> bool:
    """Return whether the event loop reports an error if a client resets the connection just when `transport` ends its
    stream, after unsent data: asyncio's does.
    """
    return _is_of_asyncio(transport) and transport.can_write_eof()


def is_reentrant(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether an application may run the loop inside a callback: nest_asyncio makes that possible."""
    return hasattr(loop, "_nest_patched")


def end_stream(transport: asyncio.Transport) -> None:
    """End our half of the stream after the data already written; but see `reports_reset`. With TLS this does nothing:
    closing instead would destroy the response, as the transports reset a client that keeps sending.
    """
    if transport.can_write_eof():
        try:
            transport.write_eof()
        except OSError:  # the client is gone, but asyncio has not noticed it
            transport.abort()


def has_input(sock: socket.socket) -> bool:
    """Return whether `sock` has bytes to read, or its peer has ended the stream. False on Windows."""
    has = False
    if sys.platform != "win32" and sock.fileno() >= 0:  # asyncio's TLS closes it before `connection_lost`
        has = _has_event(sock, select.POLLIN)
    return has


def has_peer_ended(transport: asyncio.BaseTransport, sock: socket.socket | None) -> bool:
    """Return whether the peer is known to have ended its stream, possibly after bytes that are not read yet.

    Transports report that only after those bytes, and nothing while reading is paused, so this asks the system.
    """
    ended = False
    if sys.platform != "win32" and hasattr(select, "POLLRDHUP") and sock is not None and not transport.is_closing():
        ended = _has_event(sock, select.POLLRDHUP)
    return ended


@contextlib.contextmanager
def flushing(transport: asyncio.Transport) -> Iterator[None]:
    """Inside, the transport is writable only when its buffer is empty: a `sendfile` that is cancelled before that makes
    the transport unusable. Only for transports without TLS, of which some would pause forever.
    """
    transport.set_write_buffer_limits(0)
    try:
        yield
    finally:
        transport.set_write_buffer_limits()


def unacknowledged(sock: socket.socket) -> int | None:
    """Return the number of sent bytes that the peer may still acknowledge; None if the system does not report it."""
    size: int | None = None
    with contextlib.suppress(OSError, ValueError):  # the socket is closed
        if _is_reset(sock):  # the system still counts unsent bytes
            size = 0
        elif sys.platform == "linux":
            size = int.from_bytes(fcntl.ioctl(sock.fileno(), _SIOCOUTQ, bytes(4)), sys.byteorder)
        elif sys.platform == "darwin":
            size = sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
    return size


def acknowledged(sock: socket.socket) -> int | None:
    """Return the total number of bytes that the peer has acknowledged; None if the system does not report it."""
    size: int | None = None
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):  # the socket is closed, or does not use TCP
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
            if len(info) == _BYTES_ACKED.stop:
                size = int.from_bytes(info[_BYTES_ACKED], sys.byteorder)
    return size


def reset_at_close(sock: socket.socket) -> None:
    """Make closing `sock` reset its connection. Unix sockets have no reset, and end their stream as usual."""
    with contextlib.suppress(OSError, ValueError):  # the socket is closed
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


if sys.platform != "win32":

    def _has_event(sock: socket.socket, event: int) -> bool:
        poll = select.poll()
        poll.register(sock.fileno(), event)
        return bool(poll.poll(0))


def _is_of_asyncio(transport: asyncio.BaseTransport) -> bool:
    return type(transport).__module__.startswith("asyncio.")


def _is_reset(sock: socket.socket) -> bool:
    """Return whether the peer has reset the connection."""
    try:
        sock.getpeername()
    except OSError as error:
        return error.errno in _NO_PEER
    return False
