"""A WSGI application with downloads and streams that record their `close`, for clients that disconnect."""

import collections
import io
import itertools
import json
import sys
import time

PART = b"x" * 65536
PARTS = 512  # more than all buffers hold

closed = collections.Counter()
failed = collections.Counter()


class Response:
    """An iterable of parts with a `close`."""

    def __init__(self, name, parts):
        self._name = name
        self._parts = parts

    def __iter__(self):
        return iter(self._parts)

    def close(self):
        closed[self._name] += 1


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/download":
        start_response("200 OK", [("Content-Length", str(len(PART) * PARTS))])
        return Response("download", [PART] * PARTS)
    if path == "/endless":
        start_response("200 OK", [])
        return Response("endless", endless())
    if path == "/slow":
        start_response("200 OK", [])
        return Response("slow", itertools.islice(endless(), 40))
    if path == "/write":
        write = start_response("200 OK", [])
        try:
            while True:
                write(PART)
        finally:
            closed["write"] += 1
    if path == "/too-long":
        start_response("200 OK", [("Content-Length", "1")])
        return Response("too-long", [b"xx"] * 64)
    if path == "/upload":
        try:
            environ["wsgi.input"].read()
        except OSError:
            failed["upload"] += 1
            raise
    if path == "/sleep":
        print("busy", file=sys.stderr, flush=True)
        time.sleep(600)
    if path == "/fields":
        return answer(start_response, {key: value for key, value in environ.items() if key.startswith("HTTP_")})
    return answer(start_response, {"closed": closed, "failed": failed})


def endless():
    while True:
        yield b"a part\n"
        time.sleep(0.02)


def answer(start_response, told):
    content = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def flask():
    """Make a Flask application with a file."""
    from flask import Flask, send_file

    made = Flask(__name__)

    @made.get("/file")
    def file():
        return send_file(io.BytesIO(PART * PARTS), mimetype="application/octet-stream")

    @made.get("/")
    def index():
        return "here"

    return made


def mounted():
    """Make a FastAPI application with its own WSGI bridge."""
    from a2wsgi import WSGIMiddleware
    from fastapi import FastAPI

    made = FastAPI()
    made.mount("/wsgi", WSGIMiddleware(app))
    return made
