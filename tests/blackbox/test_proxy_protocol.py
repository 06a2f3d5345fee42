"""`--proxy-protocol`: the addresses that a proxy sends before the client's first byte."""

import contextlib
import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support import raw_websocket
from tests.support.engines import TLS_ENGINES, choose
from tests.support.http2 import PREFACE, get, settings
from tests.support.server import PATIENCE, thread
from tools.web_servers import program

HAPROXY = program("haproxy")

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 80\r\n"
BINARY = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\x04\xd2\0\x50"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
UNKNOWN = {
    "v1": b"PROXY UNKNOWN\r\n",
    "v2": b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0",
    "v2 unix": b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8" + bytes(216),
}
ENDS = [["192.0.2.1", 1234], ["198.51.100.2", 80]]


async def shows_ends(scope, receive, send):
    """Answers with both ends of the connection, over HTTP and WebSocket."""
    data = json.dumps([scope["client"], scope["server"]]).encode()
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": data.decode()})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(data))]})
    await send({"type": "http.response.body", "body": data})


def ends_seen(client):
    client.get("/")
    return json.loads(client.read().body)


@contextlib.contextmanager
def serving(**parameters):
    with thread(shows_ends, lifespan="off", proxy_protocol=True, **parameters) as server:
        yield server


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:
        yield lambda **parameters: stack.enter_context(serving(**parameters))


