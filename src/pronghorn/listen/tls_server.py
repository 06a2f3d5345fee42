"""TLS: a server whose connections get their protocol after the handshake.

The handshake begins with the client's first byte, so that silent clients cost little, and those that speak plain HTTP
get an answer that they understand.

The engine is aiofastnet. A request needs half as many instructions as with asyncio's engine, and 15 % fewer than with
uvloop's. The event loop's engine serves instead where aiofastnet

- is not installed, or its import fails because Python's OpenSSL lacks a function that it needs
- finds no OpenSSL libraries because Python includes them, as uv's builds do: its fallback is slower than uvloop's
- cannot add readers: asyncio's loop on Windows has none
- would crash: it passes the bare context to OpenSSL, so the context's Python callbacks would look for a Python object
  behind the connection
- would refuse clients that come back: it sets no session id context, without which OpenSSL does not resume a session if
  the server asks for certificates
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from pronghorn.constants import PIECE_SIZE
from pronghorn.listen import listener, server_names, tls_context
from pronghorn.listen.addresses import show
from pronghorn.listen.peeking import peek
from pronghorn.listen.readers import Readers
from pronghorn.listen.tls_context import Context
from pronghorn.metrics import layout

if TYPE_CHECKING:
    from pronghorn.config import Config
    from pronghorn.listen.balance import Share
    from pronghorn.listen.listener import Report

# Bytes of a full TLS record, with room for what its cipher adds.
_RECORD = 16 * 1024 + 64
# Bytes that a connection encrypts before writing them. Its transport does not count them as unsent.
_OUTGOING = 4 * _RECORD
# Bytes that aiofastnet reads from a socket at once. With the record that it has begun, they must fit into the 256 KiB
# that it passes to the protocol at once: if the protocol then pauses, the rest waits until the client sends more.
_INCOMING = 14 * _RECORD
# Seconds for a client of plain HTTP to read the answer.
_LINGER = 2
# In seconds, since the engines take None for a default timeout.
_NEVER = 10**6
_ADVICE = b"This port takes HTTPS only: use https:// instead of http://.\n"
_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
    b"connection: close\r\n\r\n%b" % (len(_ADVICE), _ADVICE)
)
_HAS_READERS = sys.platform != "win32"


def engine(config: Config) -> str:
    """The display name of the TLS engine for the loaded `config`: `aiofastnet` or `ssl`."""
    return "ssl" if _aiofastnet_for(config) is None else "aiofastnet"


async def listen(
    loop: asyncio.AbstractEventLoop,
    factory: listener.Factory,
    sock: socket.socket,
    config: Config,
    report: Report,
    readers: Readers,
    share: Share | None = None,
    wraps: Iterable[listener.Wrap] = (),
) -> asyncio.Server:
    """Like `listener.listen`, with TLS. `report` is told of the errors of clients."""
    make = functools.partial(
        _connector(loop, config, readers),
        # The connection has its own deadline for a client that does not read.
        ssl_shutdown_timeout=_NEVER,
    )
    connect = functools.partial(_connect, loop, make, config, report)
    if config.ssl is not None and config.ssl.sni_callback is not None:
        server_names.silence_malformed()
    # asyncio's engine writes as soon as its transport has room. If the client has just left, the transport then closes
    # twice, and logs an error. A limit gives it room often.
    limits_unsent = _aiofastnet_for(config) is not None or not isinstance(loop, asyncio.SelectorEventLoop)
    return await listener.listen(loop, factory, sock, config, report.warn, connect, share, wraps, limits_unsent)


def renew(config: Config) -> None:
    """Read the certificates of `config` again, for later handshakes. Raises StartupError; then nothing changes."""
    context = tls_context.make_context(config)
    if _aiofastnet_for(config) is not None:
        cast(Context, context).refuse_callbacks()
    config.ssl = context


async def _connect(
    loop: asyncio.AbstractEventLoop,
    make: Callable[..., Awaitable[Any]],
    config: Config,
    report: Report,
    factory: listener.Factory,
    sock: socket.socket,
    address: Any,
) -> None:
    """Make the connection within `timeout_first_byte`. Raises OSError if the client leaves or is too slow."""
    limit = config.timeout_first_byte
    end = loop.time() + (limit or 0)
    try:
        first = await _first_byte(loop, sock, limit)
    except TimeoutError:  # not logged, as without TLS
        report.count(layout.TIMED_OUT + layout.FIRST_BYTE)
        raise
    if not first:
        sock.close()
        return
    if first.isalpha():  # the method of a request; the first byte of TLS is a control character
        _warn_of(address, "http request", report)
        await _refuse_plain_http(loop, sock)
        return
    try:
        # The engines take no timeout of 0.
        left = max(end - loop.time(), 0.001) if limit else _NEVER
        await make(factory, sock, ssl=config.ssl, ssl_handshake_timeout=left)
    except OSError as error:
        # Breaks a cycle through the traceback and the transport, which would keep large buffers until a collection.
        error.__traceback__ = None
        if isinstance(error, ssl.SSLError):  # not a disconnect
            _warn_of(address, _reason(error), report)
        elif isinstance(error, ConnectionAbortedError) and error.errno is None:  # the engines' error for a timeout
            report.count(layout.TIMED_OUT + layout.FIRST_BYTE)
            _warn_of(address, "not complete in time", report)


async def _first_byte(loop: asyncio.AbstractEventLoop, sock: socket.socket, limit: float | None) -> bytes:
    """Wait for the first byte, which stays in the socket; empty if the client sends none. Raises OSError."""
    try:
        async with asyncio.timeout(limit):
            return await peek(loop, sock, 1)
    except BaseException:
        sock.close()  # here, as the server cancels this when it stops
        raise


async def _refuse_plain_http(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Answer a request without TLS. Then read on until the client has the answer: a close would reset it."""
    with sock:
        async with asyncio.timeout(_LINGER):
            await loop.sock_sendall(sock, _PLAIN_HTTP)
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, PIECE_SIZE):
                pass


