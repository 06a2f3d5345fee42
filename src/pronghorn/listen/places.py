"""Places to listen: parsed, and chosen by a configuration."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

_PLACE = re.compile(
    r"unix:(?P<path>.+)|fd://(?:(?P<descriptor>\d{1,9})|(?P<name>[^:\x00-\x1f\x7f]{1,255}))"
    r"|(?:\[(?P<v6>[^]]+)\]|(?P<host>[^][:/]*)):(?P<port>\d{1,5})",
    re.ASCII | re.DOTALL,
)


class Where(Protocol):
    """The parameters of a configuration that say where to listen."""

    host: str
    port: int
    uds: str | None
    fd: int | None
    bind: list[str] | str | None


class Options(Where, Protocol):
    """These, and the parameters that say how, and what for."""

    uds_permissions: int | str | None
    http2: bool
    metrics_bind: str | None
    https_redirect: int | None
    reuse_port: bool

    @property
    def is_ssl(self) -> bool:
        """True if the server uses TLS."""


class Place(NamedTuple):
    """A place to listen: a file `descriptor`, the `name` of sockets from systemd, the `path` of a Unix socket, or a
    host and port.
    """

    host: str | None = None
    port: int = 0
    path: str | None = None
    descriptor: int | None = None
    name: str | None = None

    def is_port(self) -> bool:
        """Return whether it is a host and port."""
        return self.path is None and self.descriptor is None and self.name is None

    def as_text(self) -> str:
        """A host and port, as `parse` takes them."""
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def parse(text: str) -> Place:
    """Parse one `--bind`; an empty host means every interface. Raises ValueError."""
    if found := _PLACE.fullmatch(text):
        if found["path"]:
            return Place(path=found["path"])
        if found["descriptor"]:
            return Place(descriptor=int(found["descriptor"]))
        if found["name"]:
            return Place(name=found["name"])
        if int(found["port"]) <= 65535:
            return Place(found["v6"] or found["host"], int(found["port"]))
    raise ValueError(f"{text!r} is not HOST:PORT, [IPV6]:PORT, unix:PATH, fd://NUMBER or fd://NAME")


def of(options: Where) -> list[Place]:
    """The places of `options`: each `bind`, or else its descriptor, path, or host and port, in this order."""
    if options.bind:
        return [parse(text) for text in ([options.bind] if isinstance(options.bind, str) else options.bind)]
    if options.fd is not None:
        return [Place(descriptor=options.fd)]
    if options.uds is not None:
        return [Place(path=options.uds)]
    return [Place(options.host, int(options.port))]


def of_redirect(options: Options) -> list[Place]:
    """The places of `https_redirect`: its port on each host of the server."""
    if options.https_redirect is None:
        return []
    hosts = dict.fromkeys(place.host for place in of(options) if place.is_port())
    return [Place(host, options.https_redirect) for host in hosts]
