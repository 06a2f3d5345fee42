"""Certificates by the name that a client asks for (Server Name Indication, RFC 6066 section 3)."""

from __future__ import annotations

import re
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


def _parse(text: str) -> Named:
    name, equals, files = text.partition("=")
    certfile, comma, keyfile = files.partition(",")
    name = name.strip().lower()
    if not equals or not certfile or bool(comma) != bool(keyfile) or "," in keyfile:
        raise ValueError(f"{text!r} is not NAME=CERT,KEY")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a host name in ASCII, or *. and one; clients name no addresses")
    return Named(name, certfile, keyfile or None)
