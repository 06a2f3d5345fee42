"""The load if wrk is not installed: one process with an event loop, uvloop's if it is installed.

`python -m pronghorn.bench.client PORT SECONDS CONNECTIONS FILE...`: each file holds a request. Every connection sends
them in turn, each after the response to the previous one.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import cast

import httptools

from pronghorn import loops
from pronghorn.bench.outcome import percentile


class Tally:
    """The counts of all connections so far."""

    def __init__(self) -> None:
        self.latencies = array("d")
        self.bytes = 0
        self.errors: Counter[str] = Counter()
        self.open: set[asyncio.Transport] = set()
        self.over = False

    def end(self) -> None:
        """Close all connections and stop counting."""
        self.over = True
        for transport in self.open:
            transport.abort()

    def line(self, seconds: float) -> str:
        """The line that load.py reads."""
        ordered = sorted(self.latencies)
        p50, p99 = (round(percentile(ordered, percent) * 1e6) for percent in (50, 99))
        numbers = {
            "requests": len(ordered),
            "microseconds": round(seconds * 1e6),
            "bytes": self.bytes,
            "p50": p50,
            "p99": p99,
            **self.errors,
        }
        return "bench " + " ".join(f"{name}={number}" for name, number in numbers.items())


class Connection(asyncio.Protocol):
    """Sends a request once connected and after every response; when it is closed, another one replaces it."""

    def __init__(self, port: int, requests: Sequence[bytes], tally: Tally) -> None:
        self._port = port
        self._requests = requests
        self._tally = tally
        self._next = itertools.cycle(requests).__next__

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._tally.over:
            self._transport.abort()
            return
        self._tally.open.add(self._transport)
        self._parser = httptools.HttpResponseParser(self)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._tally.bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            return
        self._count()
        if self._parser.should_keep_alive():
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._tally.over:
            return
        self._tally.open.remove(self._transport)
        if self._waiting and error is None and self._has_head and not self._parser.should_keep_alive():
            self._count()  # the body ends with the connection
        elif self._waiting:
            self._tally.errors["read"] += 1
        self._again = asyncio.ensure_future(connect(self._port, self._requests, self._tally))

    def _ask(self) -> None:
        self._waiting, self._has_head = True, False
        self._asked = perf_counter()
        self._transport.write(self._next())

    def _count(self) -> None:
        self._waiting = False
        self._tally.latencies.append(perf_counter() - self._asked)
        if self._parser.get_status_code() >= 400:
            self._tally.errors["status"] += 1


async def connect(port: int, requests: Sequence[bytes], tally: Tally) -> None:
    """Open a connection, which then sends requests."""
    try:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Connection(port, requests, tally), "127.0.0.1", port)
    except OSError:
        tally.errors["connect"] += 1


async def load(port: int, seconds: float, connections: int, requests: Sequence[bytes]) -> str:
    """Load the server at `port`; return the line to print."""
    tally, start = Tally(), perf_counter()
    await asyncio.gather(*(connect(port, requests, tally) for _ in range(connections)))
    await asyncio.sleep(start + seconds - perf_counter())
    line = tally.line(perf_counter() - start)
    tally.end()
    return line


def main() -> None:
    """Run the load and print one line."""
    port, seconds, connections = map(int, sys.argv[1:4])
    requests = [Path(name).read_bytes() for name in sys.argv[4:]]
    with asyncio.Runner(loop_factory=loops.factory("auto")) as runner:
        print(runner.run(load(port, seconds, connections, requests)))


if __name__ == "__main__":
    main()
