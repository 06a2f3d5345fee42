"""TLS over real sockets, on each engine and loop: good and bad clients, and the bytes on the wire."""

import asyncio
import contextlib
import contextvars
import gc
import logging
import socket
import ssl
import struct
import sys
import threading
import time
import weakref

import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed

from pronghorn.listen import tls_server
from pronghorn.metrics import layout
from tests.support import raw_websocket
from tests.support.engines import TLS_ENGINES, choose
from tests.support.raw_client import Client
from tests.support.server import PATIENCE, thread, wait_until

PIECE = bytes(range(256)) * 256
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n"


@pytest.fixture(params=TLS_ENGINES)
def serve(request, certificates, monkeypatch):
    """A function that starts a TLS server in a thread, on one engine and loop."""
    engine, loop = request.param.split("-")
    choose(loop, engine, monkeypatch)
    with contextlib.ExitStack() as stack:

        def serve(app, **parameters):
            return stack.enter_context(thread(app, **{"loop": loop, **certificates.parameters, **parameters}))

        yield serve


@pytest.fixture
def connect(certificates):
    """A function that opens a TLS connection to a server."""
    with contextlib.ExitStack() as stack:

        def connect(server, context=None, address=None, name="localhost"):
            client = stack.enter_context(contextlib.closing(Client(address or ("127.0.0.1", server.port))))
            context = context or certificates.trust()
            client.socket = stack.enter_context(context.wrap_socket(client.socket, server_hostname=name))
            return client

        yield connect


async def answer(send, data, *fields):
    fields = [(b"content-length", b"%d" % len(data)), *fields]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": data})


async def read(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def hello(scope, receive, send):
    assert scope["type"] == "http"
    await answer(send, b"hello")


async def echo(scope, receive, send):
    assert scope["type"] == "http"
    await answer(send, await read(receive))


@contextlib.contextmanager
def blocked_loop(server):
    """Block the server's loop. Everything that clients do meanwhile arrives in one iteration."""
    stands, go_on = threading.Event(), threading.Event()

    def stand():
        stands.set()
        go_on.wait(PATIENCE)

    server.server_state.loop.call_soon_threadsafe(stand)
    assert stands.wait(PATIENCE)
    try:
        yield
    finally:
        go_on.set()


class Kept:
    """A value that can be referred to weakly."""


def reset_connection(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_scheme_is_https_and_version_is_tls_1_3(serve, connect):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], scope["scheme"], scope["client"], scope["server"]))
        await hello(scope, receive, send)

    server = serve(app, lifespan="off")
    client = connect(server)
    client.send(GET)
    assert client.read().body == b"hello"
    assert client.socket.version() == "TLSv1.3"
    assert seen == [("http", "https", client.socket.getsockname(), ("127.0.0.1", server.port))]
    assert server.config.ssl.verify_mode == ssl.CERT_NONE


def test_large_bodies_are_sent_and_received(serve, certificates):
    body = PIECE * 128
    with httpx.Client(verify=certificates.trust(), base_url=f"https://127.0.0.1:{serve(echo).port}") as client:
        for sent in (body, b"short", body):
            assert client.post("/", content=sent).content == sent


def test_large_bodies_are_read_to_their_end(serve, connect):
    server = serve(echo, timeout_body=5)
    for _ in range(8):
        client = connect(server)
        for _ in range(8):
            client.send(UPLOAD + bytes(1_000_000))
            assert len(client.read().body) == 1_000_000


def test_files_are_sent(serve, certificates, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PIECE * 20)

    async def app(scope, receive, send):
        await asyncio.sleep(0)  # the messages come in an iteration without a read
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": str(path)})

    with httpx.Client(
        verify=certificates.trust(), base_url=f"https://localhost:{serve(app, sendfile=True).port}"
    ) as client:
        assert client.get("/").content == PIECE * 20


