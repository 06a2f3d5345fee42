"""Framework responses after a disconnect: they end as under uvicorn, with their cleanup and background tasks."""

import asyncio
import contextlib
import gc
import logging
import socket
import struct
import time

import pytest

from tests.support.raw_client import Client
from tests.support.server import PATIENCE, thread

# More than the socket buffers hold.
SIZE = 32 << 20
PART = bytes(65536)
RESET = struct.pack("ii", 1, 0)


class Notes(list):
    """The recorded steps, in order."""

    def wait_for(self, *what):
        deadline = time.monotonic() + PATIENCE
        while not set(what) <= set(self):
            assert time.monotonic() < deadline, self
            gc.collect()  # closes a generator that anyio has left in a reference cycle
            time.sleep(0.01)


async def parts(notes, endless=False):
    try:
        for _ in range(SIZE // len(PART)):
            yield PART
            await asyncio.sleep(0)
        while endless:
            yield PART
            await asyncio.sleep(0)
    finally:
        notes.append("finally")


def starlette(notes, path):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import FileResponse, StreamingResponse
    from starlette.routing import Route

    def background():
        return BackgroundTask(notes.append, "background")

    async def file(request):
        return FileResponse(path, background=background())

    async def stream(request):
        return StreamingResponse(parts(notes), background=background())

    return Starlette(routes=[Route("/file", file), Route("/stream", stream)])


def fastapi(notes, path):
    pytest.importorskip("fastapi")
    from fastapi import BackgroundTasks, FastAPI
    from fastapi.responses import FileResponse, StreamingResponse

    app = FastAPI()

    @app.get("/file")
    async def file(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "background")
        return FileResponse(path)

    @app.get("/stream")
    async def stream(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "background")
        return StreamingResponse(parts(notes))

    return app


def litestar(notes, path):
    pytest.importorskip("litestar")
    from litestar import Litestar, get
    from litestar.background_tasks import BackgroundTask
    from litestar.response import File, Stream

    async def note():
        notes.append("background")

    @get("/file")
    async def file() -> File:
        return File(path, background=BackgroundTask(note))

    @get("/stream")
    async def stream() -> Stream:
        return Stream(parts(notes), background=BackgroundTask(note))

    return Litestar([file, stream], logging_config=None)


def quart(notes, path):
    pytest.importorskip("quart")
    from quart import Quart

    app = Quart(__name__)

    @app.get("/stream")
    async def stream():
        return parts(notes)

    return app


CASES = [
    (starlette, "/file", ["background"]),
    (starlette, "/stream", ["finally", "background"]),
    (fastapi, "/file", ["background"]),
    (fastapi, "/stream", ["finally", "background"]),
    (litestar, "/file", ["background"]),
    (litestar, "/stream", ["finally"]),
    (quart, "/stream", ["finally"]),
]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["reset", "closed"])
@pytest.mark.parametrize("sendfile", [False, True], ids=["", "sendfile"])
@pytest.mark.parametrize(
    ("make", "target", "expected"), CASES, ids=[f"{make.__name__}{path}" for make, path, _ in CASES]
)
@pytest.mark.filterwarnings("ignore::Warning")
def test_response_runs_cleanup_after_disconnect(make, target, expected, how, loop, sendfile, tmp_path, caplog):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    notes = Notes()
    with thread(make(notes, path), loop=loop, sendfile=sendfile) as server:
        with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
            client.get(target)
            assert client.read_head().status == 200
            client.read_some()
            if how == "reset":
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        notes.wait_for(*expected)
        deadline = time.monotonic() + PATIENCE
        while server.server_state.connections or server.server_state.tasks:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_django_closes_file_after_disconnect(start, variant, connect):
    """Django needs its own process, because its configuration is global."""
    pytest.importorskip("django")
    server = start("django_left:app", "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/file")
    assert client.read_head().status == 200
    client.close()
    server.log.wait_for("^closed$")
    assert "ERROR" not in server.log.text()
