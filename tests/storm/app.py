"""The application of a storm: verifiable content, streams, files, WebSockets, and WSGI on two bridges.

Every wait ends by itself or at the disconnect. `/state` reports the live objects of this process.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ctypes
import gc
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import flask
from a2wsgi import WSGIMiddleware

from pronghorn.application import interfaces
from pronghorn.server.protocol import HTTPProtocol
from tests.storm.content import LARGE_FILE, MEDIUM_FILE, ON_PURPOSE, SMALL_FILE, content, file_content

if os.environ.get("STORM_TLS") == "ssl":
    sys.modules["aiofastnet"] = None  # type: ignore[assignment]

Asked = dict[str, str]

# Bytes per message of a stream.
_PIECE = 16 << 10
# More threads than any thread pool of the application.
_FILL = 40
# The beginning of the names of the server's classes.
_OURS = "pronghorn."
# The limit for a client that never leaves.
_FOREVER = 1 << 30

_files: dict[int, str] = {}
_running: collections.Counter[str] = collections.Counter()
_open_iterables: set[int] = set()


class StormError(Exception):
    """A deliberate failure."""


# ASGI


async def _start(send: Any, asked: Asked, status: int = 200, size: int | None = None) -> None:
    headers = [(b"x-token", asked["token"].encode())]
    if size is not None:
        headers.append((b"content-length", b"%d" % size))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _body(send: Any, data: bytes = b"", more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _content(asked: Asked, receive: Any, send: Any) -> None:
    size = int(asked["size"])
    await _start(send, asked, size=size)
    await _body(send, content(asked["token"], size))


async def _stream(asked: Asked, receive: Any, send: Any) -> None:
    """Send chunks, with a pause between them on request."""
    data = content(asked["token"], int(asked["size"]))
    await _start(send, asked)
    for start in range(0, len(data), _PIECE):
        await _body(send, data[start : start + _PIECE], True)
        if "pause" in asked:
            await asyncio.sleep(float(asked["pause"]))
    await _body(send)


async def _head_first(asked: Asked, receive: Any, send: Any) -> None:
    """Send the head before the body."""
    await _start(send, asked)
    await asyncio.sleep(float(asked["pause"]))
    await _body(send, content(asked["token"], int(asked["size"])))


async def _mirror(asked: Asked, receive: Any, send: Any) -> None:
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        parts.append(message["body"])
        more = message["more_body"]
    data = b"".join(parts)
    await _start(send, asked, size=len(data))
    await _body(send, data)


async def _refuse(asked: Asked, receive: Any, send: Any) -> None:
    """Answer 401 without reading the body."""
    data = content(asked["token"], 100)
    await _start(send, asked, status=401, size=len(data))
    await _body(send, data)


async def _file(asked: Asked, receive: Any, send: Any) -> None:
    size = int(asked["size"])
    await _start(send, asked, size=size)
    await send({"type": "http.response.pathsend", "path": _files[size]})


async def _events(asked: Asked, receive: Any, send: Any) -> None:
    """Send numbered events until all are sent or the client disconnects."""
    await _start(send, asked)
    for number in range(int(asked.get("count", _FOREVER))):
        await _body(send, b"data: %s %d\n\n" % (asked["token"].encode(), number), True)
        await asyncio.sleep(float(asked["pause"]))
    await _body(send)


async def _listen(asked: Asked, receive: Any, send: Any) -> None:
    """Send one event, then wait for the disconnect."""
    await _start(send, asked)
    await _body(send, b"data: first\n\n", True)
    await _until_disconnect(receive)


async def _poll(asked: Asked, receive: Any, send: Any) -> None:
    """Wait for the disconnect without an answer, like a long poll."""
    await _until_disconnect(receive)


async def _until_disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nap(asked: Asked, receive: Any, send: Any) -> None:
    await asyncio.sleep(float(asked["seconds"]))
    await _content(asked, receive, send)


async def _fail(asked: Asked, receive: Any, send: Any) -> None:
    """Fail before the head, or within a body that is delimited by the close of the connection."""
    if asked["when"] == "midway":
        await _start(send, asked)
        await _body(send, content(asked["token"], int(asked["size"])), True)
        await asyncio.sleep(0)
    raise StormError(ON_PURPOSE)


async def _nowhere(asked: Asked, receive: Any, send: Any) -> None:
    await _start(send, asked, status=404, size=0)
    await _body(send)


async def _state(asked: Asked, receive: Any, send: Any) -> None:
    """Report the live objects of this process, except this request."""
    objects = _objects()
    told = {
        "pid": os.getpid(),
        "tasks": sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks()),  # type: ignore[union-attr]
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "descriptors": _descriptors(),
        "connections": objects[_name(HTTPProtocol)],
        "objects": objects,
        "calls": dict(_running),
        "iterables": len(_open_iterables),
        "blocks": sys.getallocatedblocks(),
        "memory": _memory(),
    }
    data = json.dumps(told).encode()
    await _start(send, asked, size=len(data))
    await _body(send, data)


def _objects() -> collections.Counter[str]:
    """The number of objects of each class of the server, as far as the garbage collector tracks them: those that refer
    to others. The objects of this request are included, and the same each time.
    """
    gc.collect()
    kinds = collections.Counter(type(each) for each in gc.get_objects())
    return collections.Counter(
        {name: count for kind, count in kinds.items() if (name := _name(kind)).startswith(_OURS)}
    )


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _memory() -> int:
    """The resident set size in bytes, without the allocator's free memory if it can be trimmed."""
    with contextlib.suppress(AttributeError):  # another C library than GNU's
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}").partition(":[")[0])
        except FileNotFoundError:  # the descriptor of the directory itself
            continue
    return sorted(found)


_HTTP = {
    "/content": _content,
    "/events": _events,
    "/fail": _fail,
    "/file": _file,
    "/listen": _listen,
    "/mirror": _mirror,
    "/nap": _nap,
    "/poll": _poll,
    "/refuse": _refuse,
    "/state": _state,
    "/stream": _stream,
    "/unloggable": _head_first,
}


# WebSockets


async def _echo(asked: Asked, receive: Any, send: Any) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})


