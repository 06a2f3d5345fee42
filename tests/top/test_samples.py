"""Reading a metrics listener, or something else at its place."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from pronghorn.listen.places import Place, parse
from pronghorn.top import samples
from pronghorn.top.samples import NoAnswer, Worker

HEALTH = {"status": "draining", "version": "1.2", "workers": [{"pid": 7, "state": "stopping", "age": 1.5}]}
METRICS = b"""\
# TYPE requests_total counter
requests_total{method="GET",status="2xx"} 3.0
# TYPE time histogram
time_bucket{le="1.0"} 2.0
time_bucket{le="+Inf"} 4.0
time_count 4.0
time_sum 9.5
# TYPE open gauge
open 5.0
"""


def test_counters_gauges_and_health_are_read() -> None:
    read = samples.read(1, json.dumps(HEALTH).encode(), METRICS)
    assert (read.at, read.phase, read.version, read.workers) == (1, "draining", "1.2", [Worker(7, "stopping", 1.5)])
    assert read.gauges == {("open",): 5}
    assert read.counters == {
        ("requests_total", "GET", "2xx"): 3,
        ("time_bucket", "1.0"): 2,
        ("time_bucket", "+Inf"): 4,
        ("time_count",): 4,
        ("time_sum",): 9.5,
    }


@pytest.fixture
def answering() -> Iterator[Any]:
    """A function that serves bodies by path, and returns the place."""
    servers = []

    def serve(bodies: dict[str, bytes]) -> Place:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bodies.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *arguments: Any) -> None: ...

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return Place("127.0.0.1", server.server_port)

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_both_pages_make_a_sample(answering: Any) -> None:
    taken = samples.take(answering({"/health": json.dumps(HEALTH).encode(), "/metrics": METRICS}))
    assert taken.gauges == {("open",): 5}
    assert taken.workers[0].pid == 7


@pytest.mark.parametrize(
    "bodies",
    [
        {},
        {"/health": json.dumps(HEALTH).encode()},
        {"/health": b"ok", "/metrics": METRICS},
        {"/health": b"[]", "/metrics": METRICS},
        {"/health": b'{"status": "ok"}', "/metrics": METRICS},
        {"/health": json.dumps(HEALTH).encode(), "/metrics": b"<html>\xff"},
    ],
)
def test_another_server_is_none(answering: Any, bodies: dict[str, bytes]) -> None:
    with pytest.raises(NoAnswer, match="this is not a metrics listener of pronghorn"):
        samples.take(answering(bodies))


def test_closed_port_has_a_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(NoAnswer, match="refused"):
        samples.take(Place("127.0.0.1", port))


def test_server_that_closes_has_a_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=lambda: sock.accept()[0].close())
        thread.start()
        with pytest.raises(NoAnswer, match=r"."):
            samples.take(Place("127.0.0.1", sock.getsockname()[1]))
        thread.join()


def test_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(NoAnswer, match="timed out"):
        samples.take(Place("127.0.0.1", sock.getsockname()[1]))


@pytest.mark.parametrize("host", ["a" * 100, "a..b"])
def test_host_that_cannot_be_is_no_answer(host: str) -> None:
    with pytest.raises(NoAnswer):
        samples.take(Place(host, 80))


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
def test_listener_on_every_interface_is_reached(answering: Any, host: str) -> None:
    place = answering({"/health": json.dumps(HEALTH).encode(), "/metrics": METRICS})
    assert samples.take(parse(f"{host}:{place.port}")).phase == "draining"
