"""WebSockets of Litestar: handlers, a listener and exceptions."""

from typing import Any

from litestar import Litestar, WebSocket, get, websocket, websocket_listener
from litestar.exceptions import WebSocketDisconnect

ended: list[Any] = []


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(detail="left", code=message["code"])
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"] or b"")
    except WebSocketDisconnect as error:
        ended.append([error.code])


@websocket_listener("/doubled")
async def doubled(data: dict[str, int]) -> dict[str, int]:
    return {name: 2 * value for name, value in data.items()}


@websocket("/reject")
async def reject(socket: WebSocket) -> None:
    await socket.close()


@websocket("/close")
async def close(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close(code=4321, reason="enough")


@websocket("/fail")
async def fail(socket: WebSocket) -> None:
    await socket.accept()
    raise ValueError("the application's own fault")


@get("/http", sync_to_thread=False)
def http() -> str:
    return "http"


@get("/ended", sync_to_thread=False)
def tell_ended() -> list[Any]:
    return ended


app = Litestar([echo, doubled, reject, close, fail, http, tell_ended], logging_config=None)
