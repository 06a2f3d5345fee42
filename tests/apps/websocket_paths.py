"""The WebSockets of websocket_app.py. Each path has one behaviour."""

import asyncio
import hashlib
import json
import sys

import asgi
from asgi import event, query
from saying import say

notes = {}
rooms = {}


def note(scope, value):
    """Keep `value` under the client's name, for /notes."""
    notes.setdefault(query(scope).get("name"), []).append(value)


async def accept(scope, receive, send, **more):
    assert (await receive()) == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **more})


async def send_text(send, text):
    await send({"type": "websocket.send", "text": text})


async def send_bytes(send, data):
    await send({"type": "websocket.send", "bytes": data})


async def close(send, code=1000, reason=""):
    await send({"type": "websocket.close", "code": code, "reason": reason})


async def messages(receive):
    """Yield the client's messages up to the disconnect."""
    while (message := await receive())["type"] != "websocket.disconnect":
        yield message


async def note_end(scope, receive, send):
    """After the end of the socket, note the next two messages of `receive()` and the errors of `send()`."""
    for _ in range(2):
        note(scope, await receive())
    for message in ({"type": "websocket.send", "text": "late"}, {"type": "websocket.close"}):
        try:
            await send(message)
        except OSError as error:
            note(scope, type(error).__name__)
    event(query(scope)["name"]).set()


async def echo(scope, receive, send):
    """Send every message back, with its own key or with the other key as None."""
    await accept(scope, receive, send)
    async for message in messages(receive):
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"], "bytes": None})
        else:
            await send({"type": "websocket.send", "text": None, "bytes": message["bytes"]})


async def slow_echo(scope, receive, send):
    """Send every message back after a while."""
    await accept(scope, receive, send)
    async for message in messages(receive):
        await asyncio.sleep(0.1)
        await send_text(send, message["text"])


async def greet(scope, receive, send):
    """Accept with the query's parameters, and send the scope."""
    asked = query(scope)
    more = {"subprotocol": asked["subprotocol"]} if "subprotocol" in asked else {}
    if "header" in asked:
        name, _, value = asked["header"].partition(":")
        more["headers"] = [(name.encode(), value.encode()), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await accept(scope, receive, send, **more)
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    await send_text(send, json.dumps({**scope, "headers": headers}, default=repr))
    async for _ in messages(receive):
        pass


async def accept_at_once(scope, receive, send):
    """Accept before receiving the connect message."""
    await send({"type": "websocket.accept"})
    await send_text(send, (await receive())["type"])
    await close(send)


async def listen(scope, receive, send):
    """Note every message and the end."""
    await accept(scope, receive, send)
    async for message in messages(receive):
        note(scope, {key: repr(value) for key, value in message.items()})
    await note_end(scope, receive, send)


async def part(scope, receive, send):
    """Close with the code and reason of the query, then note the end."""
    asked = query(scope)
    await accept(scope, receive, send)
    await close(send, int(asked.get("code", 1000)), asked.get("reason", ""))
    await note_end(scope, receive, send)


async def refuse(scope, receive, send):
    await receive()
    await close(send, 4000, "not today")
    await note_end(scope, receive, send)


async def deny(scope, receive, send):
    """Send a denial response in parts."""
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Basic")]
    await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"are you?"})
    await note_end(scope, receive, send)


async def fail(scope, receive, send):
    """Fail or return early, before or after the accept."""
    asked = query(scope)
    await receive()
    if asked["when"] == "after":
        await send({"type": "websocket.accept"})
    match asked["how"]:
        case "error":
            raise ValueError("the application's own fault")
        case "exit":
            sys.exit(7)
        case "value":
            return 5
    return None


async def kinds(scope, receive, send):
    """Send values of other types that are accepted as bytes or text."""

    class Text(str):
        __slots__ = ()

    await accept(scope, receive, send)
    for data in (bytearray(b"bytearray"), memoryview(b"memoryview")):
        await send_bytes(send, data)
    await send_text(send, Text("subclass"))
    await send({"type": "websocket.close"})


async def misuse(scope, receive, send):
    """Send an invalid message, or a valid one at the wrong time."""
    asked = query(scope)
    await receive()
    match asked["how"]:
        case "early":
            await send_text(send, "too early")
        case "subprotocol":
            await send({"type": "websocket.accept", "subprotocol": "other"})
        case "header":
            await send({"type": "websocket.accept", "headers": [(asked["header"].encode(), b"mine")]})
        case "split":
            await send({"type": "websocket.accept", "headers": [(b"x-a", b"1\r\nx-b: 2")]})
        case "twice":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.accept"})
        case "type":
            await send({"type": "websocket.accept"})
            await send({"type": "http.response.start", "status": 200})
        case "code":
            await send({"type": "websocket.accept"})
            await close(send, 1005)
        case "surrogate":
            await send({"type": "websocket.accept"})
            await send_text(send, "\ud800")
        case "neither":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send"})
        case "kind":
            await send({"type": "websocket.accept"})
            await send_text(send, b"bytes")


