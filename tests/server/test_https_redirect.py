"""The URL that a client of plain HTTP is sent to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pronghorn.server import https_redirect


@pytest.mark.parametrize(("port", "url"), [(443, "https://a.org/b?c"), (8443, "https://a.org:8443/b?c")])
def test_default_port_is_left_out(port: int, url: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"raw_path": b"/b", "query_string": b"c", "headers": [(b"host", b"a.org:80")]}
    asyncio.run(https_redirect._application(port)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 308
    assert (b"location", url.encode()) in sent[0]["headers"]
