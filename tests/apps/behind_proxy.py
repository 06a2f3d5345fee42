"""Answers with the parts of a request that a proxy can change, over HTTP and WebSocket."""

import json


def seen(scope):
    host = dict(scope["headers"])[b"host"].decode()
    return json.dumps([scope["client"], scope["scheme"], host, scope["root_path"], scope["path"]]).encode()


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/deny":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": seen(scope).decode()})
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        data = seen(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(data))]})
        await send({"type": "http.response.body", "body": data})
