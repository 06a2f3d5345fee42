"""The TLS extension of ASGI in the scopes of real connections, on each engine and loop."""

import asyncio
import contextlib
import ssl

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from websockets.asyncio.client import connect as connect_websocket

from tests.support.engines import TLS_ENGINES, choose, connect
from tests.support.server import PATIENCE, thread

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture(params=TLS_ENGINES)
def engine(request, monkeypatch):
    """One engine and its loop."""
    engine, loop = request.param.split("-")
    choose(loop, engine, monkeypatch)
    return engine, loop


class Scopes:
    """An application that keeps its scopes."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        self.seen.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    def tls(self):
        """The extension of the last scope."""
        return self.seen[-1]["extensions"]["tls"]


@pytest.fixture
def scopes(engine, certificates):
    """A function that starts a server; it returns the server and its scopes."""
    with contextlib.ExitStack() as stack:

        def start(**parameters):
            app = Scopes()
            parameters = {"loop": engine[1], "lifespan": "off", **certificates.parameters, **parameters}
            return stack.enter_context(thread(app, **parameters)), app

        yield start


def request(server, context, data=GET):
    with contextlib.ExitStack() as stack:
        client = connect(stack, server, context)
        client.send(data)
        assert client.read().status == 200
        return client.socket.session


def normalized(path):
    """The certificates in a PEM file, in one form."""
    return [ssl.DER_cert_to_PEM_cert(each.public_bytes(Encoding.DER)) for each in x509.load_pem_x509_certificates(path)]


def test_server_certificate_version_and_cipher_are_told(scopes, certificates):
    server, app = scopes()
    request(server, certificates.trust())
    assert app.tls() == {
        "server_cert": normalized(certificates.certificate.read_bytes())[0],
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1302,
    }


def test_tls_1_2_is_told(scopes, certificates):
    server, app = scopes()
    context = certificates.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")
    request(server, context)
    assert app.tls()["tls_version"] == 0x0303
    assert app.tls()["cipher_suite"] in (0xC02B, 0xC02F)


def test_requests_of_one_connection_share_the_extension(scopes, certificates):
    server, app = scopes()
    with contextlib.ExitStack() as stack:
        client = connect(stack, server, certificates.trust())
        for _ in range(2):
            client.send(GET)
            client.read()
    first, second = [scope["extensions"] for scope in app.seen]
    assert first is not second
    assert first["tls"] is second["tls"]
    assert set(first) == {"http.response.trailers", "http.response.early_hint", "tls"}


def test_http_1_0_has_the_extension(scopes, certificates):
    server, app = scopes()
    request(server, certificates.trust(), b"GET / HTTP/1.0\r\n\r\n")
    assert set(app.seen[-1]["extensions"]) == {"tls"}


def test_http_2_has_the_extension(scopes, certificates):
    pytest.importorskip("h2", reason="h2 is not installed")
    server, app = scopes(http2=True)
    with httpx.Client(http2=True, verify=certificates.trust(), timeout=PATIENCE) as client:
        assert client.get(f"https://localhost:{server.port}/").http_version == "HTTP/2"
    assert app.tls()["tls_version"] == 0x0304


def test_websocket_has_the_extension(scopes, certificates):
    server, app = scopes()

    async def open_and_close():
        url = f"wss://localhost:{server.port}/"
        async with connect_websocket(url, ssl=certificates.trust(), proxy=None) as client:
            await client.wait_closed()

    asyncio.run(asyncio.wait_for(open_and_close(), PATIENCE))
    assert app.seen[-1]["type"] == "websocket"
    assert set(app.seen[-1]["extensions"]) == {"websocket.http.response", "tls"}
    assert app.tls()["tls_version"] == 0x0304


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_plain_connection_has_no_extension(loop, monkeypatch):
    pytest.importorskip("h2", reason="h2 is not installed")
    choose(loop, "plain", monkeypatch)
    app = Scopes()
    with thread(app, loop=loop, lifespan="off", http2=True) as server:
        assert httpx.get(server.url).status_code == 200
        with httpx.Client(http1=False, http2=True) as client:
            assert client.get(server.url).http_version == "HTTP/2"
    assert len(app.seen) == 2
    assert not any("tls" in scope["extensions"] for scope in app.seen)


@pytest.mark.parametrize("kind", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_client_certificate_is_told(scopes, tmp_path, certificates, kind):
    root = trustme.CA()
    between = root.create_child_ca()
    issued = between.issue_cert("someone", organization_name="Example, Inc.", common_name="Some One")
    path, authority, unrelated = tmp_path / "client.pem", tmp_path / "root.pem", trustme.CA()
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    unrelated.cert_pem.write_to_path(path, append=True)
    root.cert_pem.write_to_path(authority)
    server, app = scopes(ssl_cert_reqs=kind, ssl_ca_certs=str(authority))
    context = certificates.trust()
    context.load_cert_chain(path)
    request(server, context)
    sent = normalized(path.read_bytes())
    assert len(sent) == 3
    knows_chain = hasattr(ssl.SSLObject, "get_verified_chain")
    assert app.tls()["client_cert_chain"] == (sent[:2] if knows_chain else sent[:1])
    assert app.tls()["client_cert_name"].startswith("CN=Some One,OU=")
    assert app.tls()["client_cert_name"].endswith(r",O=Example\, Inc.")
    assert app.tls()["client_cert_error"] is None


def test_optional_client_certificate_may_be_missing(scopes, certificates):
    server, app = scopes(ssl_cert_reqs=ssl.CERT_OPTIONAL, ssl_ca_certs=str(certificates.authority))
    request(server, certificates.trust())
    assert app.tls()["client_cert_chain"] == []
    assert app.tls()["client_cert_name"] is None


def test_certificate_of_another_context_is_unknown(scopes, certificates):
    def factory(config, default):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.both)
        return context

    server, app = scopes(ssl_context_factory=factory)
    request(server, certificates.trust())
    assert app.tls()["server_cert"] is None
    assert app.tls()["tls_version"] == 0x0304


def test_certificate_of_name_is_told(scopes, certificates):
    server, app = scopes(ssl_sni=f"elsewhere={certificates.elsewhere}")
    with contextlib.ExitStack() as stack:
        client = connect(stack, server)
        client.socket = certificates.trust().wrap_socket(client.socket, server_hostname="elsewhere")
        client.send(GET)
        client.read()
    assert app.tls()["server_cert"] == normalized(certificates.elsewhere.read_bytes())[0]


def test_certificate_of_default_context_is_known_to_factory(scopes, certificates):
    server, app = scopes(ssl_context_factory=lambda config, default: default())
    request(server, certificates.trust())
    assert app.tls()["server_cert"] == normalized(certificates.certificate.read_bytes())[0]
