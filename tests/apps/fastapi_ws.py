"""WebSockets of FastAPI: dependencies, path and query parameters, exceptions."""

from typing import Annotated

from fastapi import Depends, FastAPI, Query, WebSocket, WebSocketDisconnect, WebSocketException

app = FastAPI()
ended = []


async def token(token: Annotated[str | None, Query()] = None) -> str:
    if token is None:
        raise WebSocketException(1008, "no token")
    return token


@app.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            websocket._raise_on_disconnect(message)
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect as error:
        ended.append([error.code, error.reason])


@app.websocket("/items/{number}")
async def items(websocket: WebSocket, number: int, token: Annotated[str, Depends(token)]):
    await websocket.accept()
    await websocket.send_json({"number": number, "token": token})
    await websocket.close()


@app.websocket("/reject")
async def reject(websocket: WebSocket):
    await websocket.close()


@app.websocket("/close")
async def close(websocket: WebSocket):
    await websocket.accept()
    await websocket.close(4321, "enough")


@app.websocket("/fail")
async def fail(websocket: WebSocket):
    await websocket.accept()
    raise ValueError("the application's own fault")


@app.get("/http")
async def http():
    return "http"


@app.get("/ended")
async def tell_ended():
    return ended
