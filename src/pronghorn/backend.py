"""Select the form of the hot path (compiled, interpreted, or interpreted with llhttp's head parser) and the compression
library.
"""

from __future__ import annotations

import importlib
import os
import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from pronghorn.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pronghorn._wire import access_log, call, endpoint, inbox, outbox, proxies, shared, turns
    from pronghorn._wire._interfaces import Compressor, Decompressor
    from pronghorn._wire.http1 import connection
    from pronghorn._wire.http2.connection import HTTP2Connection
    from pronghorn._wire.metrics import Metrics
    from pronghorn._wire.observed import Observer
    from pronghorn.metrics.page import Page


class Wire(NamedTuple):
    """One form of the hot path: its display name, its package, and its classes, which have the same interface in every
    form.
    """

    name: str
    package: str
    Limits: type[shared.Limits]
    Shared: type[shared.Shared]
    Connection: type[connection.Connection]
    Outbox: type[outbox.Outbox]
    Inbox: type[inbox.Inbox]
    Reader: type[inbox.Reader]
    AccessLines: type[access_log.AccessLines]
    FormattedLines: type[access_log.FormattedLines]
    Proxies: type[proxies.Proxies]
    Turns: type[turns.Turns]
    Endpoint: type[endpoint.Endpoint]
    Application: type[call.Application]
    sweep: Callable[[Iterable[endpoint.Endpoint], int], None]

    def make_metrics(self, page: Page) -> Metrics:
        """The counters on `page`."""
        kernels, metrics = (importlib.import_module(f"{self.package}.{name}") for name in ("kernels", "metrics"))
        made: Metrics = metrics.Metrics(kernels.Cells(page))
        return made

    def load_observer(self) -> type[Observer]:
        """Load the class that observes requests, which few servers need."""
        loaded: type[Observer] = importlib.import_module(f"{self.package}.observed").Observer
        return loaded

    def load_http2(self) -> type[HTTP2Connection]:
        """Load the class for HTTP/2. Its modules take 0.8 MiB, which a server without HTTP/2 does not need."""
        loaded: type[HTTP2Connection] = importlib.import_module(f"{self.package}.http2.connection").HTTP2Connection
        return loaded


class Compression(NamedTuple):
    """The functions that permessage-deflate needs, under zlib's names."""

    compressobj: Callable[..., Compressor]
    decompressobj: Callable[..., Decompressor] = zlib.decompressobj
    error: type[Exception] = zlib.error
    Z_SYNC_FLUSH: int = zlib.Z_SYNC_FLUSH


def compiled_is_available() -> bool:
    """Return whether the extension was built and may be used."""
    return not pure_is_wanted() and find_spec("pronghorn._wire_c.http1.connection") is not None


def pure_is_wanted() -> bool:
    """Return whether the environment requests the interpreted form."""
    return os.environ.get("PRONGHORN_PURE", "") not in ("", "0")


def is_chosen(http: Any) -> bool:
    """Return whether `--http` names a form, instead of leaving the choice to what is installed."""
    return http in ("h11", "httptools")


def load(http: Any = "auto") -> Wire:
    """Load the wire for `--http`: `httptools` is the interpreted form with llhttp's head parser, `h11` with our own.

    Anything else is the compiled form or, if it is not available, the interpreted one, with httptools if that is
    installed.
    """
    if not is_chosen(http) and compiled_is_available():
        return form("pronghorn._wire_c", "compiled")
    if http == "httptools" or (not is_chosen(http) and find_spec("httptools")):
        try:
            from pronghorn._wire_httptools import LLHTTPConnection
        except ImportError:
            raise StartupError("--http httptools needs httptools: pip install 'pronghorn[standard]'.") from None

        return form("pronghorn._wire", "interpreted, heads by httptools")._replace(Connection=LLHTTPConnection)
    return form("pronghorn._wire", "interpreted")


def form(package: str, name: str) -> Wire:
    """The form whose modules are in `package`."""
    access_log, call, endpoint, http1, inbox, outbox, proxies, shared, turns = (
        importlib.import_module(f"{package}.{module}")
        for module in (
            "access_log",
            "call",
            "endpoint",
            "http1.connection",
            "inbox",
            "outbox",
            "proxies",
            "shared",
            "turns",
        )
    )
    return Wire(
        name=name,
        package=package,
        Limits=shared.Limits,
        Shared=shared.Shared,
        Connection=http1.Connection,
        Outbox=outbox.Outbox,
        Inbox=inbox.Inbox,
        Reader=inbox.Reader,
        AccessLines=access_log.AccessLines,
        FormattedLines=access_log.FormattedLines,
        Proxies=proxies.Proxies,
        Turns=turns.Turns,
        Endpoint=endpoint.Endpoint,
        Application=call.Application,
        sweep=endpoint.sweep,
    )


def load_compression() -> Compression:
    """Load zlib, or isal for compression if it is installed: the same ratio, several times faster.

    Decompression stays with zlib: isal takes twice as long for the short messages that clients send.
    """
    if find_spec("isal"):
        from isal import isal_zlib

        return Compression(isal_zlib.compressobj)
    return Compression(zlib.compressobj)
