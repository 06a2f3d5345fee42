"""Falcon's ASGI application: media, streams both ways, events, a middleware."""

import hashlib

import falcon.asgi

from . import HERE


class Show:
    async def on_get(self, request, response):
        response.media = {"method": request.method, "path": request.path, "query": request.params}


class Echo:
    async def on_post(self, request, response):
        response.content_type = request.content_type
        response.data = await request.bounded_stream.read()


class Upload:
    async def on_post(self, request, response):
        answer = {}
        async for part in await request.get_media():
            if part.name == "file":
                answer["name"] = part.filename
                answer["sha256"] = hashlib.sha256(await part.stream.read()).hexdigest()
            else:
                answer[part.name] = await part.text
        response.media = answer


class Stream:
    async def on_get(self, request, response):
        async def parts():
            for number in range(50):
                yield b"%d\n" % number

        response.content_type = "text/plain"
        response.stream = parts()


class Events:
    async def on_get(self, request, response):
        async def events():
            for number in range(10):
                yield falcon.asgi.SSEvent(json={"number": number}, event="tick")

        response.sse = events()


class Empty:
    async def on_get(self, request, response):
        response.status = falcon.HTTP_204


class Redirect:
    async def on_get(self, request, response):
        raise falcon.HTTPTemporaryRedirect("/show")


class Cookies:
    async def on_get(self, request, response):
        response.text = "two"
        response.set_cookie("first", "1", secure=False)
        response.set_cookie("second", "2")


class Refused:
    async def on_get(self, request, response):
        raise falcon.HTTPUnauthorized(title="who are you?", challenges=["Bearer"])


class Fail:
    async def on_get(self, request, response):
        raise ValueError("the application's own fault")


class Stamp:
    async def process_response(self, request, response, resource, req_succeeded):
        response.set_header("x-stamp", str(req_succeeded))


class Scheduled:
    def __init__(self):
        self.done = []

    async def on_get(self, request, response):
        async def work():
            self.done.append("worked")

        response.schedule(work)
        response.text = "answered"


app = falcon.asgi.App(middleware=[Stamp()])
app.add_static_route("/static", str(HERE / "static"))
for name, resource in {
    "show": Show(),
    "echo": Echo(),
    "upload": Upload(),
    "stream": Stream(),
    "events": Events(),
    "empty": Empty(),
    "redirect": Redirect(),
    "cookies": Cookies(),
    "refused": Refused(),
    "fail": Fail(),
    "background": Scheduled(),
}.items():
    app.add_route(f"/{name}", resource)
