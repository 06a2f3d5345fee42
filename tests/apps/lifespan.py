"""Lifespans and requests that start and end in every way. They print the events for tests to stderr."""

import asyncio
import time

from saying import say


async def serve(scope, receive, send):
    """Answer: /slow when the body is complete, /never never, /stream then and until the disconnect."""
    match scope["path"]:
        case "/slow":
            say("slow begins")
            while (await receive()).get("more_body"):
                pass
        case "/block":
            say("block begins")
            time.sleep(float(scope["query_string"] or 0.5))  # noqa: ASYNC251 - as an application does that should not
        case "/never":
            say("never begins")
            try:
                await asyncio.Event().wait()
            finally:
                say("never was cancelled")
        case "/stream":
            say("stream is called")
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            say("stream begins")
            while (await receive())["type"] != "http.disconnect":
                pass
            say("stream was told")
            await send({"type": "http.response.body", "body": b"ended"})
            return
        case "/background":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            say("background begins")
            await asyncio.sleep(0.3)
            say("background ends")
            return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def messages(receive, send):
    """Run a correct lifespan."""
    await receive()
    say("starting")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    say("stopping")
    await send({"type": "lifespan.shutdown.complete"})


async def whole(scope, receive, send):
    if scope["type"] == "lifespan":
        await messages(receive, send)
    else:
        await serve(scope, receive, send)


async def says_no(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def raises(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan here")
    await serve(scope, receive, send)


async def hangs_at_startup(scope, receive, send):
    assert scope["type"] == "lifespan"
    say("hanging")
    try:
        await asyncio.Event().wait()
    finally:
        say("cleaning up")


async def hangs_at_shutdown(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say("hanging")
        await asyncio.Event().wait()
    else:
        await serve(scope, receive, send)


async def stop_fails(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "no flush"})
