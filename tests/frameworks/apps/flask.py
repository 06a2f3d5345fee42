"""Flask through a2wsgi."""

import hashlib

from a2wsgi import WSGIMiddleware
from flask import Flask, Response, make_response, redirect, request, send_file, session

from . import HERE

flask = Flask(__name__, static_folder=str(HERE / "static"))
flask.secret_key = "for tests only"


@flask.get("/show")
def show():
    return {"method": request.method, "path": request.path, "query": request.args}


@flask.post("/echo")
def echo():
    return Response(request.get_data(), content_type=request.headers.get("content-type"))


@flask.post("/upload")
def upload():
    file = request.files["file"]
    digest = hashlib.sha256(file.read()).hexdigest()
    return {"name": file.filename, "word": request.form["word"], "sha256": digest}


@flask.get("/stream")
def stream():
    return Response((f"{number}\n" for number in range(50)), content_type="text/plain")


@flask.get("/file")
def file():
    return send_file(HERE / "static" / "file.txt")


@flask.get("/empty")
def empty():
    return "", 204


@flask.get("/redirect")
def redirected():
    return redirect("/show")


@flask.get("/cookies")
def cookies():
    response = make_response("two")
    response.set_cookie("first", "1")
    response.set_cookie("second", "2", httponly=True)
    return response


@flask.get("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"]}


@flask.get("/fail")
def fail():
    raise ValueError("the application's own fault")


app = WSGIMiddleware(flask)
