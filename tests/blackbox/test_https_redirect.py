"""`--https-redirect`: a port without TLS that sends clients to the https URLs."""

import contextlib
import os
import signal
import socket
import time

import httpx
import pytest

from tests.support.raw_client import Client
from tests.support.server import PATIENCE, Process


class Redirected:
    """A server with TLS, and the port that redirects to it."""

    def __init__(self, server):
        self.server = server
        self.port = int(server.log.wait_for(r"Redirecting to HTTPS from http://127\.0\.0\.1:(\d+)")[1])

    def ask(self, data):
        with contextlib.closing(Client(("127.0.0.1", self.port))) as client:
            client.send(data)
            return client.read(without_body=data.startswith(b"HEAD"))

    def location(self, target, host=b"example.org", method=b"GET"):
        """The URL that a request is sent to; None if it is refused."""
        answer = self.ask(b"%b %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (method, target, host))
        assert answer.status == (308 if "location" in answer.fields else 400)
        return answer.field("location")


@pytest.fixture(scope="module")
def redirected(certificates):
    server = Process("asgi:app", "--port", "0", *certificates.flags, "--https-redirect", "0", "--hsts", "60")
    try:
        server.wait_until_running()
        yield Redirected(server)
    finally:
        server.end()


def test_client_is_sent_to_same_host_and_path(redirected):
    port = redirected.server.port
    for target in (b"/", b"/a/b", b"/a%20b?c=d&e=%0d%0a", b"//other.org/a", b"/\\other.org", b"/a?//b"):
        assert redirected.location(target) == f"https://example.org:{port}{target.decode()}"


@pytest.mark.parametrize(
    ("host", "named"),
    [
        (b"example.org:80", "example.org"),
        (b"127.0.0.1:8080", "127.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[::1]:80", "[::1]"),
        (b"EXAMPLE.org", "EXAMPLE.org"),
    ],
)
def test_port_of_the_host_is_replaced(redirected, host, named):
    assert redirected.location(b"/", host) == f"https://{named}:{redirected.server.port}/"


def test_absolute_target_names_the_host(redirected):
    location = redirected.location(b"http://other.org/a?b", b"example.org")
    assert location == f"https://other.org:{redirected.server.port}/a?b"


@pytest.mark.parametrize(
    "host",
    [b"", b":80", b"user@example.org", b"example.org/a", b"a b", b"a#b", b"a?b", b"a\\b", b"[::1", b"a\rb", b"\xe4"],
)
def test_host_that_is_none_is_refused(redirected, host):
    assert redirected.location(b"/", host) is None


def test_missing_host_is_refused(redirected):
    for request in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
        answer = redirected.ask(request)
        assert (answer.status, answer.field("location")) == (400, None)


def test_two_hosts_are_refused(redirected):
    assert redirected.ask(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").status == 400


def test_asterisk_is_refused(redirected):
    assert redirected.location(b"*", method=b"OPTIONS") is None


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"DELETE"])
def test_method_is_kept(redirected, method):
    answer = redirected.ask(b"%b /a HTTP/1.1\r\nhost: a\r\n\r\n" % method)
    assert answer.status == 308
    assert answer.field("location") == f"https://a:{redirected.server.port}/a"


