"""Client libraries: aiohttp and httpx with their connection pools."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import aiohttp
import httpx

from tests.storm.content import content
from tests.storm.link import Place
from tests.storm.witness import Failed, Witness, check_parts

_TASKS = 4
_REQUESTS = 20
# Seconds that a pool keeps a connection: fewer than the server.
_KEPT = 2.0

# Sends a request (method, target, body) and returns status, token and body.
_Ask = Callable[[str, str, bytes], Awaitable[tuple[int, str | None, bytes]]]


async def with_aiohttp(place: Place, witness: Witness, rng: random.Random) -> None:
    connector = aiohttp.TCPConnector(ssl=place.context or True, keepalive_timeout=_KEPT)
    async with aiohttp.ClientSession(_origin(place), connector=connector) as session:

        async def ask(method: str, target: str, body: bytes) -> tuple[int, str | None, bytes]:
            async with session.request(method, target, data=body or None) as response:
                return response.status, response.headers.get("x-token"), await response.read()

        await _ask_at_once(ask, witness, rng)


async def with_httpx(place: Place, witness: Witness, rng: random.Random) -> None:
    limits = httpx.Limits(keepalive_expiry=_KEPT)
    verify = place.context or True
    async with httpx.AsyncClient(
        base_url=_origin(place), verify=verify, limits=limits, timeout=witness.patience, trust_env=False
    ) as client:

        async def ask(method: str, target: str, body: bytes) -> tuple[int, str | None, bytes]:
            response = await client.request(method, target, content=body or None)
            return response.status_code, response.headers.get("x-token"), response.content

        await _ask_at_once(ask, witness, rng)


def _origin(place: Place) -> str:
    return f"{'https' if place.context else 'http'}://127.0.0.1:{place.port}"


async def _ask_at_once(ask: _Ask, witness: Witness, rng: random.Random) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(_TASKS):
            group.create_task(_ask_in_turn(ask, witness, rng))


async def _ask_in_turn(ask: _Ask, witness: Witness, rng: random.Random) -> None:
    for _ in range(_REQUESTS):
        if witness.is_over():
            return
        token, size = witness.token(), rng.choice([1, 2000, 100_000])
        body = content(token, size)
        method, path = rng.choice([("GET", "/content"), ("GET", "/stream"), ("POST", "/mirror")])
        with contextlib.suppress(Failed):
            async with witness.exchange(f"{method} {path}"):
                answer = await ask(method, f"{path}?token={token}&size={size}", body if method == "POST" else b"")
                check_parts(*answer, token, body)
