"""Many requests and connections leak nothing. PRONGHORN_LONG=1 sends as many to the interpreted form."""

import json
import os

import pytest

LONG = os.environ.get("PRONGHORN_LONG") == "1"
REQUESTS = {"compiled": 100_000, "interpreted": 100_000 if LONG else 20_000}
CONNECTIONS = 600

GET = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
BATCH = (GET + POST + CHUNKED) * 8


def counts(connect, server):
    client = connect(server)
    client.get("/counts")
    told = json.loads(client.read().body)
    client.close()
    return told


def drive(connect, server, requests):
    """Send `requests` requests over one connection in batches. Each response has five bytes."""
    client = connect(server)
    size = None
    for _ in range(requests // 24):
        client.send(BATCH)
        if size is None:
            for _ in range(24):
                assert client.read().body == b"hello"
            client.get("/")
            size = 24 * len(client.read().head + b"hello")
        else:
            client.skip(size)
    client.close()


def test_requests_leak_nothing(start, connect, form):
    requests = REQUESTS[form]
    server = start("asgi:app", "--no-access-log", form=form)
    if not server.has_memory():
        pytest.skip("needs /proc")
    drive(connect, server, requests // 4)
    before, memory = counts(connect, server), server.memory()
    drive(connect, server, requests)
    after = counts(connect, server)
    assert after["objects"] - before["objects"] < 50
    assert after["blocks"] - before["blocks"] < 200
    assert after["tasks"] == before["tasks"]
    assert server.memory() - memory < 1 << 20


@pytest.mark.parametrize("how", ["leaves", "refused", "fails", "half"])
def test_connections_leak_nothing(start, connect, form, how):
    server = start("asgi:app", "--no-access-log", form=form)

    def once():
        client = connect(server)
        match how:
            case "leaves":
                client.get("/listen?name=leak")
                client.read_head()
            case "refused":
                client.send(b"BAD\r\n\r\n")
                assert client.read().status == 400
            case "fails":
                client.get("/fail?when=after")
                client.rest()
            case "half":
                client.send(b"POST /digest HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nhalf")
        client.close()

    def many(count):
        for _ in range(count):
            once()

    many(20)
    before = settled(connect, server)
    many(CONNECTIONS)
    after = settled(connect, server)
    assert after["tasks"] == before["tasks"]
    # The application's notes grow. asyncio keeps a hundred cancelled timers: up to 200 objects, whatever the number.
    assert after["objects"] - before["objects"] < CONNECTIONS * (3 if how == "leaves" else 0.5)


def settled(connect, server):
    """Return the counts after the tasks of earlier connections have ended."""
    told = counts(connect, server)
    for _ in range(100):
        last, told = told, counts(connect, server)
        if told["tasks"] == last["tasks"]:
            break
    return told
