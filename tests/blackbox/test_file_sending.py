"""`http.response.pathsend` and `http.response.zerocopysend` on every form and loop."""

import hashlib
import json
import os

import pytest

PIECE = bytes(range(256)) * 256


@pytest.fixture
def asgi(shared_servers, variant):
    """tests/apps/asgi.py on every variant, with the file extensions enabled."""
    return shared_servers("asgi:app", *variant, "--sendfile")


def content(size):
    return (PIECE * (size // len(PIECE) + 1))[:size]


def get(connect, server, target, **how):
    client = connect(server)
    client.get(target, **how)
    return client.read(without_body=how.get("method") == "HEAD")


def wait(connect, server, name):
    return json.loads(get(connect, server, f"/wait?name={name}").body)


@pytest.mark.parametrize("size", [0, 1, 65536, 262144, 262145, 10 << 20])
@pytest.mark.parametrize("length", ["length=1", "chunked=1"])
def test_file_arrives_whole(asgi, connect, size, length):
    client = connect(asgi)
    for _ in range(2):
        client.get(f"/file?size={size}&{length}")
        answer = client.read()
        assert answer.field("content-length") == (str(size) if length == "length=1" else None)
        assert len(answer.body) == size
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(content(size)).digest()


def test_file_ends_with_connection_for_http10(asgi, connect):
    assert get(connect, asgi, "/file?size=300000", version="1.0").body == content(300000)


def test_file_is_not_sent_for_head(asgi, connect):
    client = connect(asgi)
    client.get("/file?size=300000&length=1", method="HEAD")
    assert client.read(without_body=True).field("content-length") == "300000"
    client.get("/")
    assert client.read().body == b"hello"


def test_requests_after_file_are_answered(asgi, connect):
    client = connect(asgi)
    for _ in range(3):
        client.get("/file?size=1000000")
        client.get("/")
    for _ in range(3):
        assert client.read().body == content(1_000_000)
        assert client.read().body == b"hello"


def test_parts_of_file_mix_with_other_parts(asgi, connect):
    assert get(connect, asgi, "/parts-of-file").body == b"567|56789|0123456789"


@pytest.mark.parametrize("path", ["/no/such/file", "no/such/file", "/", ""])
def test_unreadable_file_is_answered_500(asgi, connect, path):
    answer = get(connect, asgi, f"/no-file?path={path}")
    assert answer.status == 500
    assert answer.body == b"Internal Server Error"


@pytest.mark.parametrize("kind", ["str", "bytes", "Path"])
@pytest.mark.parametrize("place", ["absolute", "relative"])
def test_path_may_have_each_type(asgi, connect, kind, place):
    assert get(connect, asgi, f"/file-at?kind={kind}&place={place}").body == content(300_000)


def test_path_must_not_be_descriptor(asgi, connect):
    client = connect(asgi)
    client.get("/file-at?kind=int&place=absolute")
    assert client.read().status == 500
    assert get(connect, asgi, "/").body == b"hello"


def test_file_may_be_number_of_descriptor(asgi, connect):
    answer = get(connect, asgi, "/descriptor")
    assert answer.field("content-length") == "300000"
    assert answer.body == content(300_000)


def test_parts_move_position_of_descriptor_and_leave_it_open(asgi, connect):
    """Sending moves the position of the descriptor and does not close it."""
    assert get(connect, asgi, "/parts-by-descriptor").body == b"567|89012|" + b"0123456789" * 99_998 + b"|open"


@pytest.mark.parametrize("how", ["path", "file"])
def test_grown_file_sends_declared_length(asgi, connect, how):
    client = connect(asgi)
    for _ in range(2):
        client.get(f"/changed?size=300000&declared=200000&how={how}")
        assert client.read().body == content(200_000)


@pytest.mark.parametrize("how", ["path", "file"])
@pytest.mark.parametrize("size", [0, 100_000])
def test_shrunk_file_truncates_response(asgi, connect, how, size):
    client = connect(asgi)
    client.get(f"/changed?size={size}&declared=200000&how={how}")
    assert client.read_head().field("content-length") == "200000"
    assert client.rest() == content(size)


def test_count_above_declared_length_is_answered_500(asgi, connect):
    answer = get(connect, asgi, "/changed?size=300000&declared=200000&how=count")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")


def test_files_are_not_sent_without_flag(start, connect):
    server = start("asgi:app")
    answer = get(connect, server, "/file?size=10")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    server.log.wait_for("^RuntimeError: 'http.response.pathsend' is not offered without --sendfile$")


def test_file_that_shrinks_during_sending_truncates_response(asgi, connect):
    client = connect(asgi)
    client.get("/shrinking-file")
    assert client.read_head().field("content-length") == "65536"
    assert client.rest() == content(1000)


def test_disconnect_ends_sending(asgi, connect):
    client = connect(asgi)
    client.get("/file-left?name=file-left")
    assert client.read_head().status == 200
    client.close()
    assert wait(connect, asgi, "file-left") is None  # no error reached the application


def test_disconnect_during_file_is_not_logged_as_error(start, connect, variant):
    flags = ("--sendfile", "--send-after-disconnect", "raise")
    server = start("asgi:app", *flags, "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/file-left?name=file-left")
    assert client.read_head().status == 200
    client.close()
    assert wait(connect, server, "file-left") == ["ClientDisconnected", True]
    server.signal()
    server.wait()
    assert "ERROR" not in server.log.text()
    assert "never retrieved" not in server.log.text()


def test_cancelled_sending_truncates_response(start, connect, variant):
    server = start("asgi:app", "--sendfile", "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/file-cancelled?name=cancelled")
    assert client.read_head().status == 200
    get(connect, server, "/set?name=cancelled")
    assert wait(connect, server, "cancelled-done") is True
    assert len(client.rest()) < 64 << 20
    server.log.wait_for("ASGI callable returned without completing response.")
    server.signal()
    server.wait()
    assert "Traceback" not in server.log.text()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_client_that_stops_reading_is_disconnected(start, connect, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    flags = ("--sendfile", "--send-after-disconnect", "raise")
    server = start("asgi:app", *flags, "--loop", loop, "--timeout-write", "1")
    client = connect(server)
    client.get("/file-left?name=stopped")
    assert client.read_head().status == 200
    assert wait(connect, server, "stopped") == ["ClientDisconnected", True]


def test_server_does_not_keep_files_open(asgi, connect):
    def descriptors():
        return len(os.listdir(f"/proc/{asgi.pid}/fd"))

    if not os.path.exists(f"/proc/{asgi.pid}/fd"):
        pytest.skip("needs /proc")
    client = connect(asgi)
    client.get("/file?size=1000")
    client.read()
    before = descriptors()
    for _ in range(20):
        client.get("/file?size=300000")
        client.read()
    assert descriptors() <= before + 1
