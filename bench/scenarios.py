"""The scenarios: measurements under load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pronghorn.bench.load import Wrk
from pronghorn.bench.scenario import BEST, Scenario

from . import h2load
from .browser import HTTP2_FIELDS
from .clients import WebSockets
from .exchange import Echo, Exchange, HTTP2Exchange
from .h2load import H2Load
from .latency import Pace
from .servers import DEFAULT, HTTP2, SECURE
from .sweep import Sweep

LUA = Path(__file__).resolve().parent / "lua"
COMPETITORS = (
    *("uvicorn", "peregrine", "weft", "granian", "h2corn", "saltare", "m0serve"),
    *("fastpysgi", "gunicorn", "daphne", "hypercorn"),
)
WEBSOCKET_COMPETITORS = (
    *("uvicorn", "peregrine", "weft", "granian-ws", "h2corn", "saltare", "m0serve"),
    *("gunicorn", "daphne", "hypercorn"),
)
# More bodies of 1 MiB at a time, and of 4 MiB, measure the processor's caches, not the server.
UPLOADS, DOWNLOADS = 16, 4
SOCKETS, AUDIENCE = 32, 1000
# So many that the server, not the time that the application sleeps, is the limit.
SLEEPERS = 256
CONNECTIONS = (1, 8, 64, 256, 1024)

GET = Wrk(LUA / "get.lua")
PLAIN = Exchange(body=b"Hello, world!")
PLAIN_HTTP2 = HTTP2Exchange(body=b"Hello, world!")
SHORT = Echo("x" * 64)


def without(*left_out: str, names: Sequence[str] = COMPETITORS) -> Iterator[str]:
    """The servers of a scenario that some cannot do."""
    return (name for name in names if name not in left_out)


def over_http2(
    name: str,
    title: str,
    app: str,
    load: H2Load,
    exchange: HTTP2Exchange,
    target: float = 0.0,
    *,
    variant: str = "h2",
    left_out: str = "",
) -> Scenario:
    """A scenario on a variant of the servers that speak HTTP/2, with a `target` for the best peer if it is not 0."""
    return Scenario(
        name,
        f"HTTP/2, {title}",
        app,
        load,
        exchange,
        tuple(f"{each}-{variant}" for each in without(left_out, names=tuple(HTTP2))),
        {BEST: target} if target else {},
        subject=f"pronghorn-{variant}",
        read=h2load.read,
    )


def over_http1(name: str, title: str, app: str, load: H2Load, exchange: Exchange) -> Scenario:
    """The counterpart in HTTP/1.1 of a scenario of HTTP/2, by the same client."""
    read = partial(h2load.read, protocols=h2load.HTTP1)
    return Scenario(name, f"HTTP/1.1 by h2load, {title}", app, load, exchange, ("pronghorn", "uvicorn"), {}, read=read)


SCENARIOS = (
    Scenario(
        "plain",
        "Plain GET",
        "bench.apps:plain",
        GET,
        PLAIN,
        ("pronghorn", *COMPETITORS, "floor", "nginx"),
        {BEST: 1.12, "floor": 0.80},
        cpu_targets={"floor": 0.82},
    ),
    Scenario(
        "browser",
        "Plain GET with the 14 headers of a browser",
        "bench.apps:plain",
        Wrk(LUA / "browser.lua"),
        PLAIN,
        ("pronghorn", *COMPETITORS, "floor", "nginx"),
        {BEST: 1.12},
    ),
    Scenario(
        "pipelined",
        "Plain GET, pipelined 16 deep (the floor: one at a time)",
        "bench.apps:plain",
        Wrk(LUA / "pipelined.lua"),
        PLAIN,
        ("pronghorn", *COMPETITORS, "floor", "nginx"),
        {},
        other_loads={"floor": GET},
    ),
    Scenario(
        "default",
        "Plain GET, out of the box: access log on, to a file",
        "bench.apps:plain",
        GET,
        PLAIN,
        tuple(f"{name}-default" for name in DEFAULT),
        {BEST: 1.15},
        subject="pronghorn-default",
    ),
    Scenario(
        "tls",
        "Plain GET over TLS 1.3",
        "bench.apps:plain",
        Wrk(LUA / "get.lua", secure=True),
        PLAIN,
        (*(f"{name}-tls" for name in SECURE), "saltare-tls", "daphne-tls"),
        {"peregrine-tls": 1.0, "uvicorn-tls": 2.8},
        subject="pronghorn-tls",
    ),
    Scenario(
        "sleep",
        f"Application that sleeps 1 ms, {SLEEPERS} connections",
        "bench.apps:sleep",
        Wrk(LUA / "get.lua", SLEEPERS),
        PLAIN,
        ("pronghorn", *COMPETITORS),
        {BEST: 1.0},
    ),
    Scenario(
        "starlette",
        "Starlette, JSON",
        "bench.app_starlette:app",
        GET,
        Exchange("/json", body=b'{"message":"Hello, world!"}'),
        ("pronghorn", *COMPETITORS),
        {BEST: 1.06},
    ),
    Scenario(
        "fastapi",
        "FastAPI, JSON, a path and a query parameter",
        "bench.app_fastapi:app",
        GET,
        Exchange("/items/42?q=abc", body=b'{"item_id":42,"q":"abc"}'),
        ("pronghorn", *COMPETITORS),
        {BEST: 1.02},
    ),
    Scenario(
        "fastapi-def",
        "FastAPI, JSON from a def endpoint, in a thread",
        "bench.app_fastapi:app",
        GET,
        Exchange("/def/42?q=abc", body=b'{"item_id":42,"q":"abc"}'),
        ("pronghorn", *COMPETITORS),
        {BEST: 1.05},
    ),
    Scenario(
        "django",
        "Django, an asynchronous view, JSON",
        "bench.app_django:app",
        GET,
        Exchange("/json", body=b'{"message": "Hello, world!"}'),
        ("pronghorn", *COMPETITORS),
        {BEST: 1.0},
    ),
    Scenario(
        "post-1k",
        "POST 1 KiB, echoed",
        "bench.apps:echo",
        Wrk(LUA / "post_1k.lua"),
        Exchange(sent=b"x" * 1024, body=b"x" * 1024),
        ("pronghorn", *COMPETITORS),
        {BEST: 1.08},
        cpu_targets={"uvicorn": 1.0},
    ),
    Scenario(
        "post-1m",
        "POST 1 MiB, its length answered",
        "bench.apps:length",
        Wrk(LUA / "post_1m.lua", UPLOADS),
        Exchange(sent=b"x" * 1048576, body=b"1048576"),
        # saltare 1.13 resets a connection with more than 16 KiB of a message.
        ("pronghorn", *without("saltare")),
        {BEST: 1.0},
        cpu_targets={"uvicorn": 1.0},
    ),
    Scenario(
        "stream",
        "Response of 4 MiB streamed in chunks of 64 KiB",
        "bench.apps:stream",
        Wrk(LUA / "get.lua", DOWNLOADS),
        Exchange(body=b"x" * 4194304),
        # fastpysgi 0.6 does not finish a body of several messages.
        ("pronghorn", *without("fastpysgi")),
        {BEST: 1.2},
        cpu_targets={"uvicorn": 1.0},
    ),
    Scenario(
        "pure",
        "Plain GET, interpreted (PRONGHORN_PURE=1)",
        "bench.apps:plain",
        GET,
        PLAIN,
        ("pronghorn-pure", "uvicorn"),
        {"uvicorn": 1.0},
        subject="pronghorn-pure",
    ),
    Scenario(
        "ws-64",
        "WebSocket, text of 64 B echoed",
        "bench.apps:websocket_echo",
        WebSockets("echo", "text", 64, SOCKETS),
        SHORT,
        ("pronghorn", *WEBSOCKET_COMPETITORS),
        {BEST: 1.08},
        unit="message",
    ),
    Scenario(
        "ws-64k",
        "WebSocket, binary of 64 KiB echoed",
        "bench.apps:websocket_echo",
        WebSockets("echo", "binary", 65536, SOCKETS),
        Echo(bytes(range(256)) * 256),
        # m0serve 1.16 ends a connection that has 64 KiB to write.
        ("pronghorn", *without("saltare", "m0serve", names=WEBSOCKET_COMPETITORS)),
        {BEST: 1.4},
        unit="message",
    ),
    Scenario(
        "ws-broadcast",
        f"WebSocket, text of 64 B broadcast to {AUDIENCE:,} sockets (p99: until the last has it)",
        "bench.apps:websocket_broadcast",
        WebSockets("broadcast", "text", 64, AUDIENCE),
        SHORT,
        ("pronghorn", *WEBSOCKET_COMPETITORS),
        {},
        unit="message",
    ),
    over_http2("h2", "plain GET, 8 connections with 32 streams", "bench.apps:plain", H2Load(), PLAIN_HTTP2, 2.5),
    over_http2(
        "h2-m100",
        "plain GET, 8 connections with 100 streams",
        "bench.apps:plain",
        H2Load(streams=100),
        PLAIN_HTTP2,
        2.5,
        # peregrine 1.2 resets a third of so many streams, though it allows 128.
        left_out="peregrine",
    ),
    over_http2(
        "h2-c64",
        "plain GET, 64 connections with 8 streams",
        "bench.apps:plain",
        H2Load(64, streams=8),
        PLAIN_HTTP2,
        2.5,
    ),
    over_http2(
        "h2-browser",
        "plain GET with the 14 headers of a browser",
        "bench.apps:plain",
        H2Load(fields=HTTP2_FIELDS),
        PLAIN_HTTP2,
        2.5,
    ),
    over_http2(
        "h2-tls", "plain GET over TLS 1.3", "bench.apps:plain", H2Load(secure=True), PLAIN_HTTP2, 2.0, variant="h2-tls"
    ),
    over_http2(
        "h2-fastapi",
        "FastAPI, JSON, a path and a query parameter",
        "bench.app_fastapi:app",
        H2Load(),
        HTTP2Exchange("/items/42?q=abc", body=b'{"item_id":42,"q":"abc"}'),
    ),
    over_http2(
        "h2-post-1m",
        "POST 1 MiB, its length answered",
        "bench.apps:length",
        H2Load(4, streams=UPLOADS // 4, upload=1048576),
        HTTP2Exchange(sent=b"x" * 1048576, body=b"1048576"),
        # peregrine 1.2 keeps a core busy for ever once a client has left in the middle of such a request.
        left_out="peregrine",
    ),
    over_http2(
        "h2-stream",
        "response of 4 MiB streamed in chunks of 64 KiB",
        "bench.apps:stream",
        H2Load(2, streams=DOWNLOADS // 2),
        HTTP2Exchange(body=b"x" * 4194304),
        # weft 0.1 answers nothing more once a client has left in the middle of such a response.
        left_out="weft",
    ),
    over_http1(
        "h1-post-1m",
        "POST 1 MiB, its length answered",
        "bench.apps:length",
        H2Load(UPLOADS, streams=1, upload=1048576, http1=True),
        Exchange(sent=b"x" * 1048576, body=b"1048576"),
    ),
    over_http1(
        "h1-stream",
        "response of 4 MiB streamed in chunks of 64 KiB",
        "bench.apps:stream",
        H2Load(DOWNLOADS, streams=1, http1=True),
        Exchange(body=b"x" * 4194304),
    ),
    Scenario(
        "h2-ws-64",
        "HTTP/2, WebSocket, text of 64 B echoed",
        "bench.apps:websocket_echo",
        WebSockets("echo", "text", 64, SOCKETS, "http2"),
        SHORT,
        ("pronghorn-h2",),
        {},
        subject="pronghorn-h2",
        unit="message",
    ),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}

SWEEPS = (
    Sweep(
        "connections",
        "Plain GET by connections, requests/s",
        "connection",
        {
            count: replace(
                BY_NAME["plain"],
                servers=("pronghorn", *COMPETITORS),
                load=Wrk(LUA / "get.lua", count),
                targets={BEST: 1.12} if count == max(CONNECTIONS) else {},
                cpu_targets={},
            )
            for count in CONNECTIONS
        },
        quick_points=(1, 1024),
    ),
    Sweep(
        "workers",
        "FastAPI by workers that share both cores with the load, requests/s",
        "worker",
        {
            1: replace(BY_NAME["fastapi"], targets={}),
            2: replace(
                BY_NAME["fastapi"],
                servers=tuple(f"{name}-2" for name in ("pronghorn", *COMPETITORS) if name != "daphne"),
                targets={},
                subject="pronghorn-2",
            ),
        },
        quick_points=(1, 2),
        pinned=False,
    ),
)

PACES = (
    Pace.of("latency", BY_NAME["plain"], 20_000, 64),
    Pace.of("latency-fastapi", BY_NAME["fastapi"], 5_000, 64),
)
