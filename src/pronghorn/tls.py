"""TLS: the context that a configuration asks for, and a server whose connections have shaken hands.

The engine is aiofastnet where it is installed, which takes half the time of asyncio's own, else that of the loop.
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

from pronghorn import listener
from pronghorn.errors import StartupError

if TYPE_CHECKING:
    from pronghorn.config import Config, Path

# Bytes that a connection encrypts before it writes them, which its transport does not count as unsent: four records.
_OUTGOING = 4 * (16 * 1024 + 64)
# Seconds for the handshakes that are under way when the server stops.
_GRACE = 1

_Factory = Callable[[], asyncio.BaseProtocol]


def engine() -> str:
    """What encrypts, for people: `aiofastnet` or `ssl`."""
    return "aiofastnet" if _aiofastnet() else "ssl"


def make_context(config: Config) -> ssl.SSLContext | None:
    """The context for `config`, None where it asks for no TLS. Raises StartupError with what is wrong."""
    factory = config.ssl_context_factory
    if factory is not None:
        context = factory(config, lambda: _default_context(config))
        if not isinstance(context, ssl.SSLContext):
            raise StartupError(f"ssl_context_factory has to return an ssl.SSLContext, not {context!r}.")
        return context
    return _default_context(config) if config.is_ssl else None


async def listen(
    loop: asyncio.AbstractEventLoop,
    factory: _Factory,
    sock: socket.socket,
    config: Config,
    warn: Callable[..., None],
) -> asyncio.Server:
    """Serve protocols of `factory` with `config.ssl` on the bound `sock`; `warn` logs what a client did wrong."""
    make = functools.partial(
        _connector(loop),
        factory,
        ssl=config.ssl,
        ssl_handshake_timeout=config.timeout_first_byte or None,
        ssl_shutdown_timeout=config.timeout_write or None,
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


def _connector(loop: asyncio.AbstractEventLoop) -> Callable[..., Awaitable[Any]]:
    """The engine: `loop.connect_accepted_socket`, or what replaces it."""
    aiofastnet = _aiofastnet()
    if aiofastnet is None:
        return loop.connect_accepted_socket
    connect = aiofastnet.connect_accepted_socket
    shown = cast(asyncio.AbstractEventLoop, _QuietLoop(loop))

    return functools.partial(connect, shown, ssl_outgoing_bio_size=_OUTGOING)


def _aiofastnet() -> ModuleType | None:
    try:
        import aiofastnet
    except ImportError:  # also where Python's OpenSSL lacks what it calls
        return None
    return aiofastnet


class _QuietLoop:
    """A loop that is not told of clients that close during their handshake, which aiofastnet takes for a fault."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if context.get("exception") is not ConnectionResetError:  # the class itself
            self._loop.call_exception_handler(context)


def _default_context(config: Config) -> ssl.SSLContext:
    """uvicorn's: `ssl_version`, the certificate and its key, and what is asked of clients."""
    if not config.ssl_certfile:
        raise StartupError("TLS needs a certificate: --ssl-certfile is missing.")
    for flag, path in (
        ("--ssl-certfile", config.ssl_certfile),
        ("--ssl-keyfile", config.ssl_keyfile),
        ("--ssl-ca-certs", config.ssl_ca_certs),
    ):
        if path:
            _check_readable(flag, path)
    try:
        context = ssl.SSLContext(config.ssl_version)
    except ValueError:
        raise StartupError(f"--ssl-version: {config.ssl_version} is not a protocol of this Python.") from None
    _load_certificate(context, config)
    try:
        context.verify_mode = ssl.VerifyMode(config.ssl_cert_reqs)
    except ValueError:
        raise StartupError(f"--ssl-cert-reqs: {config.ssl_cert_reqs} is not 0, 1 or 2.") from None
    if config.ssl_ca_certs:
        try:
            context.load_verify_locations(config.ssl_ca_certs)
        except ssl.SSLError:
            raise StartupError(f"--ssl-ca-certs: no certificate in {str(config.ssl_ca_certs)!r}.") from None
    if config.ssl_ciphers:
        try:
            context.set_ciphers(config.ssl_ciphers)
        except ssl.SSLError:
            raise StartupError(f"--ssl-ciphers: no cipher of this OpenSSL in {config.ssl_ciphers!r}.") from None
    return context


def _load_certificate(context: ssl.SSLContext, config: Config) -> None:
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return config.ssl_keyfile_password or ""

    certificate, key = config.ssl_certfile, config.ssl_keyfile or config.ssl_certfile
    at_terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    try:
        # Without a password OpenSSL asks for it, which takes somebody who can answer.
        context.load_cert_chain(
            cast("Path", certificate),
            config.ssl_keyfile,
            password if config.ssl_keyfile_password or not at_terminal else None,
        )
    except OSError as error:
        if asked and config.ssl_keyfile_password:
            reason = f"--ssl-keyfile-password is not the password of {str(key)!r}."
        elif asked:
            reason = f"The private key in {str(key)!r} is encrypted: --ssl-keyfile-password is missing."
        elif getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            reason = f"The private key in {str(key)!r} does not belong to the certificate in {str(certificate)!r}."
        elif not _contains(cast("Path", certificate), b"-----BEGIN CERTIFICATE"):
            reason = f"--ssl-certfile: no certificate in {str(certificate)!r}."
        elif not _contains(cast("Path", key), b"PRIVATE KEY-----"):
            reason = f"{'--ssl-keyfile' if config.ssl_keyfile else '--ssl-certfile'}: no private key in {str(key)!r}."
        else:
            reason = f"Cannot load the certificate in {str(certificate)!r} with the key in {str(key)!r}: {error}"
        raise StartupError(reason) from None


def _check_readable(flag: str, path: Path) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise StartupError(f"{flag}: cannot read {str(path)!r}: {error.strerror}.") from None


def _contains(path: Path, mark: bytes) -> bool:
    with open(path, "rb") as file:
        return mark in file.read()


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's name of what was wrong, as words: `http request`."""
    name = getattr(error, "reason", None)
    if not name:
        name = str(error).partition(": ")[2].partition("]")[0]
    return name.replace("_", " ").lower() if name else str(error)
