"""HTTP/2: concurrent requests on one connection, some of them cancelled, and WebSockets on its streams."""

from __future__ import annotations

import asyncio
import contextlib
import random

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.storm.content import LARGE_FILE, MEDIUM_FILE, SMALL_FILE, content, file_content
from tests.storm.honest.http2_client import Client, Stream, StreamBroken, connected
from tests.storm.link import Place
from tests.storm.witness import Failed, Witness, check, check_content, check_parts

# Concurrent streams of a connection, and what each sends in turn.
_TASKS = 8
_REQUESTS = 12


async def requests(place: Place, witness: Witness, rng: random.Random) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with witness.exchange("connect"):
            window = rng.choice([20_000, 65535, 1 << 20])
            client = await stack.enter_async_context(connected(place, witness.patience, window))
        async with asyncio.TaskGroup() as group:
            for _ in range(_TASKS):
                group.create_task(_ask_in_turn(client, witness, rng))


async def _ask_in_turn(client: Client, witness: Witness, rng: random.Random) -> None:
    with contextlib.suppress(Failed):
        for _ in range(_REQUESTS):
            if witness.is_over():
                return
            ask = rng.choice(_EXCHANGES)
            async with witness.exchange(ask.__name__.strip("_")):
                await ask(client, witness.token(), rng)


async def _get(client: Client, token: str, rng: random.Random) -> None:
    size = _size(rng)
    path = rng.choice(["/content", "/stream", "/wsgi/content", "/wsgi/stream", "/mounted/content"])
    check_content(await client.ask("GET", f"{path}?token={token}&size={size}"), token, size)


async def _head(client: Client, token: str, rng: random.Random) -> None:
    size = _size(rng)
    answer = await client.ask("HEAD", f"/content?token={token}&size={size}")
    check(answer, token, b"")
    if answer.fields["content-length"] != str(size):
        raise AssertionError(f"HEAD tells of {answer.fields['content-length']} bytes, not of {size}")


async def _post(client: Client, token: str, rng: random.Random) -> None:
    body = content(token, _size(rng))
    path = rng.choice(["/mirror", "/mirror", "/wsgi/mirror"])
    check(await client.ask("POST", f"{path}?token={token}", body, rng.choice([1000, 1 << 20])), token, body)


async def _refused_upload(client: Client, token: str, rng: random.Random) -> None:
    """The response comes before the end of the body, which the server need not read."""
    answer = await client.ask("POST", f"/refuse?token={token}", bytes(480_000))
    check_content(answer, token, 100, 401)


async def _file(client: Client, token: str, rng: random.Random) -> None:
    size = rng.choice([SMALL_FILE, SMALL_FILE, MEDIUM_FILE])
    check(await client.ask("GET", f"/file?token={token}&size={size}"), token, file_content(size))


async def _events(client: Client, token: str, rng: random.Random) -> None:
    count = rng.randint(1, 15)
    answer = await client.ask("GET", f"/events?token={token}&count={count}&pause=0.03")
    check(answer, token, b"".join(b"data: %s %d\n\n" % (token.encode(), number) for number in range(count)))


async def _slow_reader(client: Client, token: str, rng: random.Random) -> None:
    """Read so slowly that the stream's window is closed most of the time."""
    size = 300_000
    stream = await client.open("GET", f"{rng.choice(['/content', '/stream'])}?token={token}&size={size}")
    check_content(await stream.answer(pause=0.03), token, size)


async def _broken_off(client: Client, token: str, rng: random.Random) -> None:
    """A response that fails midway must not look complete."""
    try:
        answer = await client.ask("GET", f"/fail?when=midway&token={token}&size={rng.choice([10, 200_000])}")
    except StreamBroken:
        return
    if answer.status != 500:
        raise AssertionError(f"looks whole, with {len(answer.body)} bytes of body")


async def _cancelled(client: Client, token: str, rng: random.Random) -> None:
    """Cancel a request: at once, after its head, or within its content."""
    target = rng.choice(["/events?pause=0.01", "/listen?", "/stream?size=3000000", f"/file?size={LARGE_FILE}"])
    stream = await client.open("GET", f"{target}&token={token}")
    progress = rng.randrange(3)
    if progress > 0:
        status, fields = await stream.head()
        check_parts(status, fields.get("x-token"), b"", token, b"")
    if progress > 1:
        await stream.read()
    await stream.cancel()


async def _cancelled_upload(client: Client, token: str, rng: random.Random) -> None:
    stream = await client.open("POST", f"{rng.choice(['/mirror', '/wsgi/mirror'])}?token={token}", ends=False)
    await stream.send(bytes(rng.choice([0, 10, 100_000])), ends=False)
    await asyncio.sleep(rng.choice([0, 0.01]))
    await stream.cancel()


def _size(rng: random.Random) -> int:
    return rng.choice([0, 1, 100, 5000, 70_000, 300_000])


_EXCHANGES = (
    *(_get, _get, _get, _head, _post, _post, _refused_upload, _file, _events, _slow_reader, _broken_off),
    *(_cancelled, _cancelled_upload),
)


async def websockets(place: Place, witness: Witness, rng: random.Random) -> None:
    """Echoes side by side on streams (RFC 8441). The library websockets reads and writes their frames."""
    async with contextlib.AsyncExitStack() as stack:
        async with witness.exchange("connect"):
            client = await stack.enter_async_context(connected(place, witness.patience))
        async with asyncio.TaskGroup() as group:
            for _ in range(rng.randint(1, 4)):
                group.create_task(_echo(client, witness, rng))


async def _echo(client: Client, witness: Witness, rng: random.Random) -> None:
    with contextlib.suppress(Failed):
        async with witness.exchange("a handshake on a stream"):
            fields = (":protocol", "websocket"), ("sec-websocket-version", "13")
            stream = await client.open("CONNECT", "/echo", *fields, ends=False)
            if (status := (await stream.head())[0]) != 200:
                raise AssertionError(f"{status} to the handshake")
        frames = ClientProtocol(parse_uri("ws://test/echo"), state=State.OPEN)
        for _ in range(rng.randint(1, 20)):
            message = content(witness.token(), rng.choice([0, 10, 1000, 70_000]))
            async with witness.exchange(f"an echo of {len(message)} on a stream"):
                frames.send_binary(message)
                if await _converse(stream, frames) != Frame(Opcode.BINARY, message):
                    raise AssertionError("another message")
        if rng.random() < 0.3:
            await stream.cancel()
            return
        async with witness.exchange("a closing handshake on a stream"):
            frames.send_close(1000)
            await _converse(stream, frames)
            if frames.close_rcvd != Close(1000, ""):
                raise AssertionError(f"closed with {frames.close_rcvd}")
            if await stream.read():
                raise AssertionError("content after the closing handshake")


async def _converse(stream: Stream, frames: ClientProtocol) -> Frame:
    """Send what waits, and return the next frame of the server that is neither ping nor pong. Answer pings."""
    while True:
        for data in frames.data_to_send():
            await stream.send(data, ends=False)
        for event in frames.events_received():
            if isinstance(event, Frame) and event.opcode not in (Opcode.PING, Opcode.PONG):
                return event
        if not (data := await stream.read()):
            raise EOFError("the stream ended within a WebSocket")
        frames.receive_data(data)
        if frames.parser_exc is not None:
            raise frames.parser_exc
