"""Forwarding fields: the grammar of X-Forwarded-* and Forwarded (RFC 7239), and the origin that they describe."""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING

from .head import is_host, put_host
from .kernels import unquote

if TYPE_CHECKING:
    from typing import Any

    from ._interfaces import Client
    from .head import Head

# The scheme of a request, by a forwarded value.
SCHEMES = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
_PORT = re.compile(r":[0-9]{1,5}")
_HIDDEN_PORT = re.compile(r":_[A-Za-z0-9._\-]+")
_PREFIX = re.compile(rb"(?:/(?:[A-Za-z0-9\-._~!$&'()*+;=:@]|%[0-9A-Fa-f]{2})+)+")
# One pair of RFC 7239 section 4. Colons and brackets are also accepted without quotes.
_PAIR = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z:\[\]]+)|\"((?:[^\"\\]|\\.)*)\")")
_SEPARATOR = re.compile(rb"[ \t]*([,;])[ \t]*|[ \t]*\Z")
_MAPPED = b"\0" * 10 + b"\xff\xff"


class Origin:
    """A request as the client sent it to the first proxy. Unknown values are None, an unknown `port` is 0.

    `client` is (host, port), `scheme` http or https, `host` as in the Host field, `prefix` the path at which the
    proxy has mounted the application.
    """

    __slots__ = ("client", "host", "port", "prefix", "scheme")

    client: Client | None
    scheme: str | None
    host: bytes | None
    port: int
    prefix: bytes | None

    def __init__(self) -> None:
        self.client = None
        self.scheme = None
        self.host = None
        self.port = 0
        self.prefix = None

    def set_host(self, host: bytes | None, port: bytes | None) -> None:
        """Set `host` and `port`, each if it is valid. Two different ports make both invalid."""
        number = 0
        if port is not None:
            number = max(0, _port(":" + port.decode("latin-1")))
        # A comma may be part of a name, but here it separates the hosts of a list.
        if host is not None and b"," not in host and is_host(host):
            name, own = _split_host(host)
            if own and number and own != number:
                return
            if name and own >= 0:
                self.host = host
        self.port = number

    def set_prefix(self, prefix: bytes | None) -> None:
        """Set `prefix`, without a slash at its end, if it is a path in normal form."""
        if prefix is None:
            return
        prefix = prefix.removesuffix(b"/")
        if _PREFIX.fullmatch(prefix):
            segments = unquote(prefix, 0, len(prefix)).split("/")
            if "." not in segments and ".." not in segments:
                self.prefix = prefix

    def set_element(self, element: dict[bytes, bytes]) -> None:
        """Set all values from one element of Forwarded."""
        host, port = forwarded_node(element.get(b"for", b"").decode("latin-1"))
        if pack(host):
            self.client = (host, port)
        scheme = element.get(b"proto")
        if scheme is not None:
            self.scheme = SCHEMES.get(scheme.lower())
        self.set_host(element.get(b"host"), None)

    def scope(self, head: Head, scope: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of the connection's `scope` with the known values. Those of the request are set in `head`."""
        scope = scope.copy()
        if self.client is not None:
            scope["client"] = self.client
        if self.scheme is not None:
            scope["scheme"] = self.scheme
        if self.host is not None or self.port:
            self._put_host(head, scope)
        # A root path in the server's own configuration has priority.
        if self.prefix is not None and not scope["root_path"] and head.path != "*":
            scope["root_path"] = unquote(self.prefix, 0, len(self.prefix))
            head.path = scope["root_path"] + head.path
            head.raw_path = self.prefix + head.raw_path
        return scope

    def _put_host(self, head: Head, scope: dict[str, Any]) -> None:
        """Set the Host field and the server's address as the client has seen them."""
        headers = head.headers
        index = 0
        while index < len(headers) and headers[index][0] != b"host":
            index += 1
        host = self.host
        if host is None and index < len(headers):
            host = headers[index][1]
        usual = 443 if scope["scheme"] == "https" else 80
        if not host:
            return
        name, port = _split_host(host)
        if self.port and self.port != port:
            port = self.port
            host = name if port == usual else b"%b:%d" % (name, port)
        scope["server"] = (name.decode("ascii").strip("[]"), port if port > 0 else usual)
        put_host(headers, host)


def pack(host: str) -> bytes | None:
    """The bytes of an address; those of IPv4 for an IPv4-mapped IPv6 address; None for any other text."""
    try:
        if ":" not in host:
            return inet_pton(AF_INET, host)
        packed = inet_pton(AF_INET6, host)
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def split_node(node: str) -> Client:
    """(host, port) of `host`, `host:port`, `[IPv6]` or `[IPv6]:port`, with port 0 if it is missing; ("", 0) for any
    other text.
    """
    port = ""
    host = node
    if node.startswith("["):
        host, bracket, port = node[1:].partition("]")
        if not bracket or ":" not in host:
            return ("", 0)
    elif node.count(":") == 1:
        host, _, port = node.partition(":")
        port = ":" + port
    if port:
        number = _port(port)
        return (host, number) if number >= 0 else ("", 0)
    return (host, 0)


def address(node: str) -> Client | None:
    """(host, port) of a node that is an address, else None."""
    host, port = split_node(node)
    return (host, port) if pack(host) else None


def read_elements(line: bytes) -> list[dict[bytes, bytes]] | None:
    """The elements of one Forwarded field line, as dicts of values by lower-case name; None if it is malformed."""
    elements = []
    element = {}
    position = 0
    while True:
        pair = _PAIR.match(line, position)
        if pair is not None:
            name, value, quoted = pair.groups()
            name = name.lower()
            if name in element:
                return None
            element[name] = value if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted)
            position = pair.end()
        separator = _SEPARATOR.match(line, position)
        if separator is None:
            return None
        if separator[1] != b";" and element:
            elements.append(element)
            element = {}
        if separator[1] is None:
            return elements
        position = separator.end()


def forwarded_node(node: str) -> Client:
    """As `split_node`, but for RFC 7239 section 6: IPv6 only in brackets, and the port may be obfuscated."""
    if node.count(":") > 1 and not node.startswith("["):
        return ("", 0)
    host, colon, _ = node.rpartition(":_")
    if colon and _HIDDEN_PORT.fullmatch(node[len(host) :]):
        node = host
    return split_node(node)


def _split_host(host: bytes) -> tuple[bytes, int]:
    """Name and port of a Host; the port is 0 if it is missing, -1 if it is invalid."""
    name, colon, port = host.rpartition(b":")
    if not colon or port.endswith(b"]"):
        return (host, 0)
    return (name, _port(":" + port.decode("latin-1")) if port else 0)


def _port(text: str) -> int:
    """The number in `:port`; -1 if it is invalid."""
    if not _PORT.fullmatch(text):
        return -1
    number = int(text[1:])
    return number if number <= 65535 else -1