async def _flood(asked: Asked, receive: Any, send: Any) -> None:
    """Send messages endlessly, to a client that may not read them."""
    for number in range(_FOREVER):
        await send({"type": "websocket.send", "bytes": content(f"flood-{number}", _PIECE)})


_WEBSOCKETS = {"/echo": _echo, "/flood": _flood}


# WSGI

_flask = flask.Flask("storm")


@_flask.get("/content")
def _flask_content() -> flask.Response:
    return _flask_answer(content(flask.request.args["token"], int(flask.request.args["size"])))


@_flask.get("/stream")
def _flask_stream() -> flask.Response:
    data = content(flask.request.args["token"], int(flask.request.args["size"]))
    return _flask_answer(data[start : start + _PIECE] for start in range(0, len(data), _PIECE))


@_flask.get("/file")
def _flask_file() -> flask.Response:
    answer = flask.send_file(_files[int(flask.request.args["size"])], mimetype="application/octet-stream")
    answer.headers["x-token"] = flask.request.args["token"]
    return answer


@_flask.post("/mirror")
def _flask_mirror() -> flask.Response:
    return _flask_answer(flask.request.get_data())


@_flask.get("/nap")
def _flask_nap() -> flask.Response:
    time.sleep(float(flask.request.args["seconds"]))
    return _flask_content()


def _flask_answer(data: Any) -> flask.Response:
    return flask.Response(data, headers={"x-token": flask.request.args["token"]})


class _Counted:
    """A WSGI iterable that counts as open until `close`."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        _open_iterables.add(id(self))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._inner)

    def close(self) -> None:
        _open_iterables.discard(id(self))
        getattr(self._inner, "close", lambda: None)()


def _wsgi(environ: Any, start_response: Any) -> _Counted:
    return _Counted(_flask(environ, start_response))


_MOUNTED: dict[str, Callable[..., Any]] = {
    "/wsgi": interfaces.adapt(_wsgi, "wsgi"),  # as with `--interface wsgi`
    "/mounted": WSGIMiddleware(_wsgi),  # as in an application of a framework
}


# The application


async def _fill_pools(scope: Any) -> None:
    """Start all threads that requests may start, so that they exist before the storm."""
    naps: list[Any] = [asyncio.to_thread(time.sleep, 0.3) for _ in range(_FILL)]
    for root, bridge in _MOUNTED.items():
        query = b"token=fill&size=1&seconds=0.3"
        http = {"type": "http", "asgi": scope["asgi"], "http_version": "1.1", "method": "GET", "scheme": "http"}
        http |= {"root_path": root, "path": f"{root}/nap", "query_string": query, "headers": []}
        http |= {"server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1)}
        naps += [bridge(dict(http), _fake_receive, _fake_send) for _ in range(_FILL)]
    await asyncio.gather(*naps)


async def _fake_receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _fake_send(message: Any) -> None:
    pass


async def _lifespan(scope: Any, receive: Any, send: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        await receive()
        _make_files(Path(directory))
        if os.environ.get("STORM_FILTER"):
            logging.getLogger("pronghorn.access").addFilter(_refuse_to_log)
        await _fill_pools(scope)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _make_files(directory: Path) -> None:
    for size in (SMALL_FILE, MEDIUM_FILE, LARGE_FILE):
        path = directory / str(size)
        path.write_bytes(file_content(size))
        _files[size] = str(path)


def _refuse_to_log(record: logging.LogRecord) -> bool:
    if "/unloggable" in record.getMessage():
        raise StormError(ON_PURPOSE)
    return True


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(scope, receive, send)
    path = scope["path"]
    asked = {"token": "", **{name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}}
    _running[path] += 1
    try:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await _WEBSOCKETS.get(path, _echo)(asked, receive, send)
        elif path in _HTTP:
            await _HTTP[path](asked, receive, send)
        elif (root := path[: path.rfind("/")]) in _MOUNTED:
            await _MOUNTED[root]({**scope, "root_path": root}, receive, send)
        else:
            await _nowhere(asked, receive, send)
    finally:
        _running[path] -= 1
        if not _running[path]:
            del _running[path]
