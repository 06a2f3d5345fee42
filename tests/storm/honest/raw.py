"""Raw clients that keep their connections: sequential requests, pipelines, and truncated responses."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl

from tests.storm.content import content
from tests.storm.link import Link, Place, chunked, get, post
from tests.storm.witness import Witness, check, check_content

# Seconds between two requests on a connection: much fewer than the server's timeout.
_IDLE = 1.0


async def keep_alive(place: Place, witness: Witness, rng: random.Random) -> None:
    async with witness.exchange("connect"):
        link = await Link.open(place)
    try:
        for _ in range(rng.randint(5, 50)):
            if witness.is_over():
                return
            await _ask(link, witness, rng)
            if rng.random() < 0.05:
                await asyncio.sleep(rng.uniform(0, _IDLE))
        token = witness.token()
        async with witness.exchange("the last request"):
            await link.send(get(f"/content?token={token}&size=1000", "connection: close"))
            check_content(await link.answer(), token, 1000)
            if await link.rest():
                raise AssertionError("more bytes than the answer")
    finally:
        link.drop()


async def _ask(link: Link, witness: Witness, rng: random.Random) -> None:
    token = witness.token()
    size = rng.choice([0, 1, 100, 5000, 70_000, 300_000])
    asked = f"?token={token}&size={size}"
    body = content(token, size)
    match rng.randrange(7):
        case 0 | 1:
            async with witness.exchange("GET"):
                await link.send(get("/content" + asked))
                check_content(await link.answer(), token, size)
        case 2:
            async with witness.exchange("GET of a stream"):
                await link.send(get("/stream" + asked))
                check_content(await link.answer(), token, size)
        case 3:
            async with witness.exchange("HEAD"):
                await link.send(get("/content" + asked, method="HEAD"))
                answer = await link.answer(without_body=True)
                check(answer, token, b"")
                if answer.fields["content-length"] != str(size):
                    raise AssertionError(f"HEAD tells of {answer.fields['content-length']} bytes, not of {size}")
        case 4:
            async with witness.exchange("POST"):
                await link.send(post("/mirror" + asked, body))
                check(await link.answer(), token, body)
        case 5:
            async with witness.exchange("POST of chunks"):
                await link.send(chunked("/mirror" + asked, body, rng.choice([1000, 16_000])))
                check(await link.answer(), token, body)
        case 6:
            async with witness.exchange("nap"):
                await link.send(get(f"/nap{asked}&seconds={rng.uniform(0, 0.3):.2f}"))
                check_content(await link.answer(), token, size)


async def pipelines(place: Place, witness: Witness, rng: random.Random) -> None:
    async with witness.exchange("connect"):
        link = await Link.open(place)
    try:
        for _ in range(rng.randint(1, 5)):
            tokens = [(witness.token(), rng.choice([10, 1000, 20_000])) for _ in range(rng.randint(2, 40))]
            requests = [get(f"/content?token={token}&size={size}") for token, size in tokens]
            async with witness.exchange(f"a pipeline of {len(tokens)}"):
                link.write(b"".join(requests))
                for token, size in tokens:
                    check_content(await link.answer(), token, size)
    finally:
        link.drop()


async def half_closed(place: Place, witness: Witness, rng: random.Random) -> None:
    """Half-close right after a request and read the response."""
    async with witness.exchange("connect"):
        link = await Link.open(place, plain=True)
    token = witness.token()
    try:
        if place.context is not None:  # TLS has no half-close: the connection ends, here with an alert
            async with witness.exchange("a plain request to TLS"):
                await link.send(get(f"/content?token={token}&size=1000"))
                await _end_of(link)
            return
        async with witness.exchange("GET and half-close"):
            await link.send(get(f"/content?token={token}&size=1000"))
            link.end()
            check_content(await link.answer(), token, 1000)
            if await link.rest():
                raise AssertionError("more bytes than the answer")
    finally:
        link.drop()
        await asyncio.sleep(rng.uniform(0, 0.1))


async def broken_off(place: Place, witness: Witness, rng: random.Random) -> None:
    """A response that fails midway must not look complete, even if the close of the connection delimits it."""
    async with witness.exchange("connect"):
        link = await Link.open(place)
    version = rng.choice(["1.0", "1.1"])
    token = witness.token()
    size = rng.choice([10, 10_000, 200_000])
    try:
        async with witness.exchange(f"a response over HTTP/{version} that is broken off"):
            await link.send(get(f"/fail?when=midway&token={token}&size={size}", version=version))
            try:
                answer = await link.answer()
            except (ConnectionResetError, ssl.SSLError, EOFError):
                return
            if answer.status != 500:
                raise AssertionError(f"looks whole, with {len(answer.body)} bytes of body")
    finally:
        link.drop()
        await asyncio.sleep(rng.uniform(0, 0.2))


async def _end_of(link: Link) -> None:
    with contextlib.suppress(ConnectionError):
        await link.rest()
