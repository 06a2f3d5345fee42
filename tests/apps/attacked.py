"""Answers for hostile clients: a short one, a long one, one after the body, one that never comes; WebSockets too."""

import asyncio


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await converse(receive, send)
        return
    assert scope["type"] == "http"
    if scope["path"] == "/hold":
        while (await receive())["type"] != "http.disconnect":
            await asyncio.sleep(3600)
        return
    if scope["path"] == "/read":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/large":
        for _ in range(64):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b"ok"})


async def converse(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass
