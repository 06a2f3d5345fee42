"""The interfaces before ASGI 3: a WSGI application and an ASGI 2 double callable."""

import json


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    told = {key: environ[key] for key in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SCRIPT_NAME", "SERVER_PORT")}
    content = json.dumps({**told, "body": body.decode()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


class ASGI2:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        if self.scope["type"] != "http":
            raise ValueError("only HTTP is served here")
        body = (await receive())["body"]
        headers = [(b"x-method", self.scope["method"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Versions:
    """Answers with the ASGI versions in the scopes of its lifespan and its request."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        version = self.scope["asgi"]["version"]
        if self.scope["type"] == "lifespan":
            self.scope["state"]["version"] = version
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            body = f"{self.scope['state']['version']} {version}".encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