def test_hsts_is_not_sent_without_tls(redirected, certificates):
    assert redirected.ask(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").field("strict-transport-security") is None
    url = f"http://localhost:{redirected.port}/"
    with httpx.Client(verify=certificates.trust(), follow_redirects=True, timeout=PATIENCE) as client:
        answer = client.get(url)
    assert [each.status_code for each in answer.history] == [308]
    assert answer.headers["strict-transport-security"] == "max-age=60"


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--pid-file", "pid")], ids=["one", "workers", "pid"])
def test_both_ports_end_with_the_server(start, certificates, flags, tmp_path):
    flags = tuple(str(tmp_path / flag) if flag == "pid" else flag for flag in flags)
    redirected = Redirected(start("asgi:app", *certificates.flags, "--https-redirect", "0", *flags))
    assert redirected.location(b"/") is not None
    redirected.server.signal(signal.SIGTERM)
    redirected.server.wait()
    with pytest.raises(ConnectionRefusedError):
        Client(("127.0.0.1", redirected.port))


@pytest.fixture
def answer(start, certificates):
    """A function that starts a server with these flags, and returns the answer of its redirect to a request."""

    def answer(*flags, head=b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"):
        return Redirected(start("asgi:app", *certificates.flags, "--https-redirect", "0", *flags)).ask(head)

    return answer


def test_server_field_is_sent(answer):
    assert answer().field("server") == "pronghorn"


@pytest.mark.parametrize("name", ["server", "date"])
def test_default_field_is_not_sent_if_unwanted(answer, name):
    assert name not in answer(f"--no-{name}-header").fields


def test_field_of_the_configuration_is_sent(answer):
    assert answer("--header", "x-served-by: one").field("x-served-by") == "one"


def test_hsts_of_the_configuration_is_not_sent_without_tls(answer):
    assert "strict-transport-security" not in answer("--header", "Strict-Transport-Security: max-age=60").fields


@pytest.mark.parametrize(
    ("flag", "status"),
    [
        ("--limit-head-size", 431),
        ("--h11-max-incomplete-event-size", 431),
        ("--limit-head-fields", 431),
        ("--limit-target-size", 414),
    ],
)
def test_limits_on_heads_apply(answer, flag, status):
    limit = "1" if flag == "--limit-head-fields" else "40"
    head = b"GET /%b HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n" % (b"a" * 50)
    assert answer(flag, limit, head=head).status == status


@pytest.mark.parametrize(("flag", "sent"), [("--timeout-first-byte", b""), ("--timeout-head", b"GET / HTTP/1.1\r\n")])
def test_timeout_applies(start, certificates, flag, sent):
    redirected = Redirected(start("asgi:app", *certificates.flags, "--https-redirect", "0", flag, "1"))
    began = time.monotonic()
    with contextlib.closing(Client(("127.0.0.1", redirected.port))) as client:
        client.send(sent)
        client.rest()
    assert time.monotonic() - began < 20  # the default is 30


@pytest.mark.parametrize("flag", ["--limit-connections", "--limit-connections-per-address"])
def test_limits_on_connections_apply(start, certificates, flag):
    redirected = Redirected(start("asgi:app", *certificates.flags, "--https-redirect", "0", flag, "1"))
    with contextlib.closing(Client(("127.0.0.1", redirected.port))) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.read().status == 308
        with contextlib.closing(Client(("127.0.0.1", redirected.port))) as another:
            assert another.rest() == b""
    assert redirected.server.log.wait_for(f"Connection refused. .*: more connections than {flag} 1")


def failure(*flags):
    server = Process("asgi:app", *flags)
    try:
        assert server.wait() == 3
        return server.log.text()
    finally:
        server.end()


def test_it_needs_tls_and_a_host(certificates, tmp_path):
    assert "--https-redirect needs TLS" in failure("--port", "0", "--https-redirect", "0")
    path = os.fspath(tmp_path / "socket")
    assert "--https-redirect needs a server with a host" in failure(
        "--uds", path, *certificates.flags, "--https-redirect", "0"
    )


def test_taken_port_is_reported_with_its_flag(certificates):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = failure("--port", "0", *certificates.flags, "--https-redirect", str(taken.getsockname()[1]))
    assert "choose another port with --https-redirect." in text


def test_it_needs_one_port_for_all_hosts(certificates):
    places = ("--bind", "127.0.0.1:0", "--bind", "127.0.0.1:0")  # two free ports
    text = failure(*places, *certificates.flags, "--https-redirect", "0")
    assert "--https-redirect needs one port for all hosts of the server" in text


def test_it_needs_another_port(certificates):
    # Refused before any port is bound.
    text = failure("--port", "8443", *certificates.flags, "--https-redirect", "8443")
    assert "The server's address and --https-redirect 8443 overlap" in text
