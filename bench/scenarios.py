"""What is measured with wrk: an application, a request, the servers to compare, and what pronghorn should reach."""

from __future__ import annotations

from dataclasses import dataclass, field

from .exchange import Exchange

PEERS = ("uvicorn", "peregrine", "weft", "granian")
CONNECTIONS = 64
# 1 MiB bodies on more connections, and 4 MiB ones on more than four, measure the processor's caches, not the server.
UPLOADS, DOWNLOADS = 16, 4


@dataclass(frozen=True)
class Scenario:
    """One table. `targets` gives, per peer, the least ratio of the subject's requests per second to the peer's."""

    name: str
    title: str
    app: str
    script: str
    exchange: Exchange
    servers: tuple[str, ...]
    targets: dict[str, float]
    connections: int = CONNECTIONS
    subject: str = "pronghorn"
    other_scripts: dict[str, str] = field(default_factory=dict)

    def script_for(self, server: str) -> str:
        """The Lua script that loads `server`."""
        return self.other_scripts.get(server, self.script)


PLAIN = Exchange(body=b"Hello, world!")

SCENARIOS = (
    Scenario(
        "plain",
        "Plain GET",
        "bench.apps:plain",
        "get.lua",
        PLAIN,
        ("pronghorn", *PEERS, "floor"),
        {"floor": 0.75, "peregrine": 1.2, "uvicorn": 3.2},
    ),
    Scenario(
        "browser",
        "Plain GET with the 14 headers of a browser",
        "bench.apps:plain",
        "browser.lua",
        PLAIN,
        ("pronghorn", *PEERS, "floor"),
        {"peregrine": 1.2, "uvicorn": 3.2},
    ),
    Scenario(
        "pipelined",
        "Plain GET, pipelined 16 deep (the floor: one at a time)",
        "bench.apps:plain",
        "pipelined.lua",
        PLAIN,
        ("pronghorn", *PEERS, "floor"),
        {"floor": 450 / 222, "peregrine": 2.4, "uvicorn": 7.0},
        other_scripts={"floor": "get.lua"},
    ),
    Scenario(
        "default",
        "Plain GET, out of the box: access log on, to a file",
        "bench.apps:plain",
        "get.lua",
        PLAIN,
        ("pronghorn-default", "uvicorn-default"),
        {"uvicorn-default": 6.0},
        subject="pronghorn-default",
    ),
    Scenario(
        "starlette",
        "Starlette, JSON",
        "bench.app_starlette:app",
        "get.lua",
        Exchange("/json", body=b'{"message":"Hello, world!"}'),
        ("pronghorn", *PEERS),
        {"peregrine": 1.1, "uvicorn": 2.2},
    ),
    Scenario(
        "fastapi",
        "FastAPI, JSON, a path and a query parameter",
        "bench.app_fastapi:app",
        "get.lua",
        Exchange("/items/42?q=abc", body=b'{"item_id":42,"q":"abc"}'),
        ("pronghorn", *PEERS),
        {"peregrine": 1.0, "uvicorn": 1.7},
    ),
    Scenario(
        "post-1k",
        "POST 1 KiB, echoed",
        "bench.apps:echo",
        "post_1k.lua",
        Exchange(sent=b"x" * 1024, body=b"x" * 1024),
        ("pronghorn", *PEERS),
        {"peregrine": 1.2},
    ),
    Scenario(
        "post-1m",
        "POST 1 MiB, its length answered",
        "bench.apps:length",
        "post_1m.lua",
        Exchange(sent=b"x" * 1048576, body=b"1048576"),
        ("pronghorn", *PEERS),
        {"peregrine": 1.0},
        connections=UPLOADS,
    ),
    Scenario(
        "stream",
        "Response of 4 MiB streamed in chunks of 64 KiB",
        "bench.apps:stream",
        "get.lua",
        Exchange(body=b"x" * 4194304),
        ("pronghorn", *PEERS),
        {"peregrine": 1.3},
        connections=DOWNLOADS,
    ),
    Scenario(
        "pure",
        "Plain GET, interpreted (PRONGHORN_PURE=1)",
        "bench.apps:plain",
        "get.lua",
        PLAIN,
        ("pronghorn-pure", "uvicorn"),
        {"uvicorn": 1.0},
        subject="pronghorn-pure",
    ),
)
