"""WebSockets of Starlette: functions, an endpoint class, a denial response, a middleware and the lifespan's state."""

import contextlib

from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

ended = []


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"word": "from the lifespan"}


async def echo(websocket):
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message.get("reason"))
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect as error:
        ended.append([error.code, error.reason])


async def reject(websocket):
    await websocket.close(4000)


async def deny(websocket):
    response = PlainTextResponse("no place left", 503, headers={"retry-after": "5"})
    await websocket.send_denial_response(response)


async def close(websocket):
    await websocket.accept()
    await websocket.close(4321, "enough")


async def fail(websocket):
    await websocket.accept()
    raise ValueError("the application's own fault")


async def state(websocket):
    await websocket.accept(subprotocol="json", headers=[(b"x-mine", b"yes")])
    await websocket.send_json({"word": websocket.state.word, "query": dict(websocket.query_params)})
    async for message in websocket.iter_json():
        await websocket.send_json(message, mode="binary")


async def after_the_client(websocket):
    """Send until the disconnect; note the error that Starlette raises."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_bytes(bytes(65536))
    except WebSocketDisconnect as error:
        ended.append(["send", error.code])


class Upper(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket, data):
        await websocket.send_text(data.upper())

    async def on_disconnect(self, websocket, close_code):
        ended.append(["endpoint", close_code])


async def tell_ended(request):
    return JSONResponse(ended)


async def http(request):
    return PlainTextResponse("http")


class Through(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


ROUTES = [
    Route("/http", http),
    Route("/ended", tell_ended),
    WebSocketRoute("/after-the-client", after_the_client),
    WebSocketRoute("/close", close),
    WebSocketRoute("/deny", deny),
    WebSocketRoute("/echo", echo),
    WebSocketRoute("/endpoint", Upper),
    WebSocketRoute("/fail", fail),
    WebSocketRoute("/reject", reject),
    WebSocketRoute("/state", state),
]

app = Starlette(
    routes=[Mount("/through", routes=ROUTES, middleware=[Middleware(Through)]), *ROUTES],
    lifespan=lifespan,
)
