"""Trusted proxies: who they are, and which of the values in their fields are the client's.

Every proxy appends to the right of the value that it received. A chain is therefore read from the right, up to the
first node that is not a trusted proxy: the client. The nodes left of it may be forged, and are never read. The last of
several X-Forwarded-Proto counts, which is the nearest proxy's. Any other ambiguous or malformed value is ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .forwarded import SCHEMES, Origin, address, forwarded_node, pack, read_elements, split_node

if TYPE_CHECKING:
    from pronghorn.config.trusted_proxies import Trusted
    from pronghorn.types import Headers

    from ._interfaces import Client, Server

# The fields to read.
CLIENT = 0  # X-Forwarded-For and -Proto
EVERYTHING = 1  # those and X-Forwarded-Host, -Port and -Prefix
STANDARD = 2  # Forwarded

KINDS = {"x-forwarded": CLIENT, "x-forwarded-all": EVERYTHING, "forwarded": STANDARD}

# Cached results of `trusts`, and the longest host that is cached: the longest text of an address.
KEPT = 4096
LONGEST = 45


class Proxies:
    """The trusted proxies, and the kind of fields that they send.

    `trusted` has addresses, networks as (packed address, number of bits), and `unix` for peers on a Unix socket;
    any other member is compared as text. `*` as the only member trusts everybody.
    """

    __slots__ = ("_addresses", "_everybody", "_kind", "_known", "_names", "_networks")

    _kind: int
    _everybody: bool
    _addresses: set[bytes]
    _names: set[str]
    _networks: list[tuple[bytes, int]]
    _known: dict[str, bool]

    def __init__(self, trusted: Trusted, kind: str = "x-forwarded") -> None:
        self._kind = KINDS[kind]
        self._everybody = trusted == ["*"]
        self._addresses = set()
        self._names = set()
        self._networks = []
        self._known = {}
        for each in trusted:
            if isinstance(each, tuple):
                self._networks.append(each)
            elif packed := pack(each):
                self._addresses.add(packed)
            else:
                self._names.add(each)
        if "unix" in self._names:
            # nginx writes such a peer like this in X-Forwarded-For.
            self._names.add("unix:")

    def trusts_peer(self, client: Client | None, server: Server | None) -> bool:
        """Return whether `client`, the peer of a connection to `server`, is a trusted proxy."""
        if self._everybody:
            return True
        if client is not None:
            host = client[0]
            return self.trusts(host) or ("%" in host and self.trusts(host.partition("%")[0]))
        return "unix" in self._names and (server is None or server[1] is None)

    def trusts(self, host: str) -> bool:
        """Return whether `host`, an address or a name, is a trusted proxy."""
        known = self._known.get(host)
        if known is None:
            known = host in self._names or self._has(pack(host))
            if len(host) <= LONGEST:
                if len(self._known) >= KEPT:
                    self._known.clear()
                self._known[host] = known
        return known

    def origin(self, headers: Headers) -> Origin | None:
        """The origin according to `headers`, sent by a trusted peer; None if no field mentions it."""
        chain = lines = None
        scheme = host = port = prefix = None
        kind = self._kind
        for name, value in headers:
            size = len(name)
            if size == 15:
                if kind != STANDARD and name == b"x-forwarded-for":
                    chain = value if chain is None else chain + b"," + value
            elif size == 17:
                if kind != STANDARD and name == b"x-forwarded-proto":
                    scheme = value
            elif size == 16:
                if kind == EVERYTHING and name == b"x-forwarded-host":
                    host = value if host is None or host == value else b""
                elif kind == EVERYTHING and name == b"x-forwarded-port":
                    port = value if port is None or port == value else b""
            elif size == 18:
                if kind == EVERYTHING and name == b"x-forwarded-prefix":
                    prefix = value if prefix is None or prefix == value else b""
            elif size == 9:
                if kind == STANDARD and name == b"forwarded":
                    # Not joined: a malformed line that a proxy passed on must not spoil the proxy's own line.
                    lines = [value] if lines is None else [*lines, value]
        if lines is not None:
            origin = Origin()
            self._read_forwarded(origin, lines)
            return origin
        if chain is None and scheme is None and host is None and port is None and prefix is None:
            return None
        origin = Origin()
        if chain is not None:
            origin.client = self._client(chain.decode("latin-1"))
        if scheme is not None:
            origin.scheme = SCHEMES.get(scheme)
        if kind == EVERYTHING:
            origin.set_host(host, port)
            origin.set_prefix(prefix)
        return origin

    def _has(self, packed: bytes | None) -> bool:
        """Return whether an address, or a network that contains it, is trusted."""
        if packed is None:
            return False
        if packed in self._addresses:
            return True
        for network, bits in self._networks:
            if len(network) == len(packed):
                spare = len(packed) * 8 - bits
                if int.from_bytes(packed, "big") >> spare == int.from_bytes(network, "big") >> spare:
                    return True
        return False

    def _client(self, chain: str) -> Client | None:
        """The client in an X-Forwarded-For list, as (host, port); None if its node is not an address."""
        nodes = chain.split(",")
        if self._everybody:
            return address(nodes[0].strip())
        for node in reversed(nodes):
            node = node.strip()
            host, port = split_node(node)
            if not (self.trusts(host) or node in self._names):
                return (host, port) if pack(host) else None
        return address(nodes[0].strip())

    def _read_forwarded(self, origin: Origin, lines: list[bytes]) -> None:
        """Set `origin` from the client's element: the first from the right that is not for a trusted proxy, or the
        leftmost if all are.
        """
        element = None
        for line in reversed(lines):
            elements = read_elements(line)
            if elements is None:
                return
            for element in reversed(elements):
                if not self._everybody and not self._is_for_proxy(element):
                    origin.set_element(element)
                    return
        if element is not None:
            origin.set_element(element)

    def _is_for_proxy(self, element: dict[bytes, bytes]) -> bool:
        node = element.get(b"for", b"").decode("latin-1")
        return self.trusts(forwarded_node(node)[0]) or node in self._names
