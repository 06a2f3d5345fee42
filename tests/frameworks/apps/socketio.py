"""python-socketio over long polling, beside another application and a static file."""

import socketio

from . import HERE, starlette

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=["http://a.example"])
app = socketio.ASGIApp(server, starlette.app, static_files={"/page": {"filename": f"{HERE}/static/index.html"}})


@server.event
async def tell(sid, data):
    await server.emit("told", data, to=sid)


@server.event
async def ask(sid, data):
    return data
