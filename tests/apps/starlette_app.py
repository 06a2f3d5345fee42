"""A Starlette application with the features that its users rely on."""

import asyncio
import contextlib
import hashlib
import tempfile

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

SIZE = 3_000_000

worked = asyncio.Event()
release = asyncio.Event()
left = asyncio.Event()
how_it_ended = []


@contextlib.asynccontextmanager
async def lifespan(app):
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(range(250)) * (SIZE // 250))
        file.flush()
        yield {"file": file.name, "word": "from the lifespan"}


async def show(request):
    return JSONResponse({"method": request.method, "query": dict(request.query_params), "word": request.state.word})


async def stream(request):
    async def parts():
        for number in range(100):
            yield f"{number}\n"

    return StreamingResponse(parts(), media_type="text/plain")


async def forwarded(request):
    """Forward a chunked response of another server with its content and fields."""
    return Response(b"from elsewhere", headers={"transfer-encoding": "chunked", "x-mine": "yes"})


async def ticks(request):
    """Send server-sent events until the disconnect."""

    async def events():
        try:
            number = 0
            while True:
                yield f"data: {number}\n\n"
                number += 1
                await asyncio.sleep(0.01)
        except BaseException as error:
            how_it_ended.append(type(error).__name__)
            raise
        finally:
            left.set()

    return StreamingResponse(events(), media_type="text/event-stream")


async def ticks_left(request):
    await left.wait()
    return JSONResponse(how_it_ended)


async def file(request):
    return FileResponse(request.state.file)


async def upload(request):
    async with request.form() as form:
        content = await form["file"].read()
        return JSONResponse(
            {"name": form["file"].filename, "word": form["word"], "sha256": hashlib.sha256(content).hexdigest()}
        )


async def partial(request):
    """Read a truncated body."""
    try:
        await request.body()
    except ClientDisconnect:
        how_it_ended.append("ClientDisconnect")
        left.set()
    return PlainTextResponse("read")


async def background(request):
    async def work():
        await release.wait()
        worked.set()

    return PlainTextResponse("answered", background=BackgroundTask(work))


async def background_done(request):
    release.set()
    await worked.wait()
    return PlainTextResponse("worked")


async def disconnected(request):
    return JSONResponse(await request.is_disconnected())


async def fail(request):
    raise ValueError("the application's own fault")


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-stamp"] = "stamped"
        return response


ROUTES = [
    Route("/background", background),
    Route("/background-done", background_done),
    Route("/disconnected", disconnected),
    Route("/fail", fail),
    Route("/file", file),
    Route("/forwarded", forwarded),
    Route("/partial", partial, methods=["POST"]),
    Route("/show", show, methods=["GET", "POST"]),
    Route("/stream", stream),
    Route("/ticks", ticks),
    Route("/ticks-left", ticks_left),
    Route("/upload", upload, methods=["POST"]),
]

app = Starlette(
    routes=[
        Mount("/stamped", routes=ROUTES, middleware=[Middleware(Stamp)]),
        Mount("/zipped", routes=ROUTES, middleware=[Middleware(GZipMiddleware, minimum_size=100)]),
        *ROUTES,
    ],
    lifespan=lifespan,
)
