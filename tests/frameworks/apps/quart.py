"""Quart: its request and response, sessions, templates, generators that stream."""

import hashlib

from quart import Quart, Response, make_response, redirect, render_template_string, request, send_file, session

from . import HERE

app = Quart(__name__, static_folder=str(HERE / "static"))
app.secret_key = "for tests only"


@app.get("/show")
async def show():
    return {"method": request.method, "path": request.path, "query": request.args}


@app.post("/echo")
async def echo():
    return Response(await request.get_data(), content_type=request.headers.get("content-type"))


@app.post("/upload")
async def upload():
    file = (await request.files)["file"]
    word = (await request.form)["word"]
    return {"name": file.filename, "word": word, "sha256": hashlib.sha256(file.read()).hexdigest()}


@app.post("/counted")
async def counted():
    size = 0
    async for part in request.body:
        size += len(part)
    return {"size": size}


@app.get("/stream")
async def stream():
    async def parts():
        for number in range(50):
            yield f"{number}\n"

    return Response(parts(), content_type="text/plain")


@app.get("/file")
async def file():
    return await send_file(HERE / "static" / "file.txt", conditional=True)


@app.get("/empty")
async def empty():
    return "", 204


@app.get("/redirect")
async def redirected():
    return redirect("/show")


@app.get("/cookies")
async def cookies():
    response = await make_response("two")
    response.set_cookie("first", "1")
    response.set_cookie("second", "2", httponly=True)
    return response


@app.get("/page")
async def page():
    return await render_template_string("<p>{{ word }}</p>", word="<ü>")


@app.get("/count")
async def count():
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"]}


@app.get("/in-a-thread")
def in_a_thread():
    return "from a thread"


@app.get("/fail")
async def fail():
    raise ValueError("the application's own fault")
