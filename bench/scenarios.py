"""What is measured under load."""

from __future__ import annotations

from pathlib import Path

from pronghorn.bench.load import Wrk
from pronghorn.bench.scenario import Scenario

from .exchange import Echo, Exchange
from .websocket import WebSockets

LUA = Path(__file__).resolve().parent / "lua"
PEERS = ("uvicorn", "peregrine", "weft", "granian")
WEBSOCKET_PEERS = ("uvicorn", "peregrine", "weft", "granian-ws")
# 1 MiB bodies on more connections, and 4 MiB ones on more than four, measure the processor's caches, not the server.
UPLOADS, DOWNLOADS = 16, 4
SOCKETS, AUDIENCE = 32, 1000


PLAIN = Exchange(body=b"Hello, world!")
SHORT = Echo("x" * 64)

SCENARIOS = (
    Scenario(
        "plain",
        "Plain GET",
        "bench.apps:plain",
        Wrk(LUA / "get.lua"),
        PLAIN,
        ("pronghorn", *PEERS, "floor"),
        {"floor": 0.75, "peregrine": 1.2, "uvicorn": 3.2},
    ),
    Scenario(
        "browser",
        "Plain GET with the 14 headers of a browser",
        "bench.apps:plain",
        Wrk(LUA / "browser.lua"),
        PLAIN,
        ("pronghorn", *PEERS, "floor"),
        {"peregrine": 1.2, "uvicorn": 3.2},
    ),
    Scenario(
        "pipelined",
        "Plain GET, pipelined 16 deep (the floor: one at a time)",
        "bench.apps:plain",
        Wrk(LUA / "pipelined.lua"),
        PLAIN,
        ("pronghorn", *PEERS, "floor"),
        {"floor": 450 / 222, "peregrine": 2.4, "uvicorn": 7.0},
        other_loads={"floor": Wrk(LUA / "get.lua")},
    ),
    Scenario(
        "default",
        "Plain GET, out of the box: access log on, to a file",
        "bench.apps:plain",
        Wrk(LUA / "get.lua"),
        PLAIN,
        ("pronghorn-default", "uvicorn-default"),
        {"uvicorn-default": 6.0},
        subject="pronghorn-default",
    ),
    Scenario(
        "tls",
        "Plain GET over TLS 1.3",
        "bench.apps:plain",
        Wrk(LUA / "get.lua", secure=True),
        PLAIN,
        ("pronghorn-tls", *(f"{peer}-tls" for peer in PEERS)),
        {"peregrine-tls": 0.9, "uvicorn-tls": 3.0},
        subject="pronghorn-tls",
    ),
    Scenario(
        "starlette",
        "Starlette, JSON",
        "bench.app_starlette:app",
        Wrk(LUA / "get.lua"),
        Exchange("/json", body=b'{"message":"Hello, world!"}'),
        ("pronghorn", *PEERS),
        {"peregrine": 1.1, "uvicorn": 2.2},
    ),
    Scenario(
        "fastapi",
        "FastAPI, JSON, a path and a query parameter",
        "bench.app_fastapi:app",
        Wrk(LUA / "get.lua"),
        Exchange("/items/42?q=abc", body=b'{"item_id":42,"q":"abc"}'),
        ("pronghorn", *PEERS),
        {"peregrine": 1.0, "uvicorn": 1.7},
    ),
    Scenario(
        "post-1k",
        "POST 1 KiB, echoed",
        "bench.apps:echo",
        Wrk(LUA / "post_1k.lua"),
        Exchange(sent=b"x" * 1024, body=b"x" * 1024),
        ("pronghorn", *PEERS),
        {"peregrine": 1.2},
    ),
    Scenario(
        "post-1m",
        "POST 1 MiB, its length answered",
        "bench.apps:length",
        Wrk(LUA / "post_1m.lua", UPLOADS),
        Exchange(sent=b"x" * 1048576, body=b"1048576"),
        ("pronghorn", *PEERS),
        {"peregrine": 1.0},
    ),
    Scenario(
        "stream",
        "Response of 4 MiB streamed in chunks of 64 KiB",
        "bench.apps:stream",
        Wrk(LUA / "get.lua", DOWNLOADS),
        Exchange(body=b"x" * 4194304),
        ("pronghorn", *PEERS),
        {"peregrine": 1.3},
    ),
    Scenario(
        "pure",
        "Plain GET, interpreted (PRONGHORN_PURE=1)",
        "bench.apps:plain",
        Wrk(LUA / "get.lua"),
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
        ("pronghorn", *WEBSOCKET_PEERS),
        {"peregrine": 1.15, "uvicorn": 2.8},
        unit="message",
    ),
    Scenario(
        "ws-64k",
        "WebSocket, binary of 64 KiB echoed",
        "bench.apps:websocket_echo",
        WebSockets("echo", "binary", 65536, SOCKETS),
        Echo(bytes(range(256)) * 256),
        ("pronghorn", *WEBSOCKET_PEERS),
        dict.fromkeys(WEBSOCKET_PEERS, 1.3),
        unit="message",
    ),
    Scenario(
        "ws-broadcast",
        f"WebSocket, text of 64 B broadcast to {AUDIENCE:,} sockets (p99: until the last has it)",
        "bench.apps:websocket_broadcast",
        WebSockets("broadcast", "text", 64, AUDIENCE),
        SHORT,
        ("pronghorn", *WEBSOCKET_PEERS),
        {"uvicorn": 1.5},
        unit="message",
    ),
)
