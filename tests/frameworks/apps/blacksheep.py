"""BlackSheep: bindings, forms, streams, static files, a middleware."""

import hashlib

from blacksheep import (
    Application,
    Content,
    Cookie,
    Request,
    Response,
    StreamedContent,
    get,
    json,
    no_content,
    post,
    redirect,
    text,
)

from . import HERE

app = Application()
app.serve_files(HERE / "static", root_path="static")


@app.on_start
async def start(application):
    application.services.add_instance("ready", str)


async def stamp(request, handler):
    response = await handler(request)
    response.add_header(b"X-Stamp", request.method.encode())
    return response


app.middlewares.append(stamp)


@get("/show")
async def show(request: Request, a: int, b: str = ""):
    return json({"method": request.method, "path": request.url.path.decode(), "query": [a, b]})


@post("/echo")
async def echo(request: Request):
    return Response(200, content=Content(request.content_type() or b"text/plain", await request.read() or b""))


@post("/upload")
async def upload(request: Request):
    form = await request.form()
    (file,) = await request.files("file")
    data = file.data if isinstance(file.data, bytes) else file.file.read()
    return json({"word": form["word"], "sha256": hashlib.sha256(data).hexdigest()})


@get("/stream")
async def stream():
    async def parts():
        for number in range(50):
            yield b"%d\n" % number

    return Response(200, content=StreamedContent(b"text/plain", parts))


@get("/empty")
async def empty():
    return no_content()


@get("/redirect")
async def redirected():
    return redirect("/show")


@get("/cookies")
async def cookies():
    response = text("two")
    response.set_cookie(Cookie("first", "1"))
    response.set_cookie(Cookie("second", "2", http_only=True))
    return response


@get("/fail")
async def fail():
    raise ValueError("the application's own fault")
