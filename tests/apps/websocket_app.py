"""The WebSockets of websocket_paths.py, the HTTP paths of asgi.py, and paths for tests to ask about sockets."""

import json

import asgi
import websocket_paths
from asgi import event, query
from websocket_page import PAGE, SCRIPT
from websocket_paths import notes, rooms


async def broadcast(scope, receive, send):
    """Send `count` messages of `size` bytes to all in the room `name`; answer with the number of failed sends."""
    asked = query(scope)
    message = {"type": "websocket.send", "bytes": bytes(int(asked["size"]))}
    failed = 0
    for _ in range(int(asked["count"])):
        for member in list(rooms.get(asked["name"], ())):
            try:
                await member(message)
            except OSError:
                failed += 1
    await asgi.answer_json(send, {"failed": failed})


async def members(scope, receive, send):
    await asgi.answer_json(send, len(rooms.get(query(scope)["name"], ())))


async def told(scope, receive, send):
    """Answer with the current notes of this name."""
    await asgi.answer_json(send, notes.get(query(scope)["name"]))


async def told_at_end(scope, receive, send):
    """Wait for the event of this name, then answer with the notes of this name."""
    await event(query(scope)["name"]).wait()
    await told(scope, receive, send)


async def page(scope, receive, send):
    """Serve the checks of websocket_page.py to a browser, which reports to /report."""
    await asgi.start(send, 200, (b"content-type", b"text/html; charset=utf-8"))
    await asgi.body(send, PAGE.encode())


async def script(scope, receive, send):
    """Serve the same checks to Node, which gets the port as its argument."""
    await asgi.text(send, SCRIPT.encode())


async def report(scope, receive, send):
    notes[query(scope)["name"]] = json.loads(await asgi.read(receive))
    event(query(scope)["name"]).set()
    await asgi.text(send, b"noted")


HTTP_PATHS = {
    "/broadcast": broadcast,
    "/members": members,
    "/notes": told,
    "/notes-at-end": told_at_end,
    "/page": page,
    "/report": report,
    "/script": script,
}


async def lifespan(scope, receive, send):
    scope["state"]["word"] = "from the lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
    match scope["type"]:
        case "websocket":
            return await websocket_paths.PATHS.get(path, websocket_paths.greet)(scope, receive, send)
        case "http":
            return await HTTP_PATHS.get(path, asgi.app)(scope, receive, send)
    return await lifespan(scope, receive, send)
