"""A plain ASGI application. Each path has one behaviour."""

import asyncio
import gc
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs

PIECE = bytes(range(256)) * 256  # 64 KiB

_events = {}
_notes = {}


def event(name):
    """The event of this name, for tests and running requests."""
    return _events.setdefault(name, asyncio.Event())


async def read(receive):
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client left")
        assert type(message["body"]) is bytes
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


async def start(send, status=200, *headers):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def body(send, data=b"", more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def text(send, data, status=200):
    await start(send, status, (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(data)))
    await body(send, data)


async def answer_json(send, value):
    await text(send, json.dumps(value, default=repr).encode())


def query(scope):
    return {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}


async def hello(scope, receive, send):
    await text(send, b"hello")


async def echo(scope, receive, send):
    """Answer with the whole body."""
    print("echo runs", file=sys.stderr)
    await text(send, await read(receive))


async def echo_parts(scope, receive, send):
    """Answer with each part of the body as it arrives."""
    await start(send)
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await body(send, message["body"], more)


async def digest(scope, receive, send):
    """Answer with the size and checksum of the body."""
    size, checksum = 0, hashlib.sha256()
    while True:
        message = await receive()
        size += len(message["body"])
        checksum.update(message["body"])
        if not message["more_body"]:
            return await text(send, b"%d %s" % (size, checksum.hexdigest().encode()))


async def stream(scope, receive, send):
    """Send `count` pieces of 64 KiB, with a Content-Length if `length` is given."""
    asked = query(scope)
    count = int(asked.get("count", 4))
    headers = [(b"content-length", b"%d" % (count * len(PIECE)))] if "length" in asked else []
    await start(send, 200, *headers)
    for _ in range(count):
        await body(send, PIECE, True)
    await body(send)


async def endless(scope, receive, send):
    """Send pieces until `send` raises, then set the event `name`."""
    try:
        await start(send)
        while True:
            await body(send, PIECE, True)
    except OSError as error:
        _notes[query(scope)["name"]] = [type(error).__name__]
        raise
    finally:
        event(query(scope)["name"]).set()


async def idle(scope, receive, send):
    """Start a stream, then wait for cancellation or for the event `name`; note which came."""
    name = query(scope)["name"]
    await start(send)
    await body(send, b"idle", True)
    try:
        await event(name).wait()
        while True:
            await body(send, b"idle", True)
            await asyncio.sleep(0)
    except BaseException as error:
        _notes[f"{name}-done"] = type(error).__name__
        event(f"{name}-done").set()
        raise


async def listen(scope, receive, send):
    """Start a stream and note every message up to the disconnect."""
    name = query(scope)["name"]
    notes = _notes.setdefault(name, [])
    await start(send)
    await body(send, b"listening", True)
    while True:
        message = await receive()
        notes.append({key: len(value) if key == "body" else value for key, value in message.items()})
        if message["type"] == "http.disconnect":
            break
    event(name).set()
    print("told of the disconnect", file=sys.stderr)
    await body(send)


async def left(scope, receive, send):
    """Note the messages up to the disconnect, then answer anyway."""
    name = query(scope)["name"]
    notes = _notes.setdefault(name, [])
    print("left runs", file=sys.stderr)
    message = await receive()
    while message["type"] != "http.disconnect":
        notes.append(message["more_body"])
        message = await receive()
    notes.append("disconnect")
    event(name).set()
    await text(send, b"answered all the same")


async def hold(scope, receive, send):
    """Receive nothing before the event `name` is set, then act like `digest`."""
    name = query(scope)["name"]
    event(f"{name}-runs").set()
    print("hold runs", file=sys.stderr)
    await event(name).wait()
    await digest(scope, receive, send)


async def head_first(scope, receive, send):
    """Send the head, and the body when the event `name` is set."""
    await start(send)
    await event(query(scope)["name"]).wait()
    await body(send, b"late body")


async def background(scope, receive, send):
    """Answer, then work until the event `name` is set."""
    name = query(scope)["name"]
    await text(send, b"answered")
    print("works on", file=sys.stderr)
    await event(name).wait()
    _notes[name] = [(await receive())["type"], (await receive())["type"]]
    event(f"{name}-done").set()
    print("has worked", file=sys.stderr)


async def set_event(scope, receive, send):
    event(query(scope)["name"]).set()
    await text(send, b"set")


async def wait_event(scope, receive, send):
    """Wait for an event, then answer with the notes under its name."""
    name = query(scope)["name"]
    await event(name).wait()
    await answer_json(send, _notes.get(name))


async def show_scope(scope, receive, send):
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    await answer_json(send, {**scope, "headers": headers})


async def form(scope, receive, send):
    """Answer with the form of the hot path, the loop and the task."""
    task = asyncio.current_task()
    await answer_json(
        send,
        {
            "form": type(receive.__self__).__module__,
            "loop": type(task.get_loop()).__module__,
            "task": isinstance(task, asyncio.Task),
            "name": task.get_name(),
        },
    )


async def status(scope, receive, send):
    """Send an empty response with this status. A body must not be sent where none is allowed."""
    code = int(query(scope)["code"])
    await start(send, code, *[(b"content-length", b"0")] * (code not in (204, 304)))
    await body(send)


async def fail(scope, receive, send):
    """Fail before the head, or after a part of the body."""
    if query(scope)["when"] == "after":
        await start(send)
        await body(send, b"partial", True)
    raise ValueError("the application's own fault")


async def leave(scope, receive, send):
    """Return early: without a response, within one, or with a value."""
    match query(scope)["how"]:
        case "midway":
            await start(send)
            await body(send, b"partial", True)
        case "value":
            await text(send, b"done")
            return 5
    return None


async def leave_python(scope, receive, send):
    sys.exit(7)


async def file(scope, receive, send):
    """Send a file of `size` bytes with `pathsend`."""
    size = int(query(scope)["size"])
    with tempfile.NamedTemporaryFile() as made:
        made.write(_content(size))
        made.flush()
        await start(send, 200, *[(b"content-length", b"%d" % size)] * ("length" in query(scope)))
        await send({"type": "http.response.pathsend", "path": made.name})


def _content(size):
    return (PIECE * (size // len(PIECE) + 1))[:size]


def _relative(path):
    return os.path.relpath(path)


async def no_file(scope, receive, send):
    await start(send)
    await send({"type": "http.response.pathsend", "path": query(scope)["path"]})


async def parts_of_file(scope, receive, send):
    """Send parts of a file with `zerocopysend`, bytes between: by offset and count, from its position, to its end."""
    with tempfile.TemporaryFile() as made:
        made.write(b"0123456789" * 100_000)
        made.seek(10)
        await start(send)
        zerocopy = {"type": "http.response.zerocopysend", "file": made, "more_body": True}
        await send({**zerocopy, "offset": 5, "count": 3})
        await body(send, b"|", True)
        made.seek(999_985)
        await send({**zerocopy, "count": 5})
        await body(send, b"|", True)
        await send({**zerocopy, "more_body": False})


async def file_at(scope, receive, send):
    """Send a file by a path of the type `kind`, relative or absolute."""
    asked = query(scope)
    with tempfile.NamedTemporaryFile() as made:
        made.write(_content(300_000))
        made.flush()
        types = {"str": str, "bytes": os.fsencode, "Path": Path, "int": lambda _: os.dup(made.fileno())}
        path = types[asked["kind"]](_relative(made.name) if asked["place"] == "relative" else made.name)
        await start(send)
        await send({"type": "http.response.pathsend", "path": path})


async def descriptor(scope, receive, send):
    """Send a file by the number of its descriptor, as baize does."""
    with tempfile.NamedTemporaryFile() as made:
        made.write(_content(300_000))
        made.flush()
        opened = os.open(made.name, os.O_RDONLY)
        try:
            await start(send, 200, (b"content-length", b"300000"))
            await send({"type": "http.response.zerocopysend", "file": opened, "offset": 0, "count": 300_000})
        finally:
            os.close(opened)


async def parts_by_descriptor(scope, receive, send):
    """Like `parts_of_file` with the number of the descriptor; then report whether it is open."""
    with tempfile.TemporaryFile() as made:
        made.write(b"0123456789" * 100_000)
        made.flush()
        await start(send)
        zerocopy = {"type": "http.response.zerocopysend", "file": made.fileno(), "more_body": True}
        await send({**zerocopy, "offset": 5, "count": 3})
        await body(send, b"|", True)
        await send({**zerocopy, "count": 5})
        await body(send, b"|", True)
        os.lseek(made.fileno(), 20, os.SEEK_SET)
        await send(zerocopy)
        os.fstat(made.fileno())
        await body(send, b"|open")


async def changed(scope, receive, send):
    """Send a file of `size` bytes with `declared` as Content-Length. `how` is path, file or count."""
    asked = query(scope)
    size = int(asked["size"])
    with tempfile.NamedTemporaryFile() as made:
        made.write(_content(size))
        made.flush()
        await start(send, 200, (b"content-length", asked["declared"].encode()))
        if asked["how"] == "path":
            await send({"type": "http.response.pathsend", "path": made.name})
        else:
            count = {"count": size} if asked["how"] == "count" else {}
            await send({"type": "http.response.zerocopysend", "file": made, "offset": 0, **count})


async def shrinking_file(scope, receive, send):
    """Send a file that shrinks between `fstat` and the read."""
    with tempfile.TemporaryFile() as made:
        made.write(PIECE)
        made.flush()

        class Shrinking:
            asked = False

            def fileno(self):
                if self.asked:
                    made.truncate(1000)
                self.asked = True
                return made.fileno()

            def read(self, size):
                made.truncate(1000)
                return made.read(size)

            def seek(self, position):
                return made.seek(position)

        await start(send, 200, (b"content-length", b"%d" % len(PIECE)))
        await send({"type": "http.response.zerocopysend", "file": Shrinking(), "offset": 0})


async def file_left(scope, receive, send):
    """Send a file that is larger than all buffers; note how `send` ends."""
    name = query(scope)["name"]
    with tempfile.NamedTemporaryFile() as made:
        made.truncate(64 << 20)
        await start(send)
        try:
            await send({"type": "http.response.pathsend", "path": made.name})
        except BaseException as error:
            _notes[name] = [type(error).__name__, isinstance(error, OSError)]
            raise
        finally:
            event(name).set()


async def file_cancelled(scope, receive, send):
    """Send a file and cancel this when the event `name` is set; note how it ends."""
    name = query(scope)["name"]
    with tempfile.NamedTemporaryFile() as made:
        made.truncate(64 << 20)
        await start(send)
        sending = asyncio.ensure_future(send({"type": "http.response.pathsend", "path": made.name}))
        await event(name).wait()
        sending.cancel()
        await asyncio.wait([sending])
        _notes[f"{name}-done"] = sending.cancelled()
        event(f"{name}-done").set()


async def counts(scope, receive, send):
    """Answer with the numbers of live objects, memory blocks and tasks."""
    for _ in range(3):  # iterations in which the server's task that made this connection ends
        await asyncio.sleep(0)
    gc.collect()
    tasks = len(asyncio.all_tasks())
    await answer_json(send, {"objects": len(gc.get_objects()), "blocks": sys.getallocatedblocks(), "tasks": tasks})


PATHS = {
    "/": hello,
    "/background": background,
    "/changed": changed,
    "/counts": counts,
    "/descriptor": descriptor,
    "/digest": digest,
    "/echo": echo,
    "/echo-parts": echo_parts,
    "/endless": endless,
    "/fail": fail,
    "/file": file,
    "/file-at": file_at,
    "/file-cancelled": file_cancelled,
    "/file-left": file_left,
    "/form": form,
    "/head-first": head_first,
    "/hold": hold,
    "/idle": idle,
    "/leave": leave,
    "/left": left,
    "/listen": listen,
    "/no-file": no_file,
    "/parts-by-descriptor": parts_by_descriptor,
    "/parts-of-file": parts_of_file,
    "/quit": leave_python,
    "/set": set_event,
    "/shrinking-file": shrinking_file,
    "/status": status,
    "/stream": stream,
    "/wait": wait_event,
}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("only HTTP is served here")
    path = scope["path"].removeprefix(scope["root_path"])
    return await PATHS.get(path, show_scope)(scope, receive, send)
