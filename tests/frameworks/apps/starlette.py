"""Starlette without middleware, and behind each kind that wraps `receive` or `send`."""

import hashlib

from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import make_asgi_app
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette_exporter import PrometheusMiddleware

from . import HERE

trace.set_tracer_provider(TracerProvider())


class Stamping(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-stamp"] = request.method
        return response


async def show(request):
    return JSONResponse({"method": request.method, "path": request.url.path, "query": dict(request.query_params)})


async def echo(request):
    return Response(await request.body(), media_type=request.headers.get("content-type"))


async def upload(request):
    async with request.form() as form:
        content = await form["file"].read()
        return JSONResponse(
            {"name": form["file"].filename, "word": form["word"], "sha256": hashlib.sha256(content).hexdigest()}
        )


async def stream(request):
    async def parts():
        for number in range(50):
            yield f"{number}\n"

    return StreamingResponse(parts(), media_type="text/plain")


async def file(request):
    return FileResponse(HERE / "static" / "file.txt")


async def empty(request):
    return Response(status_code=204)


async def redirect(request):
    return RedirectResponse("/show")


async def cookies(request):
    response = PlainTextResponse("two")
    response.set_cookie("first", "1")
    response.set_cookie("second", "2", httponly=True)
    return response


async def fail(request):
    raise ValueError("the application's own fault")


async def fail_late(request):
    async def parts():
        yield b"begun"
        raise ValueError("the application's own fault")

    return StreamingResponse(parts(), media_type="text/plain")


async def background(request):
    return PlainTextResponse("answered", background=BackgroundTask(request.app.state.done.append, "worked"))


async def count(request):
    if "session" not in request.scope:
        return PlainTextResponse("no session")
    request.session["count"] = request.session.get("count", 0) + 1
    return JSONResponse(dict(request.session))


ROUTES = [
    Route("/show", show, methods=["GET"]),
    Route("/echo", echo, methods=["POST", "PUT"]),
    Route("/upload", upload, methods=["POST"]),
    Route("/stream", stream),
    Route("/file", file),
    Route("/empty", empty),
    Route("/redirect", redirect),
    Route("/cookies", cookies),
    Route("/fail", fail),
    Route("/fail-late", fail_late),
    Route("/background", background),
    Route("/count", count),
    Mount("/static", StaticFiles(directory=HERE / "static", html=True)),
]


def wrapped(*middleware):
    inner = Starlette(routes=ROUTES, middleware=list(middleware))
    inner.state.done = []
    return inner


app = Starlette(
    routes=[
        Mount("/zipped", wrapped(Middleware(GZipMiddleware, minimum_size=10))),
        Mount("/stamped", wrapped(Middleware(Stamping), Middleware(Stamping))),
        Mount("/kept", wrapped(Middleware(SessionMiddleware, secret_key="for tests only", max_age=None))),
        Mount("/shared", wrapped(Middleware(CORSMiddleware, allow_origins=["http://a.example"], max_age=5))),
        Mount("/traced", OpenTelemetryMiddleware(wrapped())),
        Mount("/counted", PrometheusMiddleware(wrapped())),
        Mount("/measured", PrometheusMiddleware(wrapped(), prefix="measured")),
        Mount("/metrics", make_asgi_app()),
        Mount(
            "/all",
            wrapped(
                Middleware(OpenTelemetryMiddleware),
                Middleware(PrometheusMiddleware),
                Middleware(GZipMiddleware, minimum_size=10),
                Middleware(Stamping),
            ),
        ),
        *ROUTES,
    ]
)
app.state.done = []
