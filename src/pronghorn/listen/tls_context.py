"""The TLS context of a configuration."""

from __future__ import annotations

import enum
import functools
import getpass
import logging
import os
import re
import ssl
import stat
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from pronghorn.errors import StartupError
from pronghorn.listen import server_names

if TYPE_CHECKING:
    from pronghorn.types import Path

_log = logging.getLogger("pronghorn.error")

# The protocols that the handshake offers to a client that may choose (RFC 7301).
_HTTP2_FIRST = ["h2", "http/1.1"]

# uvicorn's default, which programs pass on. OpenSSL would take it for the ciphers of a version that is not supported.
_UVICORNS = "TLSv1"
# Ciphers without a certificate or without encryption, which names of groups include.
_NEVER = ":!aNULL:!eNULL"

# Values of --ssl-version. A context of the first two refuses what is older than TLS 1.2.
_SERVED = {ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLSv1_2}

# The flags that name the files of the certificate and of the key, for errors.
_FLAGS = ("--ssl-certfile", "--ssl-keyfile")

_terminal = threading.Lock()

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Options(Protocol):
    """The parameters of a configuration that concern TLS."""

    ssl_keyfile: Path | None
    ssl_certfile: Path | None
    ssl_keyfile_password: str | None
    ssl_version: int
    ssl_cert_reqs: int
    ssl_ca_certs: Path | None
    ssl_ciphers: str | None
    ssl_sni: list[str] | str | None
    ssl_context_factory: Callable[..., ssl.SSLContext] | None
    http2: bool

    @property
    def is_ssl(self) -> bool:
        """True if the server uses TLS."""


class _Callbacks(enum.Enum):
    """The state of a context's Python callbacks."""

    NONE = enum.auto()
    SET = enum.auto()
    REFUSED = enum.auto()


class Context(ssl.SSLContext):
    """A context that knows whether it has Python callbacks, and can refuse them.

    `certificate` is the one that clients are sent, as PEM; None if there are several, for several kinds of keys.
    """

    certificate: str | None = None
    _callbacks = _Callbacks.NONE
    _loaded = 0

    def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        super().load_cert_chain(certfile, keyfile, password)
        self._loaded += 1
        self.certificate = _first_certificate(certfile) if self._loaded == 1 else None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("sni_callback", "keylog_filename", "_msg_callback") and value is not None:
            self._set_callback()
        super().__setattr__(name, value)

    if sys.version_info >= (3, 13):

        def set_psk_server_callback(self, callback: Any, identity_hint: str | None = None) -> None:
            if callback is not None:
                self._set_callback()
            super().set_psk_server_callback(callback, identity_hint)

    def has_callbacks(self) -> bool:
        return self._callbacks is _Callbacks.SET

    def refuse_callbacks(self) -> None:
        self._callbacks = _Callbacks.REFUSED

    def _set_callback(self) -> None:
        if self._callbacks is _Callbacks.REFUSED:
            raise RuntimeError("This context is in use and takes no callback: set it in ssl_context_factory.")
        self._callbacks = _Callbacks.SET


def make_context(options: Options) -> ssl.SSLContext | None:
    """Create the context for `options`; None if it does not use TLS. Raises StartupError with the reason."""
    factory = options.ssl_context_factory
    if factory is not None:
        context = factory(options, lambda: _default_context(options))
        if not isinstance(context, ssl.SSLContext):
            raise StartupError(f"ssl_context_factory has to return an ssl.SSLContext, not {context!r}.")
        if options.http2:
            context.set_alpn_protocols(_HTTP2_FIRST)
        return context
    if not options.is_ssl:
        return None
    context = _default_context(options)
    if context.verify_mode == ssl.CERT_NONE and options.ssl_ca_certs:
        _log.warning("--ssl-ca-certs has no effect without --ssl-cert-reqs: no client is asked for a certificate.")
    elif context.verify_mode != ssl.CERT_NONE and not options.ssl_ca_certs:
        whose = "every client" if context.verify_mode == ssl.CERT_REQUIRED else "a client that shows a certificate"
        _log.warning("--ssl-cert-reqs without --ssl-ca-certs trusts no authority: %s is refused.", whose)
    return context