def test_websocket_echoes(serve, certificates):
    schemes = []

    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        schemes.append(scope["scheme"])
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})

    async def converse(url):
        async with connect_websocket(url, ssl=certificates.trust(), max_size=None, proxy=None) as client:
            for message in ("text", PIECE * 20, "x" * 100_000):
                await client.send(message)
                assert await client.recv() == message

    # In a loop: CPython's ssl may hang if two threads read and write on one connection.
    asyncio.run(asyncio.wait_for(converse(f"wss://localhost:{serve(app, lifespan='off').port}/"), PATIENCE))
    assert schemes == ["wss"]


def test_websocket_is_closed_when_server_stops(serve, certificates):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def stay(server):
        url = f"wss://localhost:{server.port}/"
        async with connect_websocket(url, ssl=certificates.trust(), proxy=None) as client:
            server.should_exit = True
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            return closed.value.rcvd.code

    assert asyncio.run(asyncio.wait_for(stay(serve(app, lifespan="off")), PATIENCE)) == 1012


class Recorded:
    """A TLS client that records the server's bytes on the wire."""

    def __init__(self, context, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.wire = b""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self.repeat(self.tls.do_handshake)

    def repeat(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                self.wire += data
                self._in.write(data) if data else self._in.write_eof()

    def flush(self):
        self.socket.sendall(self._out.read())

    def rest(self):
        parts = []
        with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            while data := self.repeat(lambda: self.tls.read(65536)):
                parts.append(data)
        return b"".join(parts)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()


def records(wire):
    """The content types of the TLS records (RFC 8446 section 5.1) in `wire`. Fail for other bytes."""
    types = set()
    while wire:
        kind, version, size = struct.unpack("!BHH", wire[:5])
        assert kind in (20, 21, 22, 23)
        assert version in (0x0301, 0x0303)
        assert size <= 16384 + 256
        assert len(wire) >= 5 + size
        types.add(kind)
        wire = wire[5 + size :]
    return types


def test_only_tls_records_are_on_wire(serve, certificates):
    async def app(scope, receive, send):
        if scope["path"] == "/":
            await answer(send, b"secret")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(40):
            await send({"type": "http.response.body", "body": b"secret" * 100, "more_body": True})
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": PIECE * 40})

    server = serve(app, lifespan="off")
    with Recorded(certificates.trust(), ("127.0.0.1", server.port)) as client:
        stream = b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n"
        last = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        client.tls.write(GET * 3 + stream + GET + last)
        client.flush()
        text = client.rest()
    assert text.count(b"HTTP/1.1 200 OK") == 6
    assert text.count(PIECE) == 80
    assert 23 in records(client.wire)
    for plain in (b"secret", b"HTTP/1.1", PIECE):
        assert plain not in client.wire


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="the application starts a turn too late")
def test_request_with_end_of_stream_is_answered(serve, certificates):
    server = serve(hello)
    with Recorded(certificates.trust(), ("127.0.0.1", server.port)) as client:
        client.tls.write(GET)
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.unwrap()
        client.flush()
        assert client.rest().endswith(b"\r\n\r\nhello")
    wait_until(lambda: not server.server_state.connections)


def test_slow_reader_costs_bounded_memory(serve, connect):
    sent, blocked = [], threading.Event()

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(640):
            sending = asyncio.ensure_future(send({"type": "http.response.body", "body": PIECE, "more_body": True}))
            if not (await asyncio.wait([sending], timeout=0.3))[0]:
                blocked.set()
            await sending
            sent.append(len(PIECE))
        await send({"type": "http.response.body"})

    client = connect(serve(app, lifespan="off"))
    client.send(GET)
    assert blocked.wait(PATIENCE)
    assert sum(sent) < 16 * 1024 * 1024  # mostly in the socket buffers
    assert client.read().body == PIECE * 640


def test_disconnect_ends_stream(serve, connect, caplog):
    errors, over = [], threading.Event()

    async def app(scope, receive, send):
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        except OSError as error:
            errors.append(error)
            raise
        finally:
            over.set()

    server = serve(app, lifespan="off", send_after_disconnect="raise")
    client = connect(server)
    client.send(GET)
    client.read_head()
    client.close()
    assert over.wait(PATIENCE)
    assert errors
    wait_until(lambda: not server.server_state.connections)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("sent", [GET, UPLOAD, UPLOAD + bytes(500_000)], ids=["whole", "head", "part"])
def test_reset_behind_request_is_noticed(serve, connect, sent):
    told = threading.Event()

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    server = serve(app, lifespan="off", timeout_body=None)
    client = connect(server)
    wait_until(lambda: server.server_state.connections)
    with blocked_loop(server):
        client.send(sent)
        reset_connection(client.socket)
    assert told.wait(PATIENCE)
    wait_until(lambda: not server.server_state.connections)


def test_reset_behind_message_is_noticed(serve, connect):
    messages, over = [], threading.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            messages.append(message["text"])
        over.set()

    server = serve(app, lifespan="off", ws_ping_interval=None)
    client = connect(server)
    client.send(raw_websocket.handshake("/"))
    assert client.read_head().status == 101
    with blocked_loop(server):
        client.send(raw_websocket.frame(raw_websocket.TEXT, b"last words"))
        reset_connection(client.socket)
    assert over.wait(PATIENCE)
    assert messages == ["last words"]
    wait_until(lambda: not server.server_state.connections)


def test_reset_behind_partial_head_is_noticed(serve, connect):
    server = serve(hello, timeout_head=None, timeout_first_byte=None)
    client = connect(server)
    wait_until(lambda: server.server_state.connections)
    with blocked_loop(server):
        client.send(b"GET / HT")
        reset_connection(client.socket)
    wait_until(lambda: not server.server_state.connections)


def test_reset_does_not_affect_other_connections(serve, connect):
    server = serve(echo)
    leaving, staying = [connect(server) for _ in range(5)], [connect(server) for _ in range(5)]
    wait_until(lambda: len(server.server_state.connections) == 10)
    with blocked_loop(server):
        for client in leaving + staying:
            client.send(UPLOAD)
        for client in leaving:
            reset_connection(client.socket)
    wait_until(lambda: len(server.server_state.connections) == len(staying))
    for client in staying:
        client.send(bytes(1_000_000))
        answer = client.read()
        assert (answer.status, len(answer.body)) == (200, 1_000_000), answer.head + answer.body[:100]


def test_refused_client_that_still_sends_gets_answer(serve, connect):
    client = connect(serve(echo, limit_body_size=1000))
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n" + bytes(2000))
    client.send(bytes(3000))
    assert client.read().status == 413


def test_client_without_certificate_is_refused(serve, connect, certificates, caplog):
    server = serve(hello, ssl_ca_certs=str(certificates.authority), ssl_cert_reqs=ssl.CERT_REQUIRED)
    client = connect(server)  # with TLS 1.3 the client learns of the refusal later
    with contextlib.suppress(OSError):
        client.send(GET)
    with pytest.raises((OSError, EOFError)):
        client.read()
    context = certificates.trust()
    context.load_cert_chain(certificates.client)
    client = connect(server, context)
    client.send(GET)
    assert client.read().body == b"hello"
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith("TLS handshake with 127.0.0.1:")
    assert line.endswith(" failed: peer did not return a certificate")


def test_client_certificate_may_be_optional(serve, connect, certificates):
    server = serve(hello, ssl_ca_certs=str(certificates.authority), ssl_cert_reqs=ssl.CERT_OPTIONAL)
    context = certificates.trust()
    context.load_cert_chain(certificates.client)
    for each in (None, context):
        client = connect(server, each)
        client.send(GET)
        assert client.read().body == b"hello"


def test_key_may_have_password(serve, connect, certificates):
    from tests.support.certificates import PASSWORD

    client = connect(serve(hello, ssl_keyfile=certificates.locked_key, ssl_keyfile_password=PASSWORD))
    client.send(GET)
    assert client.read().body == b"hello"


def test_context_factory_is_used(serve, connect):
    def factory(config, default):
        context = default()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    client = connect(serve(hello, ssl_context_factory=factory))
    client.send(GET)
    assert client.read().body == b"hello"
    assert client.socket.version() == "TLSv1.2"


def by_name(certificates):
    """A callback that chooses the certificate by server name."""
    elsewhere = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    elsewhere.load_cert_chain(certificates.elsewhere)

    def choose(tls_object, name, context):
        if name == "elsewhere":
            tls_object.context = elsewhere

    return choose


def names(server, connect):
    """Yield the names in the certificates that the server presents."""
    for name in ("elsewhere", "localhost"):
        client = connect(server, name=name)
        client.send(GET)
        assert client.read().body == b"hello"
        yield client.socket.getpeercert()["subjectAltName"][0][1]


@pytest.mark.parametrize("how", ["sni_callback", "set_servername_callback"])
def test_certificate_is_chosen_by_name(serve, connect, certificates, how):
    def factory(config, default):
        context = default()
        if how == "sni_callback":
            context.sni_callback = by_name(certificates)
        else:
            context.set_servername_callback(by_name(certificates))
        return context

    assert list(names(serve(hello, ssl_context_factory=factory), connect)) == ["elsewhere", "localhost"]


def test_flag_chooses_certificate_by_name(serve, connect, certificates):
    server = serve(hello, ssl_sni=[f"elsewhere={certificates.elsewhere}", f"*.a.org={certificates.elsewhere}"])
    assert list(names(server, connect)) == ["elsewhere", "localhost"]
    context = certificates.trust()
    context.check_hostname = False
    for name, shown in (("x.a.org", "elsewhere"), ("x.y.a.org", "localhost"), ("unknown", "localhost")):
        assert connect(server, context, name=name).socket.getpeercert()["subjectAltName"][0][1] == shown
    plain = Client(("127.0.0.1", server.port))
    with contextlib.closing(plain), context.wrap_socket(plain.socket) as nameless:
        assert nameless.getpeercert()["subjectAltName"][0][1] == "localhost"


def test_name_does_not_change_the_choice_of_protocol(serve, connect, certificates):
    server = serve(hello, http2=True, ssl_sni=f"elsewhere={certificates.elsewhere}")
    context = certificates.trust()
    context.set_alpn_protocols(["h2"])
    assert connect(server, context, name="elsewhere").socket.selected_alpn_protocol() == "h2"


def test_name_does_not_spare_client_certificate(serve, connect, certificates):
    server = serve(
        hello,
        ssl_sni=f"elsewhere={certificates.elsewhere}",
        ssl_ca_certs=str(certificates.authority),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )
    context = certificates.trust()
    client = connect(server, context, name="elsewhere")
    with contextlib.suppress(OSError):
        client.send(GET)
    with pytest.raises((OSError, EOFError)):
        client.read()
    context.load_cert_chain(certificates.client)
    client = connect(server, context, name="elsewhere")
    client.send(GET)
    assert client.read().body == b"hello"


def test_callback_may_be_set_while_server_runs(serve, connect, certificates):
    server = serve(hello, ssl_context_factory=lambda config, default: default())
    server.config.ssl.sni_callback = by_name(certificates)
    assert list(names(server, connect)) == ["elsewhere", "localhost"]


def test_callbacks_of_chosen_context_are_called(serve, connect):
    seen = []

    def factory(config, default):
        other, context = default(), default()
        other._msg_callback = lambda *message: seen.append(message)
        context.sni_callback = lambda tls_object, name, context: setattr(tls_object, "context", other)
        return context

    client = connect(serve(hello, ssl_context_factory=factory))
    client.send(GET)
    assert client.read().body == b"hello"
    assert seen


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_callback_that_raises_fails_one_handshake(serve, connect, caplog):
    def choose(tls_object, name, context):
        if name != "localhost":
            raise RuntimeError("no such name")

    def factory(config, default):
        context = default()
        context.sni_callback = choose
        return context

    server = serve(hello, ssl_context_factory=factory)
    with pytest.raises(ssl.SSLError):
        connect(server, name="elsewhere")
    client = connect(server)
    client.send(GET)
    assert client.read().body == b"hello"
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith("TLS handshake with 127.0.0.1:")


def test_keys_are_logged(serve, connect, certificates, monkeypatch, tmp_path):
    def factory(config, default):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates.both)
        return context

    path = tmp_path / "keys"
    with monkeypatch.context() as environment:
        environment.setenv("SSLKEYLOGFILE", str(path))
        server = serve(hello, ssl_context_factory=factory)
    client = connect(server)
    client.send(GET)
    assert client.read().body == b"hello"
    assert "SERVER_TRAFFIC_SECRET_0 " in path.read_text()


