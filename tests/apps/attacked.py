"""Answers for hostile clients: a short one, a long one, and one that never comes."""

import asyncio


async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/hold":
        while (await receive())["type"] != "http.disconnect":
            await asyncio.sleep(3600)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/large":
        for _ in range(64):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b"ok"})
