"""Litestar: its own request, response and middleware, compression, sessions, static files."""

import hashlib
from typing import Annotated, Any

from litestar import Litestar, Request, get, post
from litestar.background_tasks import BackgroundTask
from litestar.config.compression import CompressionConfig
from litestar.datastructures import Cookie, UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException
from litestar.params import Body
from litestar.response import File, Redirect, Response, Stream
from litestar.static_files import create_static_files_router

from . import HERE

done: list[str] = []


@get("/show")
async def show(request: Request, a: int, b: str = "") -> dict[str, Any]:
    return {"method": request.method, "path": request.url.path, "query": [a, b]}


@post("/echo", status_code=200)
async def echo(request: Request) -> Response[bytes]:
    return Response(await request.body(), media_type=request.headers.get("content-type"))


@post("/upload", status_code=200)
async def upload(data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, Any]:
    file: UploadFile = data["file"]
    return {
        "name": file.filename,
        "word": data["word"],
        "sha256": hashlib.sha256(await file.read()).hexdigest(),
    }


@get("/stream", sync_to_thread=False)
def stream() -> Stream:
    return Stream((f"{number}\n" for number in range(50)), media_type="text/plain")


@get("/file", sync_to_thread=False)
def file() -> File:
    return File(HERE / "static" / "file.txt", filename="file.txt")


@get("/empty", status_code=204)
async def empty() -> None:
    pass


@get("/redirect")
async def redirect() -> Redirect:
    return Redirect("/show")


@get("/cookies", response_cookies=[Cookie("first", value="1", httponly=True)])
async def cookies() -> str:
    return "one, for Litestar sends a set of them in any order"


@get("/in-a-thread", sync_to_thread=True)
def in_a_thread() -> str:
    return "from a thread"


@get("/zipped")
async def zipped() -> str:
    return "to be zipped " * 100


@get("/refused")
async def refused() -> None:
    raise NotAuthorizedException("who are you?", headers={"www-authenticate": "Bearer"})


@get("/fail")
async def fail() -> None:
    raise ValueError("the application's own fault")


@get("/background")
async def background() -> Response[str]:
    return Response("answered", background=BackgroundTask(done.append, "worked"))


app = Litestar(
    [
        *(show, echo, upload, stream, file, empty, redirect, cookies, in_a_thread, zipped, refused, fail, background),
        create_static_files_router("/static", [HERE / "static"], html_mode=True),
    ],
    compression_config=CompressionConfig("gzip", minimum_size=500),
)
