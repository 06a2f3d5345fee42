"""The TLS extension of ASGI, version 0.2: `scope["extensions"]["tls"]`."""

from __future__ import annotations

import asyncio
import functools
import itertools
import ssl
from typing import Any

from pronghorn.listen import distinguished_names
from pronghorn.listen.tls_context import Context

_VERSIONS = {"SSLv3": 0x0300, "TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def describe(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """The extension for a connection of any engine, after its handshake.

    There is no client certificate that could not be verified: its handshake has failed.
    """
    tls: Any = transport.get_extra_info("ssl_object")
    context = tls.context  # not the one of the listener if it was chosen by name
    client = tls.getpeercert(True)
    return {
        "server_cert": context.certificate if isinstance(context, Context) else None,
        "client_cert_chain": [] if client is None else [ssl.DER_cert_to_PEM_cert(each) for each in _chain(tls, client)],
        "client_cert_name": None if client is None else distinguished_names.subject(client),
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(tls.version()),
        "cipher_suite": _cipher_suites().get(tls.cipher()[0]),
    }


def _chain(tls: Any, client: bytes) -> list[bytes]:
    """The `client`'s certificate, and those that it has sent of the chain which was verified.

    A client may send any certificates besides, so those that were not verified are left out. The chain is only known
    from Python 3.13 on, and not in a resumed session.
    """
    if not hasattr(tls, "get_verified_chain"):
        return [client]
    sent = set(tls.get_unverified_chain())
    return [client, *itertools.takewhile(sent.__contains__, tls.get_verified_chain()[1:])]


@functools.cache
def _cipher_suites() -> dict[str, int]:
    """The numbers of the cipher suites (RFC 8446 section B.4) by OpenSSL's names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    # OpenSSL puts the number of the protocol's family before them.
    return {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
