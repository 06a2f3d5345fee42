"""`http.response.pathsend` and `http.response.zerocopysend` on every form and loop."""

import hashlib
import json
import os

import pytest

PIECE = bytes(range(256)) * 256


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
def test_a_file_arrives_whole(bare, connect, size, length):
    client = connect(bare)
    for _ in range(2):
        client.get(f"/file?size={size}&{length}")
        answer = client.read()
        assert answer.field("content-length") == (str(size) if length == "length=1" else None)
        assert len(answer.body) == size
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(content(size)).digest()


def test_a_file_ends_with_the_connection_for_http10(bare, connect):
    assert get(connect, bare, "/file?size=300000", version="1.0").body == content(300000)


def test_a_file_is_not_sent_for_head(bare, connect):
    client = connect(bare)
    client.get("/file?size=300000&length=1", method="HEAD")
    assert client.read(without_body=True).field("content-length") == "300000"
    client.get("/")
    assert client.read().body == b"hello"


def test_requests_behind_a_file_are_answered(bare, connect):
    client = connect(bare)
    for _ in range(3):
        client.get("/file?size=1000000")
        client.get("/")
    for _ in range(3):
        assert client.read().body == content(1_000_000)
        assert client.read().body == b"hello"


def test_parts_of_a_file_go_with_other_parts(bare, connect):
    assert get(connect, bare, "/parts-of-file").body == b"567|56789|0123456789"


@pytest.mark.parametrize("path", ["/no/such/file", "relative", "/"])
def test_a_file_that_cannot_be_had_is_a_500(bare, connect, path):
    answer = get(connect, bare, f"/no-file?path={path}")
    assert answer.status == 500
    assert answer.body == b"Internal Server Error"


def test_a_file_that_becomes_shorter_breaks_the_answer_off(bare, connect):
    client = connect(bare)
    client.get("/shrinking-file")
    assert client.read_head().field("content-length") == "65536"
    assert client.rest() == content(1000)


def test_a_client_that_leaves_in_the_middle_ends_the_sending(bare, connect):
    client = connect(bare)
    client.get("/file-left?name=file-left")
    assert client.read_head().status == 200
    client.close()
    assert wait(connect, bare, "file-left") is None  # no error reached the application


def test_a_client_that_leaves_a_file_is_not_logged_as_an_error(start, connect, variant):
    server = start("bare:app", "--loop", variant[1], "--send-after-disconnect", "raise", form=variant[0])
    client = connect(server)
    client.get("/file-left?name=file-left")
    assert client.read_head().status == 200
    client.close()
    assert wait(connect, server, "file-left") == ["ClientDisconnected", True]
    server.signal()
    server.wait()
    assert "ERROR" not in server.log.text()
    assert "never retrieved" not in server.log.text()


def test_a_file_whose_sending_is_cancelled_breaks_the_answer_off(start, connect, variant):
    server = start("bare:app", "--loop", variant[1], form=variant[0])
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
def test_a_reader_that_stops_is_cut_off(start, connect, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    server = start("bare:app", "--loop", loop, "--timeout-write", "1", "--send-after-disconnect", "raise")
    client = connect(server)
    client.get("/file-left?name=stopped")
    assert client.read_head().status == 200
    assert wait(connect, server, "stopped") == ["ClientDisconnected", True]


def test_the_server_does_not_keep_files_open(bare, connect):
    def descriptors():
        return len(os.listdir(f"/proc/{bare.pid}/fd"))

    if not os.path.exists(f"/proc/{bare.pid}/fd"):
        pytest.skip("needs /proc")
    client = connect(bare)
    client.get("/file?size=1000")
    client.read()
    before = descriptors()
    for _ in range(20):
        client.get("/file?size=300000")
        client.read()
    assert descriptors() <= before + 1
