"""Socket.IO: polling, its upgrade to WebSocket, rooms and callbacks."""

import socketio

server = socketio.AsyncServer(async_mode="asgi", ping_interval=0.2, ping_timeout=1)
app = socketio.ASGIApp(server)


@server.event
async def connect(sid, environ, auth):
    if auth == {"token": "wrong"}:
        raise socketio.exceptions.ConnectionRefusedError("no such token")
    await server.enter_room(sid, "all")


@server.event
async def echo(sid, data):
    return data


@server.event
async def say(sid, data):
    await server.emit("said", data, room="all")


@server.event
async def transport(sid):
    return server.transport(sid)


@server.event
async def leave(sid):
    await server.disconnect(sid)
