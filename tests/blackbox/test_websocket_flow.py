"""WebSocket message sizes, queues and backpressure: slow readers cost little memory and lose no message."""

import hashlib
import json
import re
import socket
import struct
import zlib
from pathlib import Path

import pytest

from tests.support.raw_websocket import (
    BINARY,
    CLOSE,
    EACH_ONCE,
    PING,
    PONG,
    TEXT,
    Noted,
    Socket,
    ask,
    close_payload,
    frame,
)

MIB = 1 << 20
RESET = struct.pack("ii", 1, 0)
DEFLATE = "sec-websocket-extensions: permessage-deflate"


@pytest.fixture
def server(shared_servers, variant):
    form, loop = variant
    return shared_servers("websocket_app:app", form, loop)


@pytest.fixture
def own(start, variant):
    """A server for this test only, without pings."""
    server = start("websocket_app:app", "--loop", variant[1], "--ws-ping-interval", "0", form=variant[0])
    if not server.has_memory():
        pytest.skip("needs /proc")
    return server


def settle(connect, server):
    """Echo a large message, so that the memory it needs is counted before."""
    client = Socket(connect(server))
    client.send(BINARY, bytes(2 * MIB))
    assert len(client.read().payload) == 2 * MIB
    client.finish()
    return server.memory()


def push(client, data, most):
    """Send `data` repeatedly until the peer takes no more, at most `most` times. Return the number of complete sends
    and the unsent rest.
    """
    client.socket.settimeout(0.5)
    left = memoryview(data)
    sent = 0
    try:
        while sent < most:
            left = left[client.socket.send(left) :]
            if not left:
                sent, left = sent + 1, memoryview(data)
    except TimeoutError:
        pass
    client.socket.settimeout(10)
    return sent, left if len(left) < len(data) else b""


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1 << 20])
def test_message_of_every_length_encoding_is_echoed(server, connect, size):
    client = Socket(connect(server))
    client.send(BINARY, b"x" * size)
    assert client.read() == (BINARY, b"x" * size, True, 0)
    client.send(TEXT, b"y" * size)
    assert client.read() == (TEXT, b"y" * size, True, 0)


def test_message_over_default_limit_is_refused(server, connect):
    client = Socket(connect(server))
    largest = bytes(16 * MIB)
    client.send(BINARY, largest)
    assert client.read() == (BINARY, largest, True, 0)
    client.send_text("short")
    assert client.read_text() == "short"
    # The header alone shows the size.
    client.client.send(frame(BINARY, largest + b"x")[:14])
    assert client.read_close()[0] == 1009
    assert client.rest() == b""


