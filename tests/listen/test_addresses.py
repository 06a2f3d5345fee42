"""Addresses read from a transport."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pronghorn.listen.addresses import get_local_addr, get_remote_addr, is_ssl


def transport(**facts: Any) -> asyncio.BaseTransport:
    return asyncio.BaseTransport(facts)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 80)),
        (("::1", 80, 0, 0), ("::1", 80)),
        ("/run/app.sock", ("/run/app.sock", None)),
        ("", None),
        (None, None),
    ],
)
def test_local_address_comes_from_sockname(name: Any, address: Any) -> None:
    assert get_local_addr(transport(sockname=name)) == address


@pytest.mark.parametrize(
    ("name", "address"), [(("127.0.0.1", 80), ("127.0.0.1", 80)), (("::1", 80, 0, 0), ("::1", 80)), ("", None)]
)
def test_remote_address_comes_from_peername(name: Any, address: Any) -> None:
    assert get_remote_addr(transport(peername=name)) == address


@pytest.mark.parametrize("context", [None, object()])
def test_transport_with_context_uses_tls(context: Any) -> None:
    assert is_ssl(transport(sslcontext=context)) is (context is not None)