def test_message_callback_is_called(serve, connect):
    seen = []

    def factory(config, default):
        context = default()
        context._msg_callback = lambda connection, direction, version, content, kind, data: seen.append(direction)
        return context

    client = connect(serve(hello, ssl_context_factory=factory))
    client.send(GET)
    assert client.read().body == b"hello"
    assert {"read", "write"} <= set(seen)


@pytest.mark.skipif(not getattr(ssl, "HAS_PSK", False), reason="this Python has no pre-shared keys")
def test_pre_shared_key_is_used(serve, connect):
    asked = []

    def key(identity):
        asked.append(identity)
        return b"secret"

    def context_of(protocol):
        context = ssl.SSLContext(protocol)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("PSK")
        return context

    def factory(config, default):
        context = context_of(ssl.PROTOCOL_TLS_SERVER)
        context.set_psk_server_callback(key)
        return context

    trusting = context_of(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    trusting.set_psk_client_callback(lambda hint: ("client", b"secret"))
    client = connect(serve(hello, ssl_context_factory=factory), trusting)
    client.send(GET)
    assert client.read().body == b"hello"
    assert asked == ["client"]


def test_tls_works_over_unix_socket(serve, connect, tmp_path):
    path = str(tmp_path / "s")
    server = serve(hello, uds=path)
    client = connect(server, address=path)
    client.send(GET)
    assert client.read().body == b"hello"


def speak_plain_http(address, certificates):
    with contextlib.closing(Client(address)) as client:
        client.send(GET)
        assert client.read().status == 400


def speak_another_protocol(address, certificates):
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(b"\x05\x01\x00" + GET)
        with contextlib.suppress(ConnectionError):
            assert client.recv(1000)[:5] != b"HTTP/"


def ask_for_name_that_is_not_ascii(address, certificates):
    outgoing = ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="x" * 50)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    with socket.create_connection(address, PATIENCE) as client, contextlib.suppress(ConnectionError):
        client.sendall(outgoing.read().replace(b"x" * 50, b"\xff" * 50))
        while client.recv(1000):
            pass


