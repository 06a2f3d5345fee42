"""The short form of `python -m tools.restarts`: no stop and no change loses a request."""

import asyncio
import itertools
import sys
from collections import Counter

import pytest

from tests.support.server import PATIENCE
from tools.restarts import http1
from tools.restarts.__main__ import everything
from tools.restarts.changes import CHANGES
from tools.restarts.clients import Peer, Tally
from tools.restarts.faults import FAULTS
from tools.restarts.report import Table
from tools.restarts.trial import PLACES, PROCESSES, WAYS, Setup, lacks
from tools.restarts.trial import run as load

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the last connections are the system's to reset")

SETUPS = [each for each in itertools.starmap(Setup, itertools.product(PROCESSES, PLACES, WAYS)) if each.is_possible()]


@pytest.mark.parametrize("setup", SETUPS, ids="-".join)
def test_no_request_is_lost(setup):
    if reason := lacks(setup):
        pytest.skip(reason)
    tally = asyncio.run(load(setup, 500, 3, []))
    assert not tally.lost
    assert tally.answered.total() >= 500


CHANGED = [
    each
    for each in itertools.starmap(Setup, itertools.product(PROCESSES, ["port"], ["direct"], CHANGES))
    if each.is_possible()
]


@pytest.mark.parametrize("setup", CHANGED, ids="-".join)
def test_no_request_is_lost_in_a_change(setup):
    tally = asyncio.run(load(setup, 500, 3, []))
    assert tally.lost.total() <= setup.may_lose(3)
    assert tally.answered.total() >= 500
    assert len(tally.seconds) == 3
    assert not tally.refused


def test_no_request_is_lost_in_a_restart_of_forked_workers():
    tally = asyncio.run(load(Setup("workers", "port", "direct", "restart"), 500, 2, ["--preload"]))
    assert not tally.lost


@pytest.mark.parametrize("client", ["http2", "websocket"])
@pytest.mark.parametrize(
    "setup",
    [
        Setup("workers", "port", "direct", "restart"),
        Setup("one", "port", "direct", "upgrade"),
        Setup("one", "port", "direct", "reload"),
        Setup("workers", "port", "direct", "kill"),
    ],
    ids=lambda setup: setup.change,
)
def test_nothing_of_other_protocols_is_lost(setup, client):
    setup = setup._replace(client=client)
    if reason := lacks(setup):
        pytest.skip(reason)
    tally = asyncio.run(load(setup, 300, 1, []))
    assert tally.lost.total() <= setup.may_lose(1)
    assert tally.answered.total() >= 300
    assert not tally.refused


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_does_not_reach_other_requests(fault):
    setup = Setup(FAULTS[fault].processes[0], "port", "direct", fault)
    if reason := lacks(setup):
        pytest.skip(reason)
    tally = asyncio.run(load(setup, 500, 1, []))
    assert tally.lost.total() <= setup.may_lose(1)
    assert tally.answered.total() >= 500


def test_table_of_everything_is_written(tmp_path):
    with (tmp_path / "results.md").open("w+") as file:
        table = Table(file)
        for setup in everything():
            table.add(setup, 20, Tally(Counter(echo=99_999), 100, 1_000, Counter(reason=10), [0.5, 100.0]))
        file.seek(0)
        lines = file.read().splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[-1].endswith("| 20 | 100,009 | 10 | 1,000 | 100 | 50.2 | 100.0 |")
    assert len([line for line in lines if line.startswith("| ")]) == len(list(everything())) + 2


async def outcome(serve, load):
    """The tally of the clients of `load` at a server that calls `serve` and sets an event when it has seen enough."""
    enough, tally = asyncio.Event(), Tally()
    async with await asyncio.start_server(lambda *streams: serve(*streams, enough), "127.0.0.1", 0) as server:
        peer = Peer(server.sockets[0].getsockname()[1])
        await asyncio.wait_for(load(peer, tally, enough), PATIENCE)
    return tally


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "end of the stream"),
        (b"HTTP/1.1 200 OK\r\n\r\n0", "end of the stream within an answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n9-9", "another answer"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "status 502"),
    ],
)
def test_incomplete_answer_counts_as_lost(answer, reason):
    async def serve(reader, writer, enough):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        enough.set()

    def load(peer, tally, enough):
        return http1.run(http1.kept, 0, http1.Connection(peer, tally), tally, enough)

    tally = asyncio.run(outcome(serve, load))
    assert list(tally.lost) == [f"kept: {reason}"]
    assert not tally.answered


@pytest.mark.parametrize(("closes_idle", "resent", "lost"), [(True, 1, 0), (False, 0, 1)])
def test_request_that_crosses_the_end_of_an_idle_connection(closes_idle, resent, lost):
    connections = []

    async def serve(reader, writer, enough):
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + await reader.readexactly(3))
        if len(connections) == 2:
            enough.set()
        else:
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    def load(peer, tally, enough):
        connection = http1.Connection(peer._replace(closes_idle=closes_idle), tally)
        return http1.run(http1.parts, 0, connection, tally, enough)

    tally = asyncio.run(outcome(serve, load))
    assert (tally.resent, tally.lost.total(), tally.answered.total()) == (resent, lost, 2)


@pytest.mark.parametrize(("last", "resent", "lost"), [(0, 1, 0), (1, 0, 1)])
def test_only_streams_above_the_last_of_a_goaway_are_sent_again(last, resent, lost):
    pytest.importorskip("h2", reason="h2 is not installed")
    from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame

    from tools.restarts import http2

    connections = []

    async def serve(reader, writer, enough):
        connections.append(writer)
        await reader.readexactly(24)  # the preface
        frame = None
        while not isinstance(frame, DataFrame):
            frame, size = Frame.parse_frame_header(memoryview(await reader.readexactly(9)))
            frame.parse_body(memoryview(await reader.readexactly(size)))
        if len(connections) == 1:
            writer.write(GoAwayFrame(0, last_stream_id=last).serialize())
        else:
            enough.set()
            writer.write(HeadersFrame(1, b"\x88", flags=["END_HEADERS"]).serialize())  # :status 200
            writer.write(DataFrame(1, frame.data, flags=["END_STREAM"]).serialize())
        writer.close()

    def load(peer, tally, enough):
        return http2.run(http2.parts, 0, http2.Pool(peer, tally, enough), tally, enough)

    tally = asyncio.run(outcome(serve, load))
    assert (tally.resent, tally.lost.total(), tally.answered.total()) == (resent, lost, 1)


@pytest.mark.parametrize(("code", "is_lost"), [(1012, False), (1011, True)])
def test_only_messages_that_cross_a_restart_are_sent_again(code, is_lost):
    serve = pytest.importorskip("websockets.asyncio.server").serve
    from tools.restarts import websocket

    connections = []

    async def main():
        async def echo(socket):
            connections.append(socket)
            text = await socket.recv()
            if len(connections) == 1:
                await socket.close(code)
            else:
                enough.set()
                await socket.send(text)
                async for text in socket:
                    await socket.send(text)

        enough, tally = asyncio.Event(), Tally()
        async with serve(echo, "127.0.0.1", 0) as server:
            peer = Peer(server.sockets[0].getsockname()[1])
            await asyncio.wait_for(websocket.run(0, peer, tally, enough), PATIENCE)
        return tally

    tally = asyncio.run(main())
    assert (tally.resent == 0) is is_lost
    assert (tally.lost == {}) is not is_lost
    assert all(reason == "echo: closed with 1011" for reason in tally.lost)
    assert tally.answered.total() > 0
