"""Certificates by the name that a client asks for (Server Name Indication, RFC 6066 section 3)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl

_NAME = re.compile(r"(?:\*\.)?(?:[a-z0-9_-]{1,63}\.)*(?![0-9]+$)[a-z0-9_-]{1,63}")


class Named(NamedTuple):
    """The files for a server name, or for all names with one label in place of `*`."""

    name: str
    certfile: str
    keyfile: str | None
    """None if the key is in `certfile`."""


def parse(texts: Iterable[str]) -> list[Named]:
    """Parse each `NAME=CERT,KEY` or `NAME=BOTH`. Raises ValueError."""
    parsed = [_parse(text) for text in texts]
    names = [each.name for each in parsed]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} has two certificates")
    return parsed


def chooser(
    contexts: Mapping[str, ssl.SSLContext],
) -> Callable[[ssl.SSLObject | ssl.SSLSocket, str | None, ssl.SSLContext], None]:
    """The `sni_callback` that chooses from `contexts` by name; for another name, or none, the context stays."""

    def choose(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, default: ssl.SSLContext) -> None:
        if name is not None:
            name = name.lower()
            chosen = contexts.get(name) or contexts.get("*." + name.partition(".")[2])
            if chosen is not None:
                tls.context = chosen

    return choose


def silence_malformed() -> None:
    """Let Python print no traceback for a name that is not ASCII: the log has a line about each failed handshake."""
    if not isinstance(sys.unraisablehook, _Hook):
        sys.unraisablehook = _Hook(sys.unraisablehook)


class _Hook:
    """Passes all errors but those of malformed names to the `previous` hook."""

    def __init__(self, previous: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self._previous = previous

    def __call__(self, unraisable: sys.UnraisableHookArgs) -> None:
        is_name = isinstance(unraisable.object, bytes) or "servername" in (unraisable.err_msg or "")
        if not (is_name and isinstance(unraisable.exc_value, UnicodeDecodeError)):
            self._previous(unraisable)


def _parse(text: str) -> Named:
    name, equals, files = text.partition("=")
    certfile, comma, keyfile = files.partition(",")
    name = name.strip().lower()
    if not equals or not certfile or bool(comma) != bool(keyfile) or "," in keyfile:
        raise ValueError(f"{text!r} is not NAME=CERT,KEY")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a host name in ASCII, or *. and one; clients name no addresses")
    return Named(name, certfile, keyfile or None)
