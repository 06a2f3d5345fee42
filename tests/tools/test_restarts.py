"""The short form of `python -m tools.restarts`: no stop and no change loses a request."""

import asyncio
import itertools
import sys

import pytest

from tools.restarts.changes import CHANGES
from tools.restarts.clients import CLIENTS, Connection, Tally, run
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
    assert not tally.refused


def test_no_request_is_lost_in_a_restart_of_forked_workers():
    tally = asyncio.run(load(Setup("workers", "port", "direct", "restart"), 500, 2, ["--preload"]))
    assert not tally.lost


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
    async def main():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()
            enough.set()

        enough, tally = asyncio.Event(), Tally()
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            connection = Connection(server.sockets[0].getsockname()[1], None, tally)
            await run(CLIENTS[0][0], 0, connection, tally, enough)
        return tally

    tally = asyncio.run(main())
    assert list(tally.lost) == [f"kept: {reason}"]
    assert not tally.answered
