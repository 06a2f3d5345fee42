"""Options with an effect that only a real server shows."""

import json
import os
import re
import signal
import socket
import stat
import tempfile
import urllib.request

import pytest

from tests.support.server import Process


def ask(client, target="/"):
    client.get(target)
    return client.read()


def test_access_lines_go_to_stdout(start, connect, form):
    server = start("asgi:app", form=form)
    client = connect(server)
    host, port = client.socket.getsockname()
    ask(client, "/echo")
    ask(client, "/a%20b/%2F?q=%41")
    ask(client, "/status?code=404")
    server.access.wait_for("404 Not Found$")
    assert list(server.access) == [
        f'INFO:     {host}:{port} - "GET /echo HTTP/1.1" 200 OK',
        f'INFO:     {host}:{port} - "GET /a%20b//?q=%41 HTTP/1.1" 200 OK',
        f'INFO:     {host}:{port} - "GET /status?code=404 HTTP/1.1" 404 Not Found',
    ]


def test_connections_are_logged_at_trace(start, connect, form):
    server = start("asgi:app", "--log-level", "trace", form=form)
    client = connect(server)
    host, port = client.socket.getsockname()
    server.log.wait_for(f"^TRACE:    {host}:{port} - HTTP connection made$")
    client.socket.close()
    server.log.wait_for(f"^TRACE:    {host}:{port} - HTTP connection lost$")


def test_connections_are_not_logged_at_debug(start, connect):
    server = start("asgi:app", "--log-level", "debug")
    ask(connect(server), "/echo")
    server.signal()
    server.wait()
    assert "connection made" not in server.log.text()


@pytest.mark.parametrize("flags", [(), ("--interface", "asgi2")])
def test_asgi2_application_gets_version_2(start, connect, form, flags):
    server = start("asgi2_and_wsgi:Versions", *flags, form=form)
    assert ask(connect(server)).body == b"2.0 2.0"


def test_failed_request_has_access_line(start, connect, form):
    server = start("asgi:app", form=form)
    ask(connect(server), "/fail?when=before")
    server.access.wait_for('"GET /fail[?]when=before HTTP/1.1" 500 Internal Server Error$')


def test_access_log_can_be_turned_off(start, connect):
    server = start("asgi:app", "--no-access-log")
    ask(connect(server))
    server.signal()
    server.wait()
    assert server.access.text() == ""


def test_every_access_line_is_written_before_exit(start, connect):
    server = start("asgi:app")
    client = connect(server)
    for _ in range(100):
        ask(client)
    server.signal()
    server.wait()
    assert len(list(server.access)) == 100


def test_header_option_adds_and_replaces_fields(start, connect, form):
    server = start("asgi:app", "--header", "X-One: 1", "--header", "Server:other", "--header", "X-Two:a:b", form=form)
    answer = ask(connect(server))
    assert answer.field("x-one") == "1"
    assert answer.field("x-two") == "a:b"
    assert answer.field("server") == "other"


def test_server_header_can_be_turned_off(start, connect, form):
    assert "server" not in ask(connect(start("asgi:app", "--no-server-header", form=form))).fields


def test_date_header_can_be_turned_off(start, connect, form):
    assert "date" not in ask(connect(start("asgi:app", "--no-date-header", form=form))).fields


def test_request_over_limit_concurrency_is_answered_503(start, connect, form):
    server = start("asgi:app", "--limit-concurrency", "2", form=form)
    first = connect(server)
    assert ask(first).status == 200
    second = connect(server)
    answer = ask(second)
    assert answer.status == 503
    assert answer.body == b"Service Unavailable"
    assert answer.field("content-length") == "19"
    assert answer.field("connection") == "close"
    assert second.rest() == b""
    assert ask(first).status == 200
    server.log.wait_for("^WARNING:  Exceeded concurrency limit.$")


def test_body_over_limit_is_answered_413(start, connect, form):
    server = start("asgi:app", "--limit-body-size", "10", form=form)
    client = connect(server)
    client.post("/echo", b"0123456789")
    assert client.read().body == b"0123456789"
    client.get("/echo", "content-length: 11", method="POST")
    assert client.read().status == 413


