"""TLS: a server whose connections have shaken hands.

The engine is aiofastnet where it is installed, which takes half the time of asyncio's own, else that of the loop. The
loop's also serves a context that may call Python back: aiofastnet hands the bare context to OpenSSL, and its callbacks
would look for an object of Python's behind the connection, and crash.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from pronghorn import listener
from pronghorn.readers import Readers
from pronghorn.tls_context import Context

if TYPE_CHECKING:
    from pronghorn.config import Config

# Bytes that a connection encrypts before it writes them, which its transport does not count as unsent: four records.
_OUTGOING = 4 * (16 * 1024 + 64)
# Seconds for the handshakes that are under way when the server stops.
_GRACE = 1
# Seconds, since None means a default.
_NEVER = 10**6

_Factory = Callable[[], asyncio.BaseProtocol]


def engine(config: Config) -> str:
    """What encrypts for `config`, which is loaded, for people: `aiofastnet` or `ssl`."""
    return "ssl" if _aiofastnet_for(config) is None else "aiofastnet"


async def listen(
    loop: asyncio.AbstractEventLoop,
    factory: _Factory,
    sock: socket.socket,
    config: Config,
    warn: Callable[..., None],
) -> asyncio.Server:
    """Serve protocols of `factory` with `config.ssl` on the bound `sock`; `warn` logs what a client did wrong."""
    make = functools.partial(
        _connector(loop, config),
        factory,
        ssl=config.ssl,
        ssl_handshake_timeout=config.timeout_first_byte or None,
        # The connection itself gives up on a client that does not read.
        ssl_shutdown_timeout=_NEVER,
    )
    return await listener.listen(loop, factory, sock, config, warn, functools.partial(_shake_hands, make, warn))


async def settle(servers: Iterable[asyncio.Server]) -> None:
    """Wait for the handshakes that are under way on closed `servers`, but not for long: give up those that hang."""
    handshakes = [task for server in servers for task in getattr(server, "connecting", ())]
    if handshakes:
        _, hanging = await asyncio.wait(handshakes, timeout=_GRACE)
        for task in hanging:
            task.cancel()


async def _shake_hands(
    make: Callable[..., Awaitable[Any]], warn: Callable[..., None], sock: socket.socket, address: Any
) -> None:
    try:
        await make(sock)
    except OSError as error:
        # Its frames hold the transport, and that the error: large buffers would wait for the collector of cycles.
        error.__traceback__ = None
        if isinstance(error, ssl.SSLError):  # not one that has left, or said nothing for too long
            client = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "a client"
            warn("TLS handshake with %s failed: %s", client, _reason(error))


def _connector(loop: asyncio.AbstractEventLoop, config: Config) -> Callable[..., Awaitable[Any]]:
    """The engine: `loop.connect_accepted_socket`, or what replaces it."""
    aiofastnet = _aiofastnet_for(config)
    if aiofastnet is None:
        return loop.connect_accepted_socket
    cast(Context, config.ssl).refuse_callbacks()
    shown = cast(asyncio.AbstractEventLoop, _EngineLoop(loop))
    return functools.partial(aiofastnet.connect_accepted_socket, shown, ssl_outgoing_bio_size=_OUTGOING)


def _aiofastnet_for(config: Config) -> ModuleType | None:
    """aiofastnet if it may serve the context of `config`: one made here, of which all is known."""
    context = config.ssl
    if config.ssl_context_factory is not None or not isinstance(context, Context) or context.has_callbacks():
        return None
    return _aiofastnet()


def _aiofastnet() -> ModuleType | None:
    try:
        import aiofastnet
    except ImportError:  # also where Python's OpenSSL lacks what it calls
        return None
    return aiofastnet


class _EngineLoop:
    """A loop as aiofastnet is to see it: its readers hear of every reset, and it is not told of clients that close
    during their handshake, which aiofastnet takes for a fault.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        readers = Readers(loop)
        self.add_reader = readers.add
        self.remove_reader = readers.remove
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if context.get("exception") is not ConnectionResetError:  # the class itself
            self._loop.call_exception_handler(context)


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's name of what was wrong, as words: `http request`."""
    name = getattr(error, "reason", None)
    if not name:
        name = str(error).partition(": ")[2].partition("]")[0]
    return name.replace("_", " ").lower() if name else str(error)