def say_nothing(address, certificates):
    with socket.create_connection(address, PATIENCE):
        pass


def reset(address, certificates):
    reset_connection(socket.create_connection(address, PATIENCE))


def leave_in_the_middle(address, certificates):
    outgoing = ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(outgoing.read())
        client.recv(1)


def believe_nobody(address, certificates):
    with socket.create_connection(address, PATIENCE) as client, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(client, server_hostname="localhost")


def hang(address, certificates):
    with socket.create_connection(address, PATIENCE) as client, contextlib.suppress(ConnectionError):
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("misbehave", "reason"),
    [
        (speak_plain_http, "http request"),
        (speak_another_protocol, "wrong version number"),
        (say_nothing, None),
        (reset, None),
        (leave_in_the_middle, None),
        (believe_nobody, "tlsv1 alert unknown ca"),
        (hang, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_failed_handshake_does_not_affect_others(serve, connect, certificates, caplog, misbehave, reason):
    server = serve(hello, timeout_first_byte=0.2 if misbehave is hang else 30)
    misbehave(("127.0.0.1", server.port), certificates)
    client = connect(server)  # accepted after it
    client.send(GET)
    assert client.read().body == b"hello"
    wait_until(lambda: not server.servers[0].connecting)
    assert len(server.server_state.connections) == 1
    assert not [record for record in caplog.records if record.exc_info]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [line.partition("failed: ")[2] for line in warnings] == ([reason] if reason else [])


def test_server_name_that_is_not_ascii_fails_one_handshake(serve, connect, certificates, caplog, monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    server = serve(hello, ssl_sni=f"elsewhere={certificates.elsewhere}")
    ask_for_name_that_is_not_ascii(("127.0.0.1", server.port), certificates)
    client = connect(server)
    client.send(GET)
    assert client.read().body == b"hello"
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith("TLS handshake with 127.0.0.1:")
    assert reported == []


def test_failure_for_server_name_that_is_not_ascii_says_so(serve, certificates, caplog):
    server = serve(hello, ssl_sni=f"elsewhere={certificates.elsewhere}")
    ask_for_name_that_is_not_ascii(("127.0.0.1", server.port), certificates)
    wait_until(lambda: caplog.messages)
    assert "failed: the server name that the client asks for is not ASCII" in caplog.text


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET,
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n" + bytes(1_000_000),
    ],
    ids=["get", "options", "http2", "upload"],
)
def test_plain_http_is_answered_with_advice(serve, request_bytes):
    server = serve(hello, http2=True)
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.send(request_bytes)
        answer = client.read()
        assert (answer.status, answer.field("connection")) == (400, "close")
        assert answer.body == b"This port takes HTTPS only: use https:// instead of http://.\n"
        assert client.rest() == b""
    wait_until(lambda: not server.servers[0].connecting)


def test_first_byte_alone_is_enough(serve):
    server = serve(hello)
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.send(b"G")
        assert client.read().status == 400


def test_client_of_plain_http_that_stays_is_closed(serve, monkeypatch):
    monkeypatch.setattr(tls_server, "_LINGER", 0.1)
    server = serve(hello)
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.send(GET)
        assert client.read().status == 400
        wait_until(lambda: not server.servers[0].connecting)


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00"], ids=["nothing", "byte", "header"])
def test_silent_client_meets_the_deadline(serve, sent):
    server = serve(hello, timeout_first_byte=0.3)
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(sent)
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""
    assert 0.25 < time.monotonic() - start < PATIENCE / 2
    wait_until(lambda: not server.servers[0].connecting)


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00"], ids=["nothing", "byte", "header"])
def test_handshake_that_misses_the_deadline_is_counted(serve, sent):
    server = serve(hello, timeout_first_byte=0.2, metrics_bind="127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(sent)
        wait_until(lambda: server.server_state.page[layout.TIMED_OUT + layout.FIRST_BYTE] == 1)


def test_handshake_that_began_and_misses_the_deadline_is_logged(serve, caplog):
    server = serve(hello, timeout_first_byte=0.2)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(b"\x16")
        host, port = client.getsockname()
        wait_until(lambda: caplog.messages)
    assert caplog.messages == [f"TLS handshake with {host}:{port} failed: not complete in time"]


def test_closed_connection_keeps_nothing_of_its_request(serve, connect):
    kept = contextvars.ContextVar("kept")
    seen = []

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        kept.set(Kept())
        seen.append(weakref.ref(kept.get()))
        await answer(send, b"hello", (b"connection", b"close"))

    server = serve(app)
    client = connect(server)
    client.send(GET)
    assert client.read().status == 200
    assert client.rest() == b""
    wait_until(lambda: not server.server_state.connections)
    gc.collect()
    assert seen[0]() is None


def test_handshake_without_a_deadline_does_not_get_that_of_asyncio(certificates, connect, monkeypatch):
    choose("asyncio", "ssl", monkeypatch)
    monkeypatch.setattr(asyncio.constants, "SSL_HANDSHAKE_TIMEOUT", 0)  # asyncio raises an error if it is taken
    with thread(hello, loop="asyncio", timeout_first_byte=0, **certificates.parameters) as server:
        client = connect(server)
        client.send(GET)
        assert client.read().status == 200


def test_silence_before_the_handshake_counts(serve):
    server = serve(hello, timeout_first_byte=2)
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        time.sleep(1)
        client.sendall(b"\x16\x03\x01\x02\x00")
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""
    assert time.monotonic() - start < 2.8


def test_handshake_in_pieces_succeeds(serve, certificates):
    server = serve(hello)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certificates.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    client.sendall(bytes([byte]))
                incoming.write(client.recv(65536))
        assert tls.version() == "TLSv1.3"


@pytest.mark.parametrize("http2", [False, True])
def test_hsts_is_sent_once_in_each_response(serve, certificates, http2):
    if http2:
        pytest.importorskip("h2", reason="h2 is not installed")
    server = serve(hello, hsts=31536000, http2=http2)
    with httpx.Client(verify=certificates.trust(), http2=http2, base_url=f"https://localhost:{server.port}") as client:
        for path in ("/", "/", "/" + "x" * 20000):  # the last is refused
            answer = client.get(path)
            assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]
    assert answer.status_code == 414


def test_reset_during_handshake_is_noticed(serve, connect, caplog):
    server = serve(hello)
    with blocked_loop(server):
        for _ in range(5):
            client = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
            client.sendall(bytes.fromhex("16030100020100"))
            reset_connection(client)
    client = connect(server)  # accepted after them
    client.send(GET)
    assert client.read().body == b"hello"
    wait_until(lambda: not server.servers[0].connecting)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_idle_connections_do_not_delay_shutdown(serve, connect):
    server = serve(hello)
    clients = [connect(server) for _ in range(3)]
    for client in clients:
        client.send(GET)
        assert client.read().body == b"hello"
    server.should_exit = True
    wait_until(lambda: not server.server_state.connections and not server.servers[0].is_serving())
    assert [client.rest() for client in clients] == [b""] * 3


def test_running_request_is_answered_during_shutdown(serve, connect, certificates):
    begun, go_on = threading.Event(), threading.Event()

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        begun.set()
        await asyncio.to_thread(go_on.wait, PATIENCE)
        await answer(send, PIECE * 100)

    server = serve(app)
    client = connect(server)
    client.send(GET)
    assert begun.wait(PATIENCE)
    late = Client(("127.0.0.1", server.port))
    server.should_exit = True
    wait_until(lambda: not server.servers[0].is_serving())
    late.socket = certificates.trust().wrap_socket(late.socket, server_hostname="localhost")
    late.send(GET)
    go_on.set()
    for each in (client, late):
        answered = each.read()
        assert answered.field("connection") == "close"
        assert answered.body == PIECE * 100
        assert each.rest() == b""
    late.close()


def test_hanging_handshake_does_not_delay_shutdown(serve):
    server = serve(hello)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        server.should_exit = True
        assert client.recv(1) == b""


def test_keep_alive_ends_without_close_notify_of_client(serve, certificates):
    server = serve(hello, timeout_keep_alive=1)
    with Recorded(certificates.trust(), ("127.0.0.1", server.port)) as client:
        client.tls.write(GET)
        client.flush()
        assert b"hello" in client.repeat(lambda: client.tls.read(65536))
        # The client neither reads nor answers from here on.
        wait_until(lambda: not server.server_state.connections)