def test_slow_clients_time_out(start, connect, form):
    flags = [f"--timeout-{what}=1" for what in ("first-byte", "head", "body", "keep-alive")]
    server = start("asgi:app", *flags, form=form)
    silent, in_head, in_body, idle = (connect(server) for _ in range(4))
    in_head.send(b"GET / HTTP/1.1\r\n")
    in_body.send(b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nbody")
    assert ask(idle).field("connection") is None
    assert in_head.read().status == 408
    assert in_body.read().status == 408
    assert [client.rest() for client in (silent, in_head, in_body, idle)] == [b""] * 4


def test_refused_request_is_logged_with_client(start, connect, form):
    server = start("asgi:app", form=form)
    client = connect(server)
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert client.read().status == 400
    host, port = client.socket.getsockname()
    server.log.wait_for(f"^WARNING:  Invalid HTTP request received. {host}:{port}: ")


PREAMBLES = {
    b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 80\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n": "PROXY protocol, .*[(]400[)]",
    b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xc3P\0P": "PROXY protocol, .*[(]400[)]",
    b"\x16\x03\x01\0\x05\x01\0\0\x01\n": "TLS on a port without TLS: .*[(]400[)]",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0": "HTTP/2, .*[(]505[)]",
}


def test_another_protocol_is_named_in_log(start, connect, variant):
    form, loop = variant
    server = start("asgi:app", "--loop", loop, form=form)
    for data, line in PREAMBLES.items():
        client = connect(server)
        client.send(data)
        assert client.read().status in (400, 505)
        host, port = client.socket.getsockname()
        server.log.wait_for(f"^WARNING:  Invalid HTTP request received. {host}:{port}: {line}")


def test_preamble_after_request_is_malformed_request(start, connect, form):
    server = start("asgi:app", form=form)
    client = connect(server)
    assert ask(client).status == 200
    client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 80\r\n\r\n")
    assert client.read().status == 400
    server.log.wait_for("malformed request line")


def test_asterisk_is_unchanged_under_root_path(start, connect, form):
    server = start("asgi:app", "--root-path", "/below", form=form)
    client = connect(server)
    client.get("*", method="OPTIONS")
    scope = json.loads(client.read().body)
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/below", "*", repr(b"*"))


@pytest.fixture
def path():
    """A path short enough for a Unix socket, unlike pytest's own folders."""
    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, "s")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
def test_unix_socket_is_served(start, connect, variant, path):
    server = start("asgi:app", "--uds", path, "--loop", variant[1], "--sendfile", form=variant[0])
    server.log.wait_for(rf"running on unix socket {path} \(Press CTRL\+C to quit\)")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
    scope = json.loads(ask(connect(path), "/scope").body)
    assert scope["client"] is None
    assert scope["server"] == [path, None]
    assert len(ask(connect(path), "/file?size=300000").body) == 300000
    server.access.wait_for(r'^INFO:      - "GET /scope HTTP/1.1" 200 OK$')
    server.signal()
    server.wait()
    assert not os.path.exists(path)


def test_inherited_descriptor_is_served(connect):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = Process("asgi:app", "--fd", str(sock.fileno()), pass_fds=[sock.fileno()])
        try:
            server.log.wait_for("running on socket")
            assert ask(connect(sock.getsockname())).body == b"hello"
        finally:
            server.end()


def test_ipv6_address_is_served(start, connect):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = start("asgi:app", "--host", "::1")
    server.log.wait_for(r"running on http://\[::1\]:\d+ ")
    scope = json.loads(ask(connect(("::1", server.port)), "/scope").body)
    assert scope["client"][0] == scope["server"][0] == "::1"


def test_trace_logs_messages(start, connect):
    server = start("asgi:app", "--log-level", "trace")
    ask(connect(server))
    server.log.wait_for("http.response.start")


def test_factory_is_served(start, connect, form):
    server = start("factory:make", "--factory", form=form)
    assert ask(connect(server)).body == b"made"


def test_several_places_are_served(connect, tmp_path):
    path = f"{tmp_path}/s"
    with socket.create_server(("127.0.0.1", 0)) as given:
        name, number = given.getsockname(), given.fileno()
        places = ("--bind", "127.0.0.1:0", "--bind", f"unix:{path}", "--bind", f"fd://{number}")
        server = Process("asgi:app", *places, form="interpreted", pass_fds=[number])
        try:
            port = int(server.log.wait_for(r"running on http://127\.0\.0\.1:(\d+) ")[1])
            server.log.wait_for(f"running on unix socket {path} ")
            server.log.wait_for(rf"running on http://127\.0\.0\.1:{name[1]} ")
            for address in (("127.0.0.1", port), path, name):
                assert ask(connect(address)).body == b"hello"
            server.signal()
            server.wait()
        finally:
            server.end()
    assert not os.path.exists(path)


def test_places_may_come_from_environment(connect):
    server = Process("asgi:app", form="interpreted", env={"PRONGHORN_BIND": "127.0.0.1:0 127.0.0.1:0"})
    try:
        server.log.wait_for("running on", 2)
        for line in server.log:
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                assert ask(connect(("127.0.0.1", int(found[1])))).body == b"hello"
    finally:
        server.end()


def test_bind_with_port_is_refused():
    server = Process("asgi:app", "--bind", "127.0.0.1:0", "--port", "0", form="interpreted")
    assert server.wait() == 2
    assert "--bind cannot be combined with --host, --port, --uds or --fd" in server.log.text()


def test_tls_is_served(certificates, form):
    server = Process("asgi:app", "--port", "0", *certificates.flags, form=form)
    try:
        port = server.log.wait_for(r"Pronghorn running on https://127\.0\.0\.1:(\d+) \(Press")[1]
        with urllib.request.urlopen(f"https://localhost:{port}/", context=certificates.trust()) as answer:
            assert answer.read() == b"hello"
        server.signal()
        assert server.wait() == -signal.SIGTERM
    finally:
        server.end()


def test_invalid_tls_files_are_reported_on_one_line(certificates):
    flags = ("--ssl-certfile", str(certificates.certificate), "--ssl-keyfile", str(certificates.other_key))
    server = Process("asgi:app", "--port", "0", *flags, form="interpreted")
    assert server.wait() == 3
    assert server.log.text() == (
        f"ERROR:    The private key in {str(certificates.other_key)!r} does not belong to the certificate in"
        f" {str(certificates.certificate)!r}."
    )