async def hold(scope, receive, send):
    """Receive nothing before the event `name` is set, then answer each `end` message with a digest."""
    await accept(scope, receive, send)
    name = query(scope)["name"]
    event(f"{name}-runs").set()
    await event(name).wait()
    count, digest = 0, hashlib.sha256()
    async for message in messages(receive):
        if message.get("text") == "end":
            await send_text(send, f"{count} {digest.hexdigest()}")
        else:
            count += 1
            digest.update(message["bytes"])
    note(scope, count)
    event(f"{name}-done").set()


async def flood(scope, receive, send):
    """Send 64 KiB repeatedly until `send()` raises; note the error."""
    await accept(scope, receive, send)
    sent = notes[f"{query(scope)['name']}-sent"] = [0]
    try:
        while True:
            await send_bytes(send, asgi.PIECE)
            sent[0] += 1
    except OSError as error:
        note(scope, type(error).__name__)
        say("flood was told")
    note(scope, await receive())
    event(query(scope)["name"]).set()


async def choir(scope, receive, send):
    """Send from several tasks at once. Each message has a number and the letter of its task."""
    asked = query(scope)
    await accept(scope, receive, send)

    async def sing(letter):
        for number in range(int(asked["each"])):
            await send_text(send, f"{number:06d}" + letter * int(asked["size"]))

    await asyncio.gather(*(sing(chr(ord("A") + voice)) for voice in range(int(asked["voices"]))))
    await close(send)


async def fickle(scope, receive, send):
    """Cancel `receive()` in every loop iteration while it waits; send the list of messages received anyway."""
    await accept(scope, receive, send)
    cancelled, got = 0, []
    while not got or got[-1] != "end":
        task = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        task.cancel()
        try:
            got.append((await task)["text"])
        except asyncio.CancelledError:
            cancelled += 1
            await send_text(send, "cancelled") if cancelled == 1 else None
    await send_text(send, json.dumps(got))
    await close(send)


async def two_ears(scope, receive, send):
    """Receive in one task while another sends and a third waits."""
    await accept(scope, receive, send)

    async def talk():
        for number in range(100):
            await send_text(send, str(number))
            await asyncio.sleep(0)

    async def hear():
        return [message["text"] async for message in messages(receive)]

    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(hear())
        group.create_task(talk())
    note(scope, hearing.result())
    event(query(scope)["name"]).set()


async def finish(scope, receive, send):
    """Work for a moment after the server starts to drain."""
    await accept(scope, receive, send)
    say("finish begins")
    message = await receive()
    say(f"finish was told {message['code']}")
    await asyncio.sleep(0.3)
    say("finish ends")


async def stay(scope, receive, send):
    """Never return."""
    await accept(scope, receive, send)
    say("stay begins")
    try:
        await asyncio.Event().wait()
    finally:
        say("stay was cancelled")


async def slow_accept(scope, receive, send):
    """Accept when the event `name` is set, then note the messages of `receive()`."""
    await receive()
    name = query(scope)["name"]
    event(f"{name}-runs").set()
    await event(name).wait()
    try:
        await send({"type": "websocket.accept"})
    except OSError as error:
        note(scope, type(error).__name__)
    note(scope, await receive())
    event(f"{name}-done").set()


async def room(scope, receive, send):
    """Join a room that /broadcast sends to."""
    members = rooms.setdefault(query(scope)["name"], set())
    await accept(scope, receive, send)
    members.add(send)
    async for _ in messages(receive):
        pass
    members.discard(send)


PATHS = {
    "/accept-at-once": accept_at_once,
    "/choir": choir,
    "/deny": deny,
    "/echo": echo,
    "/fail": fail,
    "/fickle": fickle,
    "/finish": finish,
    "/flood": flood,
    "/hold": hold,
    "/kinds": kinds,
    "/listen": listen,
    "/misuse": misuse,
    "/part": part,
    "/refuse": refuse,
    "/room": room,
    "/slow-accept": slow_accept,
    "/slow-echo": slow_echo,
    "/stay": stay,
    "/two-ears": two_ears,
}
