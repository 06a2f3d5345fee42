"""The addresses of a connection, taken from its transport or from the scope of a request."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from pronghorn.types import Scope


def get_remote_addr(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    """The client's address, in the form of `scope["client"]`."""
    peer = transport.get_extra_info("peername")
    return (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None


def get_local_addr(transport: asyncio.BaseTransport) -> tuple[str, int | None] | None:
    """The server's address, in the form of `scope["server"]`: for a Unix socket, the path and None."""
    name: Any = transport.get_extra_info("sockname")
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return (str(name), None) if name else None


def show(address: Any) -> str:
    """The address of an accepted socket's peer, as the log shows it."""
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "a client"


def is_ssl(transport: asyncio.BaseTransport) -> bool:
    """Return whether the connection uses TLS."""
    return transport.get_extra_info("sslcontext") is not None


def get_client_addr(scope: Scope) -> str:
    """The client of a request as an access log shows it: `host:port`, or empty if unknown."""
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else ""


def get_path_with_query_string(scope: Scope) -> str:
    """The target of a request as an access log shows it."""
    path = quote(scope["path"])
    query: bytes = scope["query_string"]
    return f"{path}?{query.decode('ascii')}" if query else path
