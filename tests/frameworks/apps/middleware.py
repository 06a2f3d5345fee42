"""Starlette behind middleware of others that reads, compresses or counts what is sent, and beside applications that
send files by themselves.
"""

from baize.asgi import FileResponse as BaizeFileResponse
from brotli_asgi import BrotliMiddleware
from slowapi import Limiter
from slowapi.middleware import SlowAPIASGIMiddleware, SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from zstd_asgi import ZstdMiddleware

from . import HERE
from .flask import app as flask

STATIC = HERE / "static"


class Reading(BaseHTTPMiddleware):
    """A middleware that reads each body whole, like one that logs or caches responses."""

    async def dispatch(self, request, call_next):
        response = await call_next(request)
        content = b"".join([part async for part in response.body_iterator])
        headers = {**response.headers, "x-size": str(len(content))}
        return Response(content, response.status_code, headers, response.media_type)


async def show(request):
    return PlainTextResponse(request.url.path * 100)


async def stream(request):
    async def parts():
        for number in range(50):
            yield f"{number}\n" * 20

    return StreamingResponse(parts(), media_type="text/plain")


async def file(request):
    return FileResponse(STATIC / "file.txt")


async def forwarded(request):
    """Forward a chunked response of another server with its content and fields."""
    return Response(b"from elsewhere", headers={"transfer-encoding": "chunked"})


ROUTES = [
    Route("/show", show),
    Route("/stream", stream),
    Route("/file", file),
    Route("/forwarded", forwarded),
    Mount("/static", StaticFiles(directory=STATIC)),
]


def wrapped(*middleware):
    inner = Starlette(routes=ROUTES, middleware=list(middleware))
    inner.state.limiter = Limiter(get_remote_address, default_limits=["1000/minute"], headers_enabled=True)
    return inner


class Baize:
    async def __call__(self, scope, receive, send):
        await BaizeFileResponse(str(STATIC / "file.txt"))(scope, receive, send)


app = Starlette(
    routes=[
        Mount("/brotli", wrapped(Middleware(BrotliMiddleware, minimum_size=10))),
        Mount("/zstd", wrapped(Middleware(ZstdMiddleware, minimum_size=10))),
        Mount("/limited", wrapped(Middleware(SlowAPIMiddleware))),
        Mount("/limited-asgi", wrapped(Middleware(SlowAPIASGIMiddleware))),
        Mount("/reading", wrapped(Middleware(Reading))),
        Route("/baize/file", Baize()),
        Mount("/wsgi", flask),
    ]
)
