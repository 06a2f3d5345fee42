"""Certificates are read again after SIGHUP, and when their files have changed."""

import contextlib
import os
import shutil
import signal
import socket
import time

import pytest

from tests.support.server import lacks

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Renewed:
    """A server whose certificate, with its key, is in `file`."""

    def __init__(self, server, file, certificates):
        self._server = server
        self.log = server.log
        self._file = file
        self._context = certificates.trust()
        self._context.check_hostname = False

    def connect(self, asked=None):
        plain = socket.create_connection(("127.0.0.1", self._server.port), timeout=30)
        return self._context.wrap_socket(plain, server_hostname=asked)

    def name(self, asked=None):
        """The first name in the certificate that a new client is shown. It may have asked for a name."""
        with contextlib.closing(self.connect(asked)) as client:
            return client.getpeercert()["subjectAltName"][0][1]

    def renew(self, source, line):
        shutil.copy(source, self._file)
        self._server.signal(signal.SIGHUP)
        self._server.log.wait_for(line)

    def replace(self, source, line, count=1):
        """Change the file, as certbot does, without a signal."""
        new = self._file.with_suffix(".new")
        shutil.copy(source, new)
        os.replace(new, self._file)
        self._server.log.wait_for(line, count)


@pytest.fixture(params=["asyncio", "uvloop"])
def renewed(request, start, certificates, tmp_path):
    if reason := lacks(loop=request.param):
        pytest.skip(reason)
    file = tmp_path / "both.pem"
    shutil.copy(certificates.both, file)
    server = start("asgi:app", "--loop", request.param, "--ssl-certfile", str(file), "--no-ssl-reload")
    return Renewed(server, file, certificates)


@pytest.fixture
def watched(start, certificates, tmp_path):
    """A function that starts a server which watches its files; `file` is that of the default certificate."""

    def watched(*flags):
        file = tmp_path / "both.pem"
        shutil.copy(certificates.both, file)
        return Renewed(start("asgi:app", "--ssl-certfile", str(file), *flags), file, certificates)

    return watched


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


def test_changed_file_is_read(watched, certificates):
    server = watched()
    with contextlib.closing(server.connect()) as client:
        server.replace(certificates.elsewhere, "Renewed the certificates")
        assert server.name() == "elsewhere"
        client.sendall(GET)
        assert client.recv(12) == b"HTTP/1.1 200"
    server.replace(certificates.both, "Renewed the certificates", 2)
    assert server.name() == "localhost"


def test_bad_file_is_reported_once_and_not_taken(watched, certificates):
    server = watched()
    server.replace(certificates.key, "Cannot renew the certificates, keeping the old ones: .*both.pem")
    assert server.name() == "localhost"
    server.replace(certificates.elsewhere, "Renewed the certificates")
    assert server.name() == "elsewhere"
    assert server.log.text().count("Cannot renew") == 1


def test_removed_file_is_reported_and_its_successor_read(watched, certificates, tmp_path):
    server = watched()
    os.remove(tmp_path / "both.pem")
    server.log.wait_for("Cannot renew the certificates, keeping the old ones: .*No such file")
    assert server.name() == "localhost"
    server.replace(certificates.elsewhere, "Renewed the certificates")
    assert server.name() == "elsewhere"


def test_fifo_in_place_of_file_does_not_block_the_server(watched, tmp_path):
    server = watched()
    os.mkfifo(tmp_path / "fifo")
    os.replace(tmp_path / "fifo", tmp_path / "both.pem")
    server.log.wait_for("Cannot renew the certificates, keeping the old ones: .*both.pem': Not a regular file")
    assert server.name() == "localhost"


def test_certificate_of_name_is_read(watched, certificates, tmp_path):
    named = tmp_path / "named.pem"
    shutil.copy(certificates.both, named)
    server = watched("--ssl-sni", f"elsewhere={named}")
    assert server.name("elsewhere") == "localhost"
    shutil.copy(certificates.elsewhere, named)
    server.log.wait_for("Renewed the certificates")
    assert server.name("elsewhere") == "elsewhere"
    assert server.name() == "localhost"


def test_all_workers_read_changed_file(watched, certificates):
    server = watched("--workers", "2")
    server.log.wait_for("Application startup complete", 2)
    server.replace(certificates.key, "Cannot renew the certificates", 2)
    assert {server.name() for _ in range(10)} == {"localhost"}
    server.replace(certificates.elsewhere, "Renewed the certificates", 2)
    assert {server.name() for _ in range(10)} == {"elsewhere"}


def test_changed_file_is_not_read_if_unwanted(renewed, certificates, tmp_path):
    shutil.copy(certificates.elsewhere, tmp_path / "both.pem")
    time.sleep(3)  # more than the time in which a change is noticed
    assert renewed.name() == "localhost"
    renewed.renew(certificates.elsewhere, "Renewed the certificates")
    assert renewed.name() == "elsewhere"


def test_bad_certificate_keeps_workers_after_sighup(watched, certificates):
    server = watched("--workers", "2", "--no-ssl-reload")
    server.log.wait_for("Application startup complete", 2)
    server.renew(certificates.key, "failed to start")
    assert server.name() == "localhost"
