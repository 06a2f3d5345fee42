"""FastAPI: models, dependencies that yield, threads, forms, background tasks, the lifespan's state, its own pages."""

import contextlib
import hashlib
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, Header, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel

from . import HERE


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"prices": {"apple": 3}, "done": []}


app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    name: str
    count: int = 1


def prices(request: Request):
    yield request.state.prices


@app.middleware("http")
async def stamp(request, call_next):
    response = await call_next(request)
    response.headers["x-stamp"] = "stamped"
    return response


@app.get("/show")
def show(request: Request, a: int, b: str = ""):
    return {"method": request.method, "path": request.url.path, "query": [a, b]}


@app.post("/echo")
async def echo(request: Request):
    return Response(await request.body(), media_type=request.headers.get("content-type"))


@app.post("/upload")
async def upload(file: Annotated[UploadFile, File()], word: Annotated[str, Form()]):
    return {"name": file.filename, "word": word, "sha256": hashlib.sha256(await file.read()).hexdigest()}


@app.get("/stream")
def stream():
    return StreamingResponse((f"{number}\n" for number in range(50)), media_type="text/plain")


@app.get("/file")
def file():
    return FileResponse(HERE / "static" / "file.txt")


@app.get("/empty", status_code=204)
async def empty():
    pass


@app.get("/redirect")
async def redirect():
    return RedirectResponse("/show")


@app.get("/fail")
async def fail():
    raise ValueError("the application's own fault")


@app.post("/orders", status_code=201)
async def order(order: Order, prices: Annotated[dict, Depends(prices)], x_note: Annotated[str, Header()] = ""):
    if order.name not in prices:
        raise HTTPException(404, "no such thing", {"x-why": "sold out"})
    return {"total": prices[order.name] * order.count, "note": x_note}


@app.get("/background")
async def background(tasks: BackgroundTasks, request: Request):
    tasks.add_task(request.state.done.append, "worked")
    return "answered"


@app.get("/done")
async def done(request: Request):
    return request.state.done