@pytest.fixture
def folder():
    """A folder with a path short enough for Unix sockets."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("header", [LINE, BINARY], ids=["v1", "v2"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_scope_has_addresses_of_header(serve, connect, header, loop):
    pytest.importorskip(loop)
    client = connect(serve(loop=loop))
    client.send(header)
    assert ends_seen(client) == ends_seen(client) == ENDS


@pytest.mark.parametrize("header", [LINE, BINARY], ids=["v1", "v2"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_header_may_arrive_in_pieces(serve, connect, header, loop):
    pytest.importorskip(loop)
    client = connect(serve(loop=loop))
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for index in range(len(header)):
        client.send(header[index : index + 1])
    assert ends_seen(client) == ENDS


def test_local_connection_keeps_its_addresses(serve, connect):
    client = connect(serve())
    client.send(LOCAL)
    assert ends_seen(client) == [list(client.socket.getsockname()), list(client.socket.getpeername())]


def test_access_log_has_client_of_header(start, connect, form):
    server = start("asgi:app", "--proxy-protocol", form=form)
    client = connect(server)
    client.send(LINE)
    client.get("/")
    client.read()
    server.access.wait_for(r"192\.0\.2\.1:1234 - ")


def test_websocket_has_addresses_of_header(serve, connect):
    client = connect(serve())
    client.send(BINARY + raw_websocket.handshake("/"))
    assert client.read_head().status == 101
    client.rest_until(json.dumps(ENDS).encode())


@pytest.mark.parametrize("header", [LINE, BINARY], ids=["v1", "v2"])
def test_http_2_follows_header(serve, connect, header):
    client = connect(serve(http2=True))
    client.send(header + PREFACE + settings() + get(1))
    assert client.rest_until(json.dumps(ENDS).encode())


def test_unix_socket_is_trusted_if_named(serve, connect, folder):
    server = serve(uds=str(folder / "s"), forwarded_allow_ips="unix")
    client = connect(str(folder / "s"))
    client.send(BINARY)
    assert ends_seen(client) == ENDS
    local = connect(str(folder / "s"))
    local.send(LOCAL)
    assert ends_seen(local) == [None, [str(folder / "s"), None]]
    assert server.started


@pytest.mark.parametrize("engine", TLS_ENGINES)
@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_tls_handshake_follows_header(serve, connect, certificates, monkeypatch, engine, protocol):
    engine, loop = engine.split("-")
    choose(loop, engine, monkeypatch)
    client = connect(serve(loop=loop, http2=True, **certificates.parameters))
    client.send(BINARY)
    context = certificates.trust()
    context.set_alpn_protocols([protocol])
    with context.wrap_socket(client.socket, server_hostname="localhost") as client.socket:
        if protocol == "h2":
            client.send(PREFACE + settings() + get(1))
            assert client.rest_until(json.dumps(ENDS).encode())
        else:
            assert ends_seen(client) == ENDS


@pytest.mark.parametrize("engine", TLS_ENGINES)
def test_failed_handshake_is_logged_with_client_of_header(start, connect, certificates, engine):
    loop = engine.split("-")[1]
    pytest.importorskip(loop)
    flags = [("--" + name.replace("_", "-"), str(value)) for name, value in certificates.parameters.items()]
    server = start("asgi:app", "--proxy-protocol", "--loop", loop, *(word for flag in flags for word in flag))
    client = connect(server)
    client.send(LINE + b"GET / HTTP/1.1\r\n\r\n")
    server.log.wait_for(r"TLS handshake with 192\.0\.2\.1:1234 failed")


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", LINE.replace(b"1234", b"01")], ids=repr)
def test_connection_without_header_is_closed(start, connect, sent):
    server = start("asgi:app", "--proxy-protocol")
    client = connect(server)
    client.send(sent)
    with contextlib.suppress(ConnectionResetError):
        assert client.rest() == b""
    server.log.wait_for(r"Connection refused\. 127\.0\.0\.1:\d+: \w+ PROXY header")


def test_untrusted_peer_is_closed(start, connect):
    server = start("asgi:app", "--proxy-protocol", "--forwarded-allow-ips", "192.0.2.9")
    client = connect(server)
    client.send(LINE)
    with contextlib.suppress(ConnectionResetError):
        assert client.rest() == b""
    server.log.wait_for(r"Connection refused\. 127\.0\.0\.1:\d+: not a trusted proxy")


def test_refusal_of_unix_socket_names_the_flag_that_helps(start, connect, folder):
    server = start("asgi:app", "--uds", str(folder / "s"), "--proxy-protocol")
    connect(str(folder / "s"))
    server.log.wait_for(r"Connection refused\. .* --forwarded-allow-ips unix$")


def test_header_has_a_deadline(start, connect):
    server = start("asgi:app", "--proxy-protocol", "--timeout-first-byte", "1")
    client = connect(server)
    client.send(LINE[:10])
    with contextlib.suppress(ConnectionResetError):
        assert client.rest() == b""
    server.log.wait_for(r"Connection refused\. 127\.0\.0\.1:\d+: no PROXY header in time")


def test_header_without_the_option_is_a_malformed_request(start, connect):
    client = connect(start("asgi:app"))
    client.send(LINE)
    assert client.read().status == 400


def test_client_of_header_cannot_forge_forwarded_fields(serve, connect):
    client = connect(serve())
    client.send(LINE)
    client.get("/", "x-forwarded-for: 9.9.9.9")
    assert json.loads(client.read().body) == ENDS


def test_forwarded_fields_of_a_trusted_client_of_the_header_apply(serve, connect):
    client = connect(serve(forwarded_allow_ips="127.0.0.1,192.0.2.0/24"))
    client.send(LINE)
    client.get("/", "x-forwarded-for: 9.9.9.9")
    assert json.loads(client.read().body)[0] == ["9.9.9.9", 0]


@pytest.mark.parametrize("header", UNKNOWN.values(), ids=UNKNOWN)
class TestUnknownClient:
    def test_scope_has_addresses_of_the_connection(self, serve, connect, header):
        client = connect(serve())
        client.send(header)
        assert ends_seen(client) == [list(client.socket.getsockname()), list(client.socket.getpeername())]

    def test_forwarded_fields_do_not_count(self, serve, connect, header):
        client = connect(serve())
        client.send(header)
        client.get("/", "x-forwarded-for: 9.9.9.9")
        assert json.loads(client.read().body)[0] == list(client.socket.getsockname())

    def test_forwarded_fields_do_not_count_on_unix_socket(self, serve, connect, folder, header):
        path = str(folder / "s")
        serve(uds=path, forwarded_allow_ips="unix")
        client = connect(path)
        client.send(header)
        client.get("/", "x-forwarded-for: 9.9.9.9")
        assert json.loads(client.read().body) == [None, [path, None]]

    def test_forwarded_fields_do_not_count_in_http_2(self, serve, connect, header):
        client = connect(serve(http2=True))
        client.send(header + PREFACE + settings() + get(1, b"/", (b"x-forwarded-for", b"9.9.9.9")))
        ends = client.socket.getsockname(), client.socket.getpeername()
        assert client.rest_until(json.dumps(ends).encode())


def test_forwarded_fields_of_local_connection_count(serve, connect):
    client = connect(serve())
    client.send(LOCAL)
    client.get("/", "x-forwarded-for: 9.9.9.9")
    assert json.loads(client.read().body)[0] == ["9.9.9.9", 0]


def test_server_stops_while_a_header_is_awaited(start, connect):
    server = start("asgi:app", "--proxy-protocol", "--timeout-first-byte", "0")
    client = connect(server)
    client.send(LINE[:10])
    server.signal()
    assert client.rest() == b""
    server.wait()


def test_server_without_trusted_proxies_does_not_start(start):
    with pytest.raises(AssertionError, match="--proxy-protocol trusts no proxy"):
        start("asgi:app", "--proxy-protocol", "--forwarded-allow-ips", "")


# haproxy


@contextlib.contextmanager
def haproxy(folder, server, options):
    """Run haproxy in front of `server`; yield the port on which it listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        file = folder / "haproxy.cfg"
        file.write_text(
            f"""\
global
    stats socket {folder}/stats
defaults
    mode tcp
    timeout connect 10s
    timeout client 10s
    timeout server 10s
listen all
    bind fd@{listening.fileno()}
    server it 127.0.0.1:{server.port} {options}
"""
        )
        command = [HAPROXY, "-db", "-f", str(file)]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[listening.fileno()]
        ) as proxy:
            try:
                yield listening.getsockname()
            finally:
                proxy.kill()
                print(proxy.stderr.read().decode())


