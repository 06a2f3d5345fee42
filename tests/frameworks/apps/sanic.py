"""Sanic as an ASGI application: it streams, and keeps its own idea of a request."""

import hashlib

from sanic import Sanic
from sanic.response import ResponseStream, empty, file, json, raw, redirect, text

from . import HERE

app = Sanic("matrix", configure_logging=False)
app.config.FALLBACK_ERROR_FORMAT = "json"
app.static("/static", HERE / "static")


@app.on_response
async def stamp(request, response):
    response.headers["x-stamp"] = request.method


@app.get("/show")
async def show(request):
    return json({"method": request.method, "path": request.path, "query": request.args})


@app.post("/echo")
async def echo(request):
    return raw(request.body, content_type=request.headers.get("content-type", "text/plain"))


@app.post("/upload")
async def upload(request):
    sent = request.files.get("file")
    digest = hashlib.sha256(sent.body).hexdigest()
    return json({"name": sent.name, "word": request.form.get("word"), "sha256": digest})


@app.get("/stream")
async def stream(request):
    async def parts(response):
        for number in range(50):
            await response.write(f"{number}\n")

    return ResponseStream(parts, content_type="text/plain")


@app.get("/file")
async def sent_file(request):
    return await file(HERE / "static" / "file.txt")


@app.get("/empty")
async def nothing(request):
    return empty()


@app.get("/redirect")
async def redirected(request):
    return redirect("/show")


@app.get("/cookies")
async def cookies(request):
    response = text("two")
    response.add_cookie("first", "1")
    response.add_cookie("second", "2", httponly=True)
    return response


@app.get("/fail")
async def fail(request):
    raise ValueError("the application's own fault")
