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

from pronghorn import tasks
from pronghorn.readers import Readers
from pronghorn.tls_context import Context

if TYPE_CHECKING:
    from pronghorn.config import Config

# Bytes that a connection encrypts before it writes them, which its transport does not count as unsent: four records.
_OUTGOING = 4 * (16 * 1024 + 64)
# Connections accepted in a turn of the loop before those that are there have theirs.
_ACCEPTED = 64
# Seconds for the handshakes that are under way when the server stops.
_GRACE = 1
# Seconds, since None means a default.
_NEVER = 10**6
# Seconds until accepting is tried again when the system has no descriptors left.
_RETRY = 1

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
    server = _Server(loop, factory, sock, config, warn)
    try:
        server.listen()
    except NotImplementedError:  # a loop of completions rather than of readiness
        return await loop.create_server(factory, sock=sock, ssl=config.ssl, backlog=config.backlog)
    return cast(asyncio.Server, server)


async def settle(servers: Iterable[asyncio.Server]) -> None:
    """Wait for the handshakes that are under way on closed `servers`, but not for long: give up those that hang."""
    handshakes = [task for server in servers for task in getattr(server, "handshakes", ())]
    if handshakes:
        _, hanging = await asyncio.wait(handshakes, timeout=_GRACE)
        for task in hanging:
            task.cancel()


class _Server:
    """One of asyncio's servers to those who look, on one socket that is the caller's to close.

    asyncio's own would not say which handshake has failed, nor could it wait for those that are under way.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: _Factory,
        sock: socket.socket,
        config: Config,
        warn: Callable[..., None],
    ) -> None:
        self.handshakes: set[asyncio.Task[None]] = set()
        self._loop = loop
        self._factory = factory
        self._sock: socket.socket | None = sock
        self._backlog = config.backlog
        self._warn = warn
        self._connect = _connector(loop, config)
        self._parameters = {
            "ssl": config.ssl,
            "ssl_handshake_timeout": config.timeout_first_byte or None,
            # The connection itself gives up on a client that does not read.
            "ssl_shutdown_timeout": _NEVER,
        }

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return () if self._sock is None else (self._sock,)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._sock is not None

    def listen(self) -> None:
        """Accept connections from now on."""
        if self._sock is not None:
            self._sock.setblocking(False)
            self._sock.listen(self._backlog)
            self._loop.add_reader(self._sock, self._accept)

    def close(self) -> None:
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock = None

    async def wait_closed(self) -> None:
        while self.handshakes:
            await asyncio.wait(self.handshakes)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED):
            if self._sock is None:
                return
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._warn("Cannot accept connections: %s", error.strerror)
                self._loop.remove_reader(self._sock)
                self._loop.call_later(_RETRY, self.listen)
                return
            sock.setblocking(False)
            task = tasks.create(self._shake_hands(sock, address), self._loop)
            self.handshakes.add(task)
            task.add_done_callback(self.handshakes.discard)

    async def _shake_hands(self, sock: socket.socket, address: Any) -> None:
        try:
            await self._connect(self._factory, sock, **self._parameters)
        except OSError as error:
            # Its frames hold the transport, and that the error: large buffers would wait for the collector of cycles.
            error.__traceback__ = None
            if isinstance(error, ssl.SSLError):  # not one that has left, or said nothing for too long
                client = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "a client"
                self._warn("TLS handshake with %s failed: %s", client, _reason(error))


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