def checks(folder):
    """The state of the server that haproxy checks, the state of the check, and the number of failed checks."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        if sock.connect_ex(str(folder / "stats")):
            return "", "", "haproxy has not started"
        sock.sendall(b"show stat\n")
        shown = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    names, *rows = (line.split(",") for line in shown.lstrip("# ").splitlines() if line)
    row = next(dict(zip(names, row, strict=True)) for row in rows if row[1] == "it")
    return row["status"], row["check_status"], row["chkfail"]


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
class TestBehindHaproxy:
    @pytest.fixture(params=["", "-v2", "-v2-ssl", "-v2 proxy-v2-options crc32c"], ids=repr)
    def options(self, request):
        return f"send-proxy{request.param}"

    def ends(self, client):
        host, port = client.socket.getsockname()
        return [[host, port], list(client.socket.getpeername())]

    def test_client_is_that_of_haproxy(self, serve, connect, folder, options):
        with haproxy(folder, serve(), options) as front:
            client = connect(front)
            assert ends_seen(client) == self.ends(client)

    def test_websocket_passes(self, serve, connect, folder, options):
        with haproxy(folder, serve(), options) as front:
            client = connect(front)
            client.send(raw_websocket.handshake("/"))
            assert client.read_head().status == 101
            client.rest_until(json.dumps(self.ends(client)).encode())

    @pytest.mark.parametrize("engine", TLS_ENGINES)
    def test_tls_passes(self, serve, connect, certificates, monkeypatch, folder, options, engine):
        engine, loop = engine.split("-")
        choose(loop, engine, monkeypatch)
        with haproxy(folder, serve(loop=loop, **certificates.parameters), options) as front:
            client = connect(front)
            ends = self.ends(client)
            with certificates.trust().wrap_socket(client.socket, server_hostname="localhost") as client.socket:
                assert ends_seen(client) == ends

    @pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
    def test_health_checks_pass(self, start, folder, version):
        server = start("asgi:app", "--proxy-protocol", "--health-path", "/health")
        check = "option httpchk GET /health\n    http-check send ver HTTP/1.1 hdr host a"
        with haproxy(folder, server, f"{version} check-send-proxy check inter 50ms\n    {check}"):
            end = time.monotonic() + PATIENCE
            while checks(folder)[:2] != ("UP", "L7OK"):
                assert time.monotonic() < end, checks(folder)
                time.sleep(0.05)
            assert checks(folder)[2] == "0"
        assert "refused" not in server.log.text()
