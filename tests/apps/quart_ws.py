"""WebSockets of Quart: accepted by the first send or by `accept`, or rejected with a denial response."""

import asyncio

from quart import Quart, Response, abort, websocket

app = Quart(__name__)
ended = []


@app.websocket("/echo")
async def echo():
    try:
        while True:
            await websocket.send(await websocket.receive())
    except asyncio.CancelledError:
        ended.append(["cancelled"])
        raise


@app.websocket("/both-ways")
async def both_ways():
    """Send while another task receives."""
    await websocket.accept(headers={"x-mine": "yes"}, subprotocol="both")

    async def talk():
        for number in range(100):
            await websocket.send_json({"number": number})

    async def hear():
        for _ in range(100):
            await websocket.receive_json()

    async with asyncio.TaskGroup() as group:
        group.create_task(talk())
        group.create_task(hear())
    await websocket.send_json({"done": True})


@app.websocket("/reject")
async def reject():
    abort(403)


@app.websocket("/deny")
async def deny():
    return Response("who are you?", 401, {"x-mine": "yes"})


@app.websocket("/close")
async def close():
    await websocket.accept()
    await websocket.close(4321, "enough")


@app.websocket("/fail")
async def fail():
    await websocket.accept()
    raise ValueError("the application's own fault")


@app.route("/http")
async def http():
    return "http"


@app.route("/ended")
async def tell_ended():
    return ended
