"""HTTP/2 over real sockets: each form and loop, with TLS and without, and the clients that people use."""

import asyncio
import contextlib
import hashlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys

import pytest

from tests.support import server as support
from tests.support.engines import TLS_ENGINES, choose
from tests.support.frames import frame as masked_frame
from tests.support.http2 import (
    EXTENDED,
    PREFACE,
    block,
    data,
    get,
    headers,
    post,
    rst_stream,
    settings,
)
from tests.support.raw_http2 import raw
from tests.support.server import PATIENCE, lacks, process, thread

httpx = pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("h2", reason="h2 is not installed")

PIECE = bytes(range(256)) * 256
LARGE = PIECE * 80  # 5 MiB
# Each form and each loop, without all of their combinations.
SERVERS = ["compiled-uvloop", "compiled-asyncio", "interpreted-asyncio", "httptools-uvloop"]


@pytest.fixture(params=SERVERS)
def asgi2(request):
    """A process that serves tests/apps/asgi.py with HTTP/2."""
    form, loop = request.param.split("-")
    if reason := lacks(form, loop):
        pytest.skip(reason)
    with process("asgi:app", "--http2", "--loop", loop, "--sendfile", form=form) as server:
        yield server


@pytest.fixture
def client():
    with httpx.Client(http1=False, http2=True, timeout=PATIENCE) as client:
        yield client


def test_client_sends_and_receives_bodies(asgi2, client):
    answer = client.post(f"{asgi2.url}/echo", content=b"hello")
    assert (answer.http_version, answer.status_code, answer.content) == ("HTTP/2", 200, b"hello")
    assert answer.headers["server"] == "pronghorn"
    assert client.post(f"{asgi2.url}/digest", content=LARGE).content.endswith(
        hashlib.sha256(LARGE).hexdigest().encode()
    )
    assert client.get(f"{asgi2.url}/stream?count=80").content == LARGE


def test_requests_of_a_connection_run_side_by_side(asgi2):
    with raw(asgi2) as client:
        client.send(*[get(number, b"/wait?name=go") for number in range(1, 41, 2)], get(41))
        assert client.read_until(0).stream == 41
        client.send(get(43, b"/set?name=go"))
        assert {client.read_until(0).stream for _ in range(21)} == {*range(1, 41, 2), 43}


def test_http_1_is_served_beside(asgi2):
    with httpx.Client(timeout=PATIENCE) as client:
        answer = client.get(f"{asgi2.url}/")
        assert (answer.http_version, answer.status_code) == ("HTTP/1.1", 200)


def test_upgrade_to_http_2_is_ignored(asgi2):
    fields = {"connection": "upgrade, http2-settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQAAP__"}
    with httpx.Client(timeout=PATIENCE) as client:
        assert client.get(f"{asgi2.url}/", headers=fields).http_version == "HTTP/1.1"


def test_access_log_names_the_version(asgi2, client):
    client.get(f"{asgi2.url}/?a=b")
    asgi2.access.wait_for(r'127\.0\.0\.1:\d+ - "GET /\?a=b HTTP/2" 200')


def test_stop_answers_what_has_begun():
    async def app(scope, receive, send):
        await event.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    event = asyncio.Event()
    with thread(app, http2=True, lifespan="off") as server, raw(server) as client:
        client.send(get(1))
        support.wait_until(lambda: server.server_state.tasks)
        server.should_exit = True
        client.read_until(7)
        client.send(get(3))
        client.read_until(7)
        server.server_state.loop.call_soon_threadsafe(event.set)
        assert client.read_until(0, 1).payload == b"ok"
        assert client.read_until(0, 3).payload == b"ok"
        assert client.read() is None


def test_stop_sends_two_goaways(asgi2):
    with raw(asgi2) as client:
        client.send(get(1))
        assert client.read_until(0, 1).ends
        asgi2.signal(signal.SIGTERM)
        first = client.read_until(7)
        assert first.last == 0x7FFFFFFF
        second = client.read_until(7)
        assert second.last == 1
        assert client.read() is None


def test_limit_of_requests_loses_none():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    with thread(app, http2=True, lifespan="off", limit_max_requests=10) as server, raw(server) as raw_client:
        raw_client.send(*[get(number) for number in range(1, 41, 2)])
        assert {raw_client.read_until(0).stream for _ in range(20)} == set(range(1, 41, 2))
        assert raw_client.read_until(7).last == 0x7FFFFFFF


@pytest.mark.parametrize("sent", [b"", data(5, b"x")], ids=["preface", "broken frame"])
def test_application_starts_outside_of_the_handling_of_an_error(sent):
    async def app(scope, receive, send):
        handled.append(sys.exception())

    handled = []
    with (
        thread(app, http2=True, lifespan="off") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client,
    ):
        client.sendall(PREFACE + settings() + get(1) + sent)
        support.wait_until(lambda: handled)
    assert handled == [None]


def test_off_by_default(client):
    with process("asgi:app") as server:
        with raw(server) as client:
            assert client.socket.recv(1000).startswith(b"HTTP/1.1 505 ")
        server.log.wait_for("HTTP/2, which is off: serve with --http2")


