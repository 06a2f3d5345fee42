"""sse-starlette: events that end, and events that do not."""

import asyncio

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

left = []


async def some(request):
    async def events():
        for number in range(10):
            yield ServerSentEvent(data=number, event="tick", id=str(number))
            await asyncio.sleep(0)

    return EventSourceResponse(events(), headers={"x-mine": "yes"})


async def endless(request):
    async def events():
        try:
            yield {"data": "begun"}
            await asyncio.Event().wait()
        finally:
            left.append("left")

    return EventSourceResponse(events(), ping=1)


async def show_left(request):
    return JSONResponse(left)


app = Starlette(routes=[Route("/some", some), Route("/endless", endless), Route("/left", show_left)])