def _warn_of(address: Any, reason: str, report: Report) -> None:
    report.warn("TLS handshake with %s failed: %s", show(address), reason)


def _connector(loop: asyncio.AbstractEventLoop, config: Config, readers: Readers) -> Callable[..., Awaitable[Any]]:
    """The engine's `connect_accepted_socket`: that of `loop`, or that of aiofastnet."""
    aiofastnet = _aiofastnet_for(config)
    if aiofastnet is None:
        return loop.connect_accepted_socket
    cast(Context, config.ssl).refuse_callbacks()
    shown = cast(asyncio.AbstractEventLoop, _EngineLoop(loop, readers))
    return functools.partial(
        aiofastnet.connect_accepted_socket,
        shown,
        ssl_incoming_bio_size=_INCOMING,
        ssl_outgoing_bio_size=_OUTGOING,
    )


def _aiofastnet_for(config: Config) -> ModuleType | None:
    """aiofastnet, if it may serve the context of `config`: one created here, without callbacks or certificates of
    clients.
    """
    context = config.ssl
    if config.ssl_context_factory is not None or not isinstance(context, Context):
        return None
    return None if context.has_callbacks() or context.verify_mode != ssl.CERT_NONE else _aiofastnet()


def _aiofastnet() -> ModuleType | None:
    """aiofastnet, if it is installed and works with this Python."""
    try:
        import aiofastnet
    except ImportError:
        return None
    return aiofastnet if _HAS_READERS and aiofastnet.OPENSSL_DYN_LIBS is not None else None


class _EngineLoop:
    """The event loop as aiofastnet sees it: `readers` call it, and its reports of clients that close the
    connection during the handshake are dropped.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, readers: Readers) -> None:
        self.add_reader = readers.add
        self.remove_reader = readers.remove
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if context.get("exception") is not ConnectionResetError:  # aiofastnet gives the class itself
            self._loop.call_exception_handler(context)


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's name of the error, in words: `http request`."""
    name = getattr(error, "reason", None)
    if not name:
        name = str(error).partition(": ")[2].partition("]")[0]
    if name == "CALLBACK_FAILED":  # before its own callback, Python decodes the name
        return "the server name that the client asks for is not ASCII, or sni_callback has failed"
    return name.replace("_", " ").lower() if name else str(error)
