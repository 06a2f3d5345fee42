"""TLS sessions are resumed by tickets (RFC 5077, RFC 8446 section 2.2), on each engine and loop."""

import contextlib
import shutil
import signal
import socket
import ssl

import pytest

from tests.support.engines import TLS_ENGINES, choose
from tests.support.server import PATIENCE, thread, wait_until

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name
)


class Visitor:
    """A client that connects again and again, with the session of its last connection."""

    def __init__(self, port, context, name="localhost"):
        self.shown = None
        self._port = port
        self._context = context
        self._name = name
        self._session = None

    def visit(self):
        """Make a request on a new connection; return whether it resumed the session."""
        with (
            socket.create_connection(("127.0.0.1", self._port), PATIENCE) as plain,
            self._context.wrap_socket(plain, server_hostname=self._name, session=self._session) as client,
        ):
            client.sendall(GET)
            assert client.recv(12) == b"HTTP/1.1 200"
            self.shown = client.getpeercert()["subjectAltName"][0][1]
            self._session = client.session  # TLS 1.3 sends its tickets after the handshake
            return client.session_reused


@pytest.fixture(params=TLS_ENGINES)
def serve(request, certificates, monkeypatch):
    """A function that starts a server in a thread, on one engine and loop; its application keeps extensions."""
    engine, loop = request.param.split("-")
    choose(loop, engine, monkeypatch)
    with contextlib.ExitStack() as stack:

        def serve(seen=None, **parameters):
            async def app(scope, receive, send):
                if seen is not None:
                    seen.append(scope["extensions"]["tls"])
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body"})

            parameters = {"loop": loop, "lifespan": "off", **certificates.parameters, **parameters}
            return stack.enter_context(thread(app, **parameters))

        yield serve


@VERSIONS
def test_session_is_resumed(serve, certificates, version):
    context = certificates.trust()
    context.maximum_version = version
    visitor = Visitor(serve().port, context)
    assert [visitor.visit() for _ in range(3)] == [False, True, True]


@VERSIONS
def test_session_with_client_certificate_is_resumed(serve, certificates, version):
    seen = []
    server = serve(seen, ssl_cert_reqs=ssl.CERT_REQUIRED, ssl_ca_certs=str(certificates.authority))
    context = certificates.trust()
    context.maximum_version = version
    context.load_cert_chain(certificates.client)
    visitor = Visitor(server.port, context)
    assert [visitor.visit() for _ in range(2)] == [False, True]
    assert len(seen) == 2
    assert seen[0]["client_cert_name"] == seen[1]["client_cert_name"] is not None
    assert seen[0]["client_cert_chain"][0] == seen[1]["client_cert_chain"][0]


@VERSIONS
def test_session_of_named_certificate_is_resumed(serve, certificates, version):
    server = serve(ssl_sni=f"elsewhere={certificates.elsewhere}")
    context = certificates.trust()
    context.maximum_version = version
    visitor = Visitor(server.port, context, "elsewhere")
    assert [visitor.visit() for _ in range(2)] == [False, True]
    assert visitor.shown == "elsewhere"


def test_session_is_not_resumed_after_renewal(serve, certificates, tmp_path):
    file = tmp_path / "both.pem"
    shutil.copy(certificates.both, file)
    server = serve(ssl_certfile=str(file), ssl_keyfile=None)
    context = certificates.trust()
    context.check_hostname = False
    visitor = Visitor(server.port, context)
    assert [visitor.visit() for _ in range(2)] == [False, True]
    old = server.config.ssl
    shutil.copy(certificates.elsewhere, file)
    wait_until(lambda: server.config.ssl is not old)
    assert [visitor.visit() for _ in range(2)] == [False, True]
    assert visitor.shown == "elsewhere"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="workers share sockets differently there")
def test_session_of_another_worker_begins_anew(start, certificates):
    server = start("asgi:app", "--workers", "2", *certificates.flags)
    server.log.wait_for("Application startup complete", 2)

    def is_accepted():
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", server.port)):
            return True

    wait_until(is_accepted)
    visitor = Visitor(server.port, certificates.trust())
    resumed = [visitor.visit() for _ in range(20)]
    assert not resumed[0]
    assert any(resumed)