def test_start_up_says_so():
    with process("asgi:app", "--http2") as server:
        server.log.wait_for("Serving HTTP/1.1 and HTTP/2")


@pytest.mark.parametrize("engine", TLS_ENGINES)
def test_tls_negotiates_the_version(engine, certificates, monkeypatch):
    engine, loop = engine.split("-")
    choose(loop, engine, monkeypatch)

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        body = f"{scope['http_version']} {scope['scheme']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    with thread(app, loop=loop, http2=True, lifespan="off", **certificates.parameters) as server:
        url = f"https://localhost:{server.port}/"
        with httpx.Client(http2=True, verify=certificates.trust(), timeout=PATIENCE) as client:
            assert [client.get(url).content for _ in range(3)] == [b"2 https"] * 3
        with httpx.Client(verify=certificates.trust(), timeout=PATIENCE) as client:
            assert client.get(url).content == b"1.1 https"


@pytest.mark.parametrize("engine", TLS_ENGINES)
def test_tls_carries_large_bodies_side_by_side(engine, certificates, monkeypatch):
    engine, loop = engine.split("-")
    choose(loop, engine, monkeypatch)

    async def app(scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body[:1000], "more_body": True})
        await send({"type": "http.response.body", "body": body[1000:]})

    async def exchange(url):
        async with httpx.AsyncClient(http1=False, http2=True, verify=certificates.trust(), timeout=PATIENCE) as client:
            answers = [client.post(url, content=LARGE[number:]) for number in range(4)]
            return [answer.content for answer in await asyncio.gather(*answers)]

    with thread(app, loop=loop, http2=True, lifespan="off", **certificates.parameters) as server:
        received = asyncio.run(exchange(f"https://localhost:{server.port}/"))
    assert received == [LARGE[number:] for number in range(4)]


def test_http_1_after_choosing_http_2_is_refused(certificates):
    async def app(scope, receive, send): ...

    with thread(app, http2=True, lifespan="off", **certificates.parameters) as server:
        context = certificates.trust()
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            assert client.selected_alpn_protocol() == "h2"
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            received = b""
            with contextlib.suppress(ssl.SSLEOFError):
                while piece := client.recv(65536):
                    received += piece
        assert b"not the preface of HTTP/2" in received


def test_websocket_runs_on_a_stream():
    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        assert scope["http_version"] == "2"
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"].upper()})

    with thread(app, http2=True, lifespan="off") as server, raw(server) as client:
        client.send(headers(1, *EXTENDED, ends=False), data(1, masked_frame(1, b"hello")))
        assert client.read_until(1, 1).kind == 1
        assert client.read_until(0, 1).payload == b"\x81\x05HELLO"
        client.send(data(1, masked_frame(8, b"\x03\xe8")))
        assert client.read_until(0, 1).payload == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("name", ["pathsend", "zerocopysend"])
def test_file_is_sent_in_parts(name, tmp_path, client):
    path = tmp_path / "file"
    path.write_bytes(LARGE)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if name == "pathsend":
            await send({"type": "http.response.pathsend", "path": str(path)})
        else:
            with path.open("rb") as file:
                await send({"type": "http.response.zerocopysend", "file": file, "offset": 100})

    with thread(app, http2=True, lifespan="off", sendfile=True) as server:
        assert client.get(f"{server.url}/").content == (LARGE if name == "pathsend" else LARGE[100:])
        client.close()


def test_head_of_a_file_reads_nothing_of_it(tmp_path, client):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(1 << 40)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % (1 << 40))]})
        await send({"type": "http.response.pathsend", "path": str(path)})

    with thread(app, http2=True, lifespan="off", sendfile=True) as server:
        assert client.head(f"{server.url}/").headers["content-length"] == str(1 << 40)
        client.close()


def test_reset_cancels_a_stream_only():
    cancelled = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/":
            await send({"type": "http.response.body", "body": b"ok"})
            return
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            cancelled.append("cancelled")
            raise
        except OSError:
            cancelled.append("error")

    with thread(app, http2=True, lifespan="off", cancel_on_disconnect="always") as server, raw(server) as client:
        client.send(get(1, b"/endless"))
        client.read_until(0, 1)
        client.send(rst_stream(1, 8), get(3))
        assert client.read_until(0, 3).payload == b"ok"
        support.wait_until(lambda: cancelled)


@pytest.mark.parametrize(
    ("mode", "waits_for", "ended"),
    [
        ("always", "receive", "cancelled"),
        ("streaming", "receive", "told"),
        ("streaming", "sleep", "cancelled"),
        ("never", "receive", "told"),
    ],
)
def test_reset_ends_a_response_as_it_is_configured(mode, waits_for, ended):
    seen = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await receive()  # the empty body
        seen.append("began")
        try:
            message = await (receive() if waits_for == "receive" else asyncio.sleep(PATIENCE))
            assert message["type"] == "http.disconnect"
            seen.append("told")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    options = {"cancel_on_disconnect": mode, "timeout_write": 1}
    with thread(app, http2=True, lifespan="off", **options) as server, raw(server) as client:
        client.send(get(1))
        support.wait_until(lambda: seen == ["began"])
        client.send(rst_stream(1, 8))
        support.wait_until(lambda: seen == ["began", ended])


