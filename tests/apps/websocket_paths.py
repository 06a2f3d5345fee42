"""What a WebSocket of websocket_app.py does: every path is one behaviour."""

import asyncio
import hashlib
import json
import sys

import bare
from bare import event, query

notes = {}
rooms = {}


def say(text):
    print(text, file=sys.stderr, flush=True)


def note(scope, value):
    """Keep `value` under the name that the client gave, for /notes to tell."""
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
    """What the client sends, up to the disconnect."""
    while (message := await receive())["type"] != "websocket.disconnect":
        yield message


async def note_end(scope, receive, send):
    """Note what `receive()` gives twice, and what `send()` raises, once the socket has ended."""
    for _ in range(2):
        note(scope, await receive())
    for message in ({"type": "websocket.send", "text": "late"}, {"type": "websocket.close"}):
        try:
            await send(message)
        except OSError as error:
            note(scope, type(error).__name__)
    event(query(scope)["name"]).set()


async def echo(scope, receive, send):
    """Every message back, each by keys of its own or with the other key as None."""
    await accept(scope, receive, send)
    async for message in messages(receive):
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"], "bytes": None})
        else:
            await send({"type": "websocket.send", "text": None, "bytes": message["bytes"]})


async def greet(scope, receive, send):
    """Accept as the query says, and tell the scope."""
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
    """Accept, and only then ask for the connect message."""
    await send({"type": "websocket.accept"})
    await send_text(send, (await receive())["type"])
    await close(send)


async def listen(scope, receive, send):
    """Note every message, and how it ends."""
    await accept(scope, receive, send)
    async for message in messages(receive):
        note(scope, {key: repr(value) for key, value in message.items()})
    await note_end(scope, receive, send)


async def part(scope, receive, send):
    """Close with the code and the reason of the query, then note what comes."""
    asked = query(scope)
    await accept(scope, receive, send)
    await close(send, int(asked.get("code", 1000)), asked.get("reason", ""))
    await note_end(scope, receive, send)


async def refuse(scope, receive, send):
    await receive()
    await close(send, 4000, "not today")
    await note_end(scope, receive, send)


async def deny(scope, receive, send):
    """A denial of one's own, in parts."""
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Basic")]
    await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"are you?"})
    await note_end(scope, receive, send)


async def fail(scope, receive, send):
    """Fail or return early, before or behind the accept."""
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
    """What is as good as bytes, or as text, in the fields of a message."""

    class Text(str):
        __slots__ = ()

    await accept(scope, receive, send)
    for data in (bytearray(b"bytearray"), memoryview(b"memoryview")):
        await send_bytes(send, data)
    await send_text(send, Text("subclass"))
    await send({"type": "websocket.close"})


async def misuse(scope, receive, send):
    """A message that is wrong, or wrong where it is sent."""
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
    """Receive nothing before the event `name` is set, then tell what has come by each `end` message."""
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
    """Send 64 KiB again and again until `send()` says that the client has left; note the error."""
    await accept(scope, receive, send)
    sent = notes[f"{query(scope)['name']}-sent"] = [0]
    try:
        while True:
            await send_bytes(send, bare.PIECE)
            sent[0] += 1
    except OSError as error:
        note(scope, type(error).__name__)
        say("flood was told")
    note(scope, await receive())
    event(query(scope)["name"]).set()


async def choir(scope, receive, send):
    """Several tasks at once, each sending messages full of its own letter and marked with their number."""
    asked = query(scope)
    await accept(scope, receive, send)

    async def sing(letter):
        for number in range(int(asked["each"])):
            await send_text(send, f"{number:06d}" + letter * int(asked["size"]))

    await asyncio.gather(*(sing(chr(ord("A") + voice)) for voice in range(int(asked["voices"]))))
    await close(send)


async def fickle(scope, receive, send):
    """Cancel `receive()` at every turn of the loop while it waits; tell what came all the same."""
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
    """Receive in one task while another sends and a third waits; leave nothing behind."""
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
    """Work on for a moment when the server drains."""
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
    """Accept when the event `name` is set, then tell what `receive()` gives."""
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
    """Be in a room that /broadcast sends to."""
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
    "/stay": stay,
    "/two-ears": two_ears,
}