def create_ssl_context(
    certfile: Path,
    keyfile: Path | None,
    password: str | None,
    ssl_version: int,
    cert_reqs: int,
    ca_certs: Path | None,
    ciphers: str | None,
    alpn_protocols: list[str] | None = None,
    flags: tuple[str, str] = _FLAGS,
) -> Context:
    """Create a context from parameters like those of a configuration. Raises StartupError, which names the flag:
    `flags` are those of the certificate and the key.
    """
    for flag, path in zip((*flags, "--ssl-ca-certs"), (certfile, keyfile, ca_certs), strict=True):
        if path:
            _check_readable(flag, path)
    try:
        context = Context(ssl_version)
    except ValueError:
        raise StartupError(f"--ssl-version: {ssl_version} is not a protocol of this Python.") from None
    if context.protocol not in _SERVED:
        raise StartupError(f"--ssl-version: {context.protocol.name} does not serve TLS 1.2 or later.")
    _load_certificate(context, certfile, keyfile, password, flags)
    try:
        context.verify_mode = ssl.VerifyMode(cert_reqs)
    except ValueError:
        raise StartupError(f"--ssl-cert-reqs: {cert_reqs} is not 0, 1 or 2.") from None
    if ca_certs:
        try:
            context.load_verify_locations(ca_certs)
        except OSError:  # ssl.SSLError is one
            raise StartupError(f"--ssl-ca-certs: no certificate in {str(ca_certs)!r}.") from None
    if ciphers and ciphers != _UVICORNS:
        try:
            context.set_ciphers(ciphers + _NEVER)
        except ssl.SSLError:
            raise StartupError(f"--ssl-ciphers: no cipher of this OpenSSL in {ciphers!r}.") from None
    if alpn_protocols:
        context.set_alpn_protocols(alpn_protocols)
    return context


def _default_context(options: Options) -> Context:
    """Create the context from the TLS parameters of `options`."""
    if not options.ssl_certfile:
        raise StartupError("TLS needs a certificate: --ssl-certfile is missing.")
    context = _context_of(options, options.ssl_certfile, options.ssl_keyfile)
    if options.ssl_sni:
        context.sni_callback = server_names.chooser(
            {
                each.name: _context_of(options, each.certfile, each.keyfile, (f"--ssl-sni {each.name}",) * 2)
                for each in server_names.parse(options.ssl_sni)
            }
        )
    return context


def _context_of(options: Options, certfile: Path, keyfile: Path | None, flags: tuple[str, str] = _FLAGS) -> Context:
    """Create a context with one certificate; for the rest, from `options`."""
    return create_ssl_context(
        certfile,
        keyfile,
        options.ssl_keyfile_password,
        options.ssl_version,
        options.ssl_cert_reqs,
        options.ssl_ca_certs,
        options.ssl_ciphers,
        _HTTP2_FIRST if options.http2 else None,
        flags,
    )


def _load_certificate(
    context: ssl.SSLContext, certificate: Path, keyfile: Path | None, given: str | None, flags: tuple[str, str]
) -> None:
    asked = False

    key = keyfile or certificate
    at_terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()

    def password() -> str:
        nonlocal asked
        asked = True
        return given or (_type_password(str(key)) if at_terminal else "")

    try:
        context.load_cert_chain(certificate, keyfile, password)
    except OSError as error:
        if asked and given:
            reason = f"--ssl-keyfile-password is not the password of {str(key)!r}."
        elif asked and at_terminal:
            reason = f"That is not the password of {str(key)!r}."
        elif asked:
            reason = f"The private key in {str(key)!r} is encrypted: --ssl-keyfile-password is missing."
        elif getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            reason = f"The private key in {str(key)!r} does not belong to the certificate in {str(certificate)!r}."
        elif not _contains(certificate, b"-----BEGIN CERTIFICATE"):
            reason = f"{flags[0]}: no certificate in {str(certificate)!r}."
        elif not _contains(key, b"PRIVATE KEY-----"):
            reason = f"{flags[1] if keyfile else flags[0]}: no private key in {str(key)!r}."
        else:
            reason = f"Cannot load the certificate in {str(certificate)!r} with the key in {str(key)!r}: {error}"
        raise StartupError(reason) from None


def _type_password(key: str) -> str:
    """Ask at the terminal for the password of the file `key`; once, as nobody may be there when it is renewed."""
    with _terminal:  # worker threads start at the same time
        return _ask(f"Password of {key}: ")


@functools.cache
def _ask(prompt: str) -> str:
    return getpass.getpass(prompt)


def _check_readable(flag: str, path: Path) -> None:
    reason = None
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb"):
                pass
        else:
            reason = "Not a regular file"  # opening a FIFO would block the event loop of a running server
    except OSError as error:
        reason = error.strerror
    if reason is not None:
        raise StartupError(f"{flag}: cannot read {str(path)!r}: {reason}.")


def _first_certificate(path: Path) -> str | None:
    """The first certificate in a file, as PEM without any other text; None if it is written in another form."""
    with open(path, encoding="latin-1") as file:
        found = _CERTIFICATE.search(file.read())
    return None if found is None else ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(found[0]))


def _contains(path: Path, mark: bytes) -> bool:
    """Return whether `mark` is in a file, which may have gone since it was checked."""
    try:
        with open(path, "rb") as file:
            return mark in file.read()
    except OSError:
        return False