def test_wsgi_application_is_served(client):
    pytest.importorskip("a2wsgi")
    with process("wsgi_app:app", "--http2", "--interface", "wsgi") as server:
        answers = [client.get(f"{server.url}/fields", headers={"x-number": str(number)}) for number in range(20)]
        assert {answer.http_version for answer in answers} == {"HTTP/2"}
        assert [answer.json()["HTTP_X_NUMBER"] for answer in answers] == [str(number) for number in range(20)]
        assert client.post(f"{server.url}/upload", content=LARGE).status_code == 200


def test_wsgi_response_ends_with_its_stream():
    pytest.importorskip("a2wsgi")
    with process("wsgi_app:app", "--http2", "--interface", "wsgi") as server, raw(server) as client:
        client.send(get(1, b"/endless"))
        assert client.read_until(0, 1).payload
        client.send(rst_stream(1, 8))
        support.wait_until(lambda: httpx.get(server.url).json()["closed"].get("endless") == 1)


def test_proxy_fields_are_those_of_each_request(client):
    with process("behind_proxy:app", "--http2", "--forwarded-allow-ips", "127.0.0.1") as server:

        def seen(**fields):
            return client.get(server.url, headers={name.replace("_", "-"): fields[name] for name in fields}).json()

        assert seen(x_forwarded_for="192.0.2.1", x_forwarded_proto="https")[:2] == [["192.0.2.1", 0], "https"]
        assert seen(x_forwarded_for="192.0.2.2")[:2] == [["192.0.2.2", 0], "http"]
        host = f"127.0.0.1:{server.port}"
        assert seen()[0][0] == "127.0.0.1"
        assert seen()[1:] == ["http", host, "", "/"]


def test_limit_of_concurrency_refuses_a_request_only():
    async def app(scope, receive, send):
        await (event.wait() if scope["path"] == "/wait" else asyncio.sleep(0))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    event = asyncio.Event()
    with thread(app, http2=True, lifespan="off", limit_concurrency=3) as server, raw(server) as client:
        client.send(get(1, b"/wait"), get(3, b"/wait"), get(5, b"/wait"), get(7))
        assert client.read_until(0, 7).payload == b"Service Unavailable"
        server.server_state.loop.call_soon_threadsafe(event.set)
        assert client.read_until(0).payload == b"ok"


def test_body_of_a_gigabyte_of_credit_is_not_needed(asgi2):
    """A client may send slowly, in frames of one byte."""
    with raw(asgi2) as client:
        client.send(headers(1, *block_of("POST", "/echo"), ends=False))
        for byte in b"slowly":
            client.send(data(1, bytes((byte,))))
        client.send(data(1, b"", True))
        assert client.read_until(0, 1).payload == b"slowly"


def block_of(method, path):
    return (b":method", method.encode()), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path.encode())


def run(*command):
    """Run a program of the system; return what it printed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(asgi2):
    version = run("curl", "--version")
    if b"HTTP2" not in version:
        pytest.skip("curl lacks HTTP/2")
    options = ("--silent", "--show-error", "--max-time", "30", "--write-out", "%{http_version}")
    assert run("curl", *options, "--http2-prior-knowledge", f"{asgi2.url}/") == b"hello2"
    assert run("curl", *options, "--http2", f"{asgi2.url}/") == b"hello1.1"
    assert run("curl", *options, "--http2-prior-knowledge", "--data", "abc", f"{asgi2.url}/echo") == b"abc2"


def test_nghttp(asgi2):
    assert run("nghttp", f"{asgi2.url}/") == b"hello"


@pytest.mark.parametrize("streams", ["1", "128"])
def test_h2load_fails_no_request(asgi2, streams):
    printed = run("h2load", "-n", "6000", "-c", "2", "-m", streams, f"{asgi2.url}/").decode()
    assert "6000 succeeded, 0 failed, 0 errored, 0 timeout" in printed


def test_node(asgi2, tmp_path):
    script = tmp_path / "client.mjs"
    script.write_text(
        """
        import http2 from "node:http2";
        const client = http2.connect(process.argv[2]);
        const request = client.request({":method": "POST", ":path": "/echo"});
        let answer = "";
        request.setEncoding("utf8");
        request.on("response", (fields) => { answer += fields[":status"] + " "; });
        request.on("data", (part) => { answer += part; });
        request.on("end", () => { console.log(answer); client.close(); });
        request.end("from node");
        """
    )
    assert run("node", str(script), asgi2.url) == b"200 from node\n"


def test_trailers_reach_a_client_that_accepts_them():
    async def app(scope, receive, send):
        assert "http.response.trailers" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"ok"})
        await send({"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]})

    with thread(app, http2=True, lifespan="off") as server, raw(server) as client:
        client.send(post(1, (b"te", b"trailers")), data(1, b"x", True))
        assert client.read_until(1, 1).flags == 4
        assert client.read_until(0, 1) == (0, 0, 1, b"ok")
        assert client.read_until(1, 1).payload == block((b"grpc-status", b"0"))