@pytest.mark.parametrize("parts", [1, 2, 1001])
def test_message_over_ws_max_size_is_refused(shared_servers, connect, form, parts):
    server = shared_servers("websocket_app:app", form, "asyncio", "--ws-max-size", "1000")
    noted = Noted(connect, server)
    client = Socket(connect(server), f"/listen?name={noted.name}")
    client.send(BINARY, bytes(1000))
    step = -(-1001 // parts)
    for part in range(parts):
        client.send(BINARY if part == 0 else 0, bytes(min(step, 1001 - part * step)), fin=part == parts - 1)
    assert client.read_close()[0] == 1009
    received, *told = noted.at_end()
    assert received == {"type": "'websocket.receive'", "bytes": repr(bytes(1000))}
    assert (told[0]["type"], told[0]["code"]) == ("websocket.disconnect", 1009)


@EACH_ONCE
def test_message_beyond_ws_max_size_is_not_decompressed(own, connect):
    client = Socket(connect(own), "/echo", DEFLATE)
    compressor = zlib.compressobj(1, wbits=-12)
    bomb = b"".join(compressor.compress(bytes(MIB)) for _ in range(128)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    before = own.memory()
    client.send(BINARY, bomb[:-4], rsv=4)
    assert client.read_close()[0] == 1009
    assert peak(own) - before < 64 * MIB


def peak(server):
    """The peak resident size of a server in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


@EACH_ONCE
@pytest.mark.parametrize(("size", "count"), [(10, 8_000_000), (MIB, 64)])
def test_application_that_never_receives_costs_little(own, connect, size, count):
    before = settle(connect, own)
    noted = Noted(connect, own)
    client = Socket(connect(own), f"/hold?name={noted.name}")
    noted.wait("-runs")
    message = frame(BINARY, bytes(size))
    batch = max(1, 65536 // len(message))
    sent, _ = push(client.client, message * batch, count // batch)
    assert sent * batch < count // 2
    assert own.memory() - before < 6 * MIB


@EACH_ONCE
def test_delayed_messages_arrive_whole_and_in_order(own, connect):
    noted = Noted(connect, own)
    client = Socket(connect(own), f"/hold?name={noted.name}")
    noted.wait("-runs")
    expected = hashlib.sha256()
    message = frame(BINARY, bytes(range(250)) * 40)
    sent, left = push(client.client, message, 10_000)
    noted.set()
    client.client.send(left)
    total = sent + bool(left)
    for _ in range(total):
        expected.update(bytes(range(250)) * 40)
    client.send_text("end")
    assert client.read_text() == f"{total} {expected.hexdigest()}"
    client.finish()


@pytest.mark.parametrize("queue", ["1", "3"])
def test_ws_max_queue_loses_no_message(start, connect, form, queue):
    server = start("websocket_app:app", "--ws-max-queue", queue, form=form)
    noted = Noted(connect, server)
    client = Socket(connect(server), f"/hold?name={noted.name}")
    for number in range(100):
        client.send(BINARY, b"%d" % number)
    client.send_text("end")
    noted.set()
    digest = hashlib.sha256(b"".join(b"%d" % number for number in range(100)))
    assert client.read_text() == f"100 {digest.hexdigest()}"
    client.finish()


def test_close_is_delivered_after_pending_messages(server, connect):
    noted = Noted(connect, server)
    client = Socket(connect(server), f"/hold?name={noted.name}")
    noted.wait("-runs")
    client.client.send(frame(BINARY, b"message") * 1000 + frame(CLOSE, close_payload(1000)))
    noted.set()
    assert client.read_close() == (1000, "")
    assert client.rest() == b""


@EACH_ONCE
def test_tiny_fragments_cost_little_more_than_message(own, connect):
    before = settle(connect, own)
    client = Socket(connect(own))
    client.send(BINARY, fin=False)
    fragments = (frame(0, b"ab", fin=False) + frame(0, fin=False)) * 4096
    for _ in range(64):
        client.client.send(fragments)
    client.send(PING)
    assert client.read().opcode == PONG
    assert own.memory() - before < 8 * MIB
    client.send(0)
    assert client.read() == (BINARY, b"ab" * 4096 * 64, True, 0)


@EACH_ONCE
def test_pings_of_client_that_never_reads_cost_little(own, connect):
    before = settle(connect, own)
    client = Socket(connect(own))
    push(client.client, frame(PING, bytes(125)) * 500, 500)
    Socket(connect(own)).finish()
    assert own.memory() - before < 6 * MIB


def blocked_by_flood(connect, server):
    """Open a socket that does not read, and wait until `send()` blocks; return it, its notes and the count sent."""
    noted = Noted(connect, server)
    client = connect(server)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    stuck = Socket(client, f"/flood?name={noted.name}")
    sent, now = -1, 0
    while sent < now or not now:
        # During a round trip of another socket, the loop runs, so the application could have sent.
        other = Socket(connect(server))
        for _ in range(20):
            other.send_text("turn")
            other.read()
        other.finish()
        sent, now = now, noted.so_far("-sent")[0]
    return stuck, noted, now


@EACH_ONCE
def test_client_that_never_reads_costs_little(own, connect):
    before = settle(connect, own)
    _, _, sent = blocked_by_flood(connect, own)
    assert sent * 65536 < 32 * MIB
    assert own.memory() - before < 6 * MIB


@pytest.mark.parametrize("how", ["reset", "end", "half"])
def test_waiting_send_is_released_at_disconnect(server, connect, how):
    stuck, noted, _ = blocked_by_flood(connect, server)
    match how:
        case "reset":
            stuck.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            stuck.client.close()
        case "end":
            stuck.client.close()
        case "half":
            stuck.client.end()
    error, disconnect = noted.at_end()
    assert error == "ClientDisconnected"
    assert (disconnect["type"], disconnect["code"]) == ("websocket.disconnect", 1006)


def test_waiting_send_is_released_at_ping_timeout(start, connect):
    server = start("websocket_app:app", "--ws-ping-interval", "1", "--ws-ping-timeout", "1")
    _, noted, _ = blocked_by_flood(connect, server)
    error, disconnect = noted.at_end()
    assert error == "ClientDisconnected"
    assert (disconnect["type"], disconnect["code"]) == ("websocket.disconnect", 1011)


@EACH_ONCE
def test_waiting_send_is_released_at_drain(start, connect, variant):
    server = start("websocket_app:app", "--loop", variant[1], form=variant[0])
    blocked_by_flood(connect, server)
    server.signal()
    server.log.wait_for("flood was told")


def test_client_that_closes_during_waiting_send_gets_messages_and_close(server, connect):
    stuck, noted, sent = blocked_by_flood(connect, server)
    stuck.send(CLOSE, close_payload(1000, "enough"))
    count = 0
    while (found := stuck.read()).opcode == BINARY:
        assert len(found.payload) == 65536
        count += 1
    assert count >= sent
    assert (found.opcode, found.payload[:2]) == (CLOSE, close_payload(1000))
    assert stuck.rest() == b""
    error, disconnect = noted.at_end()
    assert error == "ClientDisconnected"
    assert disconnect == {"type": "websocket.disconnect", "code": 1000, "reason": "enough"}


def test_client_that_reads_late_gets_everything(server, connect):
    stuck, _, sent = blocked_by_flood(connect, server)
    for _ in range(sent + 50):
        found = stuck.read()
        assert (found.opcode, len(found.payload), found.fin) == (BINARY, 65536, True)


@pytest.mark.parametrize("size", [10, 100_000])
def test_messages_of_several_tasks_never_interleave(server, connect, size):
    client = Socket(connect(server), f"/choir?voices=10&each=20&size={size}")
    heard = {}
    while (found := client.read()).opcode == TEXT:
        text = found.payload.decode()
        assert text[6:] == text[6] * size
        heard.setdefault(text[6], []).append(int(text[:6]))
    assert heard == {letter: list(range(20)) for letter in "ABCDEFGHIJ"}
    assert found.opcode == CLOSE


def test_separate_tasks_may_receive_and_send(server, connect):
    noted = Noted(connect, server)
    client = Socket(connect(server), f"/two-ears?name={noted.name}")
    for number in range(100):
        client.send_text(f"to {number}")
        assert client.read_text() == str(number)
    client.finish()
    assert noted.at_end() == [[f"to {number}" for number in range(100)]]


def test_cancelled_receive_loses_no_message(server, connect):
    client = Socket(connect(server), "/fickle")
    assert client.read_text() == "cancelled"
    for number in range(200):
        client.send_text(str(number))
    client.send_text("end")
    assert json.loads(client.read_text()) == [*map(str, range(200)), "end"]


def test_many_small_messages_may_come_in_one_packet(server, connect):
    client = Socket(connect(server))
    client.client.send(b"".join(frame(TEXT, b"%d" % number) for number in range(5000)))
    assert [client.read_text() for _ in range(5000)] == [str(number) for number in range(5000)]


def test_busy_socket_does_not_starve_others(server, connect):
    busy = connect(server)
    noted = Noted(connect, server)
    flood = Socket(busy, f"/flood?name={noted.name}")
    other = Socket(connect(server))
    for _ in range(100):
        flood.read()
        other.send_text("still here")
        assert other.read_text() == "still here"
    flood.client.close()
    other.finish()
    noted.at_end()


@EACH_ONCE
def test_closed_socket_leaves_no_task(own, connect):
    tasks = ask(connect, own, "/counts")["tasks"]
    sockets = [Socket(connect(own)) for _ in range(20)]
    assert ask(connect, own, "/counts")["tasks"] == tasks + 20
    for client in sockets:
        client.finish()
    assert ask(connect, own, "/counts")["tasks"] == tasks
