"""HTTP/2 and its WebSocket in a browser, where Chromium is installed."""

import json
import queue

import pytest

from tests.support.browser import browsing
from tests.support.engines import choose
from tests.support.server import PATIENCE, thread

PAGE = b"""<!doctype html>
<title>HTTP/2</title>
<script>
const told = {echoes: []};
const socket = new WebSocket(`wss://${location.host}/echo`, ["first", "second"]);
socket.onopen = () => {
  told.subprotocol = socket.protocol;
  told.extensions = socket.extensions;
  socket.send("hello");
};
socket.onmessage = (event) => {
  told.echoes.push(event.data.length);
  if (told.echoes.length === 1) {
    socket.send("long ".repeat(200000));
  } else {
    socket.close(1000, "enough");
  }
};
socket.onclose = (event) => {
  told.closed = [event.code, event.reason, event.wasClean];
  fetch("/report", {method: "POST", body: JSON.stringify(told)});
};
</script>
"""


class Application:
    """Serves the page and its WebSocket; `noted` gets a list for each, and the report of the page at last."""

    def __init__(self):
        self.noted = queue.SimpleQueue()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await self.echo(scope, receive, send)
            return
        content = b""
        while (message := await receive())["type"] == "http.request":
            content += message["body"]
            if not message.get("more_body"):
                break
        if scope["path"] == "/":
            self.noted.put(["page", scope["http_version"], scope["scheme"]])
        fields = [(b"content-type", b"text/html"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": PAGE if scope["path"] == "/" else b""})
        if scope["path"] == "/report":
            self.noted.put(json.loads(content))

    async def echo(self, scope, receive, send):
        self.noted.put(["websocket", scope["http_version"], scope["scheme"]])
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][-1]})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        self.noted.put([message["type"], message["code"], message["reason"]])


@pytest.mark.parametrize("engine", ["aiofastnet-uvloop", "ssl-asyncio"])
def test_chromium_opens_websocket_on_a_stream(engine, certificates, monkeypatch, tmp_path):
    engine, loop = engine.split("-")
    choose(loop, engine, monkeypatch)
    app = Application()
    trusted = f"--ignore-certificate-errors-spki-list={certificates.fingerprint}"
    with (
        thread(app, loop=loop, http2=True, lifespan="off", **certificates.parameters) as server,
        browsing(f"https://127.0.0.1:{server.port}/", tmp_path, trusted),
    ):
        assert app.noted.get(timeout=PATIENCE) == ["page", "2", "https"]
        assert app.noted.get(timeout=PATIENCE) == ["websocket", "2", "wss"]
        assert app.noted.get(timeout=PATIENCE) == ["websocket.disconnect", 1000, "enough"]
        told = app.noted.get(timeout=PATIENCE)
    assert told.pop("extensions").startswith("permessage-deflate")
    assert told == {"subprotocol": "second", "echoes": [5, 1_000_000], "closed": [1000, "enough", True]}
