"""WebSocket applications of real frameworks with a real client."""

import contextlib
import json
import urllib.request

import pytest

websockets = pytest.importorskip("websockets")
from websockets.sync.client import connect as connect_websocket  # noqa: E402

from tests.support.raw_websocket import EACH_ONCE, Socket  # noqa: E402

FRAMEWORKS = {
    "starlette": ("starlette_ws:app", ""),
    "starlette-middleware": ("starlette_ws:app", "/through"),
    "fastapi": ("fastapi_ws:app", ""),
    "channels": ("channels_ws:app", ""),
    "channels-threads": ("channels_ws:app", "/threads"),
    "litestar": ("litestar_ws:app", ""),
    "quart": ("quart_ws:app", ""),
}

# The framework's own close code for an application that fails after its accept, where it is not the server's 1011.
FAILED = {"litestar": 4500, "quart": 1000}

pytestmark = EACH_ONCE


class Served:
    """An application of tests/apps under a path prefix."""

    def __init__(self, server, prefix=""):
        self.server = server
        self._prefix = prefix

    def connect(self, path, **more):
        url = f"ws://127.0.0.1:{self.server.port}{self._prefix}{path}"
        return connect_websocket(url, **{"origin": self.server.url, "max_size": None, "proxy": None, **more})

    def get(self, path):
        with urllib.request.urlopen(f"{self.server.url}{path}", timeout=10) as answer:
            return answer.read().decode()

    def ended(self):
        return json.loads(self.get("/ended"))


@pytest.fixture
def serve(shared_servers, variant):
    """A function that serves the application of the named framework."""

    def serve(name):
        package = name.partition("-")[0]
        pytest.importorskip(package)
        app, prefix = FRAMEWORKS[name]
        form, loop = variant
        return Served(shared_servers(app, form, loop), prefix)

    return serve


@pytest.fixture(params=list(FRAMEWORKS))
def framework(serve, request):
    """The application of one framework."""
    return serve(request.param)


def read_close(client):
    """Read a close frame; return its code and reason, or None if the stream ends without one."""
    try:
        message = client.recv(10)
    except websockets.ConnectionClosed as error:
        return (error.rcvd.code, error.rcvd.reason) if error.rcvd else None
    raise AssertionError(message)


def refused(framework, path, **more):
    """Send a handshake that is refused; return the response."""
    try:
        client = framework.connect(path, **more)
    except websockets.InvalidStatus as error:
        return error.response
    client.close()
    raise AssertionError("the handshake was accepted")


def test_messages_are_echoed(framework):
    with framework.connect("/echo") as client:
        for message in ("", "ünï", "long " * 50_000, b"\0\xff", bytes(1 << 20)):
            client.send(message)
            assert client.recv(10) == message


def test_fifty_sockets_echo(framework):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(framework.connect("/echo")) for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(str(number))
        assert [client.recv(10) for client in clients] == [str(number) for number in range(50)]


def test_rejected_handshake_is_answered_403(framework):
    assert refused(framework, "/reject").status_code == 403


def test_application_closes_with_code(framework):
    with framework.connect("/close") as client:
        assert read_close(client) == (4321, "enough")


def test_failed_application_closes_with_error_code(framework, request):
    code = FAILED.get(request.node.callspec.params["framework"], 1011)
    with framework.connect("/fail") as client:
        assert read_close(client)[0] == code


def test_http_is_served_beside_websocket(framework):
    with framework.connect("/echo") as client:
        assert framework.get("/http").strip('"') == "http"
        client.send("still here")
        assert client.recv(10) == "still here"


def test_unknown_path_is_refused(framework):
    assert refused(framework, "/nowhere").status_code in (403, 404, 500)


@pytest.mark.parametrize(
    ("name", "noted"),
    [
        ("starlette", [4001, "enough"]),
        ("starlette-middleware", [4001, "enough"]),
        ("fastapi", [4001, "enough"]),
        ("channels", [4001]),
        ("channels-threads", [4001]),
        ("litestar", [4001]),
        ("quart", ["cancelled"]),
    ],
)
def test_application_gets_close_code_of_client(serve, name, noted):
    framework = serve(name)
    before = framework.ended().count(noted)
    with framework.connect("/echo") as client:
        client.send("hello")
        client.recv(10)
        client.close(4001, "enough")
    wait_until_noted(framework, noted, before + 1)


def wait_until_noted(framework, noted, count=1):
    """Wait for the application, which may run a little after the closing handshake."""
    for _ in range(1000):
        if framework.ended().count(noted) >= count:
            return
    raise AssertionError(f"nothing but {framework.ended()}")


def test_starlette_sends_denial_response(serve):
    response = refused(serve("starlette"), "/deny")
    assert (response.status_code, response.body) == (503, b"no place left")
    assert response.headers["retry-after"] == "5"


def test_starlette_uses_state_subprotocol_headers_and_json(serve):
    with serve("starlette").connect("/state?a=1", subprotocols=["other", "json"]) as client:
        assert client.subprotocol == "json"
        assert client.response.headers["x-mine"] == "yes"
        assert json.loads(client.recv(10)) == {"word": "from the lifespan", "query": {"a": "1"}}
        client.send('{"b": 2}')
        assert json.loads(client.recv(10)) == {"b": 2}


def test_starlette_endpoint_answers(serve):
    with serve("starlette").connect("/endpoint") as client:
        client.send("upper")
        assert client.recv(10) == "UPPER"


def test_starlette_send_after_disconnect_raises_disconnect(serve, connect):
    starlette = serve("starlette")
    client = Socket(connect(starlette.server), "/after-the-client")
    client.read()
    client.client.close()
    wait_until_noted(starlette, ["send", 1006])


def test_fastapi_resolves_parameters_and_dependencies(serve):
    fastapi = serve("fastapi")
    with fastapi.connect("/items/7?token=secret") as client:
        assert json.loads(client.recv(10)) == {"number": 7, "token": "secret"}
        assert read_close(client) == (1000, "")
    for path in ("/items/7", "/items/seven?token=secret"):
        assert refused(fastapi, path).status_code == 403


def test_channels_sends_to_group(serve):
    channels = serve("channels")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(channels.connect("/chat", subprotocols=["chat"])) for _ in range(5)]
        for client in clients:
            assert client.subprotocol == "chat"
            assert json.loads(client.recv(10)) == {"joined": True}
        listening = stack.enter_context(channels.connect("/threads/chat"))
        clients[0].send('{"text": "hello"}')
        assert [json.loads(client.recv(10)) for client in clients] == [{"said": "hello"}] * 5
        assert listening.recv(10) == "hello"
        listening.send("from a thread")
        assert [json.loads(client.recv(10)) for client in clients] == [{"said": "from a thread"}] * 5


def test_channels_refuses_another_origin(serve):
    assert refused(serve("channels"), "/echo", origin="http://elsewhere.example").status_code == 403


def test_litestar_listener_answers(serve):
    with serve("litestar").connect("/doubled") as client:
        client.send('{"a": 1}')
        assert json.loads(client.recv(10)) == {"a": 2}


def test_quart_sends_and_receives_at_once(serve):
    with serve("quart").connect("/both-ways", subprotocols=["both"]) as client:
        assert client.response.headers["x-mine"] == "yes"
        for number in range(100):
            client.send("{}")
            assert json.loads(client.recv(10)) == {"number": number}
        assert json.loads(client.recv(10)) == {"done": True}


def test_quart_sends_denial_response(serve):
    response = refused(serve("quart"), "/deny")
    assert (response.status_code, response.body) == (401, b"who are you?")
    assert response.headers["x-mine"] == "yes"
