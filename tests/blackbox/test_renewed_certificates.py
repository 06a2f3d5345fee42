"""SIGHUP makes a single process read its certificates again."""

import contextlib
import shutil
import signal
import socket

import pytest

from tests.support.server import lacks

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Renewed:
    """A server whose certificate, with its key, is in `file`."""

    def __init__(self, server, file, certificates):
        self._server = server
        self._file = file
        self._context = certificates.trust()
        self._context.check_hostname = False

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self._server.port), timeout=30)
        return self._context.wrap_socket(plain)

    def name(self):
        """The first name in the certificate that a new client is shown."""
        with contextlib.closing(self.connect()) as client:
            return client.getpeercert()["subjectAltName"][0][1]

    def renew(self, source, line):
        shutil.copy(source, self._file)
        self._server.signal(signal.SIGHUP)
        self._server.log.wait_for(line)


@pytest.fixture(params=["asyncio", "uvloop"])
def renewed(request, start, certificates, tmp_path):
    if reason := lacks(loop=request.param):
        pytest.skip(reason)
    file = tmp_path / "both.pem"
    shutil.copy(certificates.both, file)
    server = start("asgi:app", "--loop", request.param, "--ssl-certfile", str(file))
    return Renewed(server, file, certificates)


def test_new_clients_are_shown_the_new_certificate(renewed, certificates):
    assert renewed.name() == "localhost"
    renewed.renew(certificates.elsewhere, "Renewed the certificates")
    assert renewed.name() == "elsewhere"


def test_connections_continue(renewed, certificates):
    with contextlib.closing(renewed.connect()) as client:
        renewed.renew(certificates.elsewhere, "Renewed the certificates")
        client.sendall(GET)
        assert client.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("content", ["authority", "key"])
def test_bad_certificate_is_not_taken(renewed, certificates, content):
    renewed.renew(getattr(certificates, content), "Cannot renew the certificates, keeping the old ones: .*both.pem")
    assert renewed.name() == "localhost"
    renewed.renew(certificates.elsewhere, "Renewed the certificates")
    assert renewed.name() == "elsewhere"
