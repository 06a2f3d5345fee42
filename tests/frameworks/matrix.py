"""The frameworks, and the conversations with an application of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .exchanges import Exchange, get, head, post, post_json

Conversations = Mapping[str, Sequence[Exchange]]

# Imported by apps/starlette.py.
MIDDLEWARE = ("starlette", "starlette_exporter", "python_multipart", "itsdangerous", "opentelemetry.sdk")
# Imported by apps/middleware.py.
MIDDLEWARE_OF_OTHERS = ("starlette", "brotli_asgi", "zstd_asgi", "slowapi", "baize", "flask", "a2wsgi")

COMPILED = ("compiled",)
BOTH = ("compiled", "interpreted")

BINARY = {"content-type": "application/octet-stream"}
LARGE = bytes(range(256)) * 4096
UPLOAD = {"files": {"file": ("a name.bin", LARGE)}, "data": {"word": "ünï"}}
# A cookie that contains the time of its signature.
STAMPED = (r"session=\S+",)
CLOCK = r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$"
EVENTS = {"accept": "application/json, text/event-stream"}


@dataclass(frozen=True)
class Framework:
    """A framework. `app` is a module of tests/frameworks/apps; `needs` lists the modules it requires."""

    app: str
    needs: tuple[str, ...]
    conversations: Conversations
    forms: tuple[str, ...] = COMPILED


@dataclass(frozen=True)
class Difference:
    """The fields and other parts of an answer that may differ, and the reason."""

    names: tuple[str, ...]
    reason: str


def common(prefix: str = "", *, without: Sequence[str] = ()) -> dict[str, Sequence[Exchange]]:
    """The conversations that every application here supports."""
    every = {
        "query": [get(f"{prefix}/show?a=1&b=%C3%BC%20+%26"), head(f"{prefix}/show?a=1"), get(f"{prefix}/sh%6Fw?a=2")],
        "not-so": [
            get(f"{prefix}/nowhere"),
            Exchange("DELETE", f"{prefix}/show?a=1"),
            Exchange("OPTIONS", f"{prefix}/show?a=1"),
            get(f"{prefix}/%C3%BC%2F%00?"),
            get(f"{prefix}/show?a=1"),
        ],
        "body": [
            post(f"{prefix}/echo", "some text: ü", headers={"content-type": "text/plain; charset=utf-8"}),
            post(f"{prefix}/echo", LARGE, headers=BINARY),
            post(f"{prefix}/echo", [b"one", b"two" * 30_000, b"", b"three"], headers=BINARY),
            post(f"{prefix}/echo", b"", headers=BINARY),
        ],
        "upload": [post(f"{prefix}/upload", form=UPLOAD)],
        "stream": [get(f"{prefix}/stream"), head(f"{prefix}/stream"), get(f"{prefix}/show?a=1")],
        "empty": [get(f"{prefix}/empty"), get(f"{prefix}/redirect"), get(f"{prefix}/show?a=1")],
        "cookies": [get(f"{prefix}/cookies"), get(f"{prefix}/show?a=1")],
        "fail": [get(f"{prefix}/fail")],
        "file": file(f"{prefix}/file"),
        "static": file(f"{prefix}/static/file.txt"),
    }
    return {name: conversation for name, conversation in every.items() if name not in without}


def file(path: str, masks: Sequence[str] = ()) -> Sequence[Exchange]:
    """Requests for a file: whole, HEAD, a range, an invalid range, and a conditional request."""
    conditional = {"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    return [
        get(path, masks=masks),
        head(path, masks=masks),
        get(path, headers={"range": "bytes=10-29"}, masks=masks),
        get(path, headers={"range": "bytes=999999-"}, masks=masks),
        get(path, headers=conditional, masks=masks),
    ]


def through(prefix: str) -> Conversations:
    """The common conversations through the middleware mounted at `prefix`."""
    return {f"{prefix.strip('/')}-{name}": each for name, each in common(prefix).items()}


def behind(
    prefix: str,
    headers: Mapping[str, str] | None = None,
    masks: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Sequence[Exchange]:
    """Requests to apps/middleware.py through the middleware at `prefix`."""
    paths = [path for path in ("/show", "/stream", "/file", "/static/file.txt", "/show") if path not in without]
    ranged = {**(headers or {}), "range": "bytes=10-29"}
    return [
        *(get(prefix + path, headers=headers or {}, masks=masks) for path in paths),
        head(f"{prefix}/file", headers=headers or {}, masks=masks),
        get(f"{prefix}/file", headers=ranged, masks=masks),
        get(f"{prefix}/nowhere", headers=headers or {}, masks=masks),
    ]


STARLETTE: Conversations = {
    **common(),
    **through("/zipped"),
    **through("/stamped"),
    **through("/traced"),
    **through("/counted"),
    **through("/all"),
    "fail-late": [get("/fail-late")],
    "zipped-fail-late": [get("/zipped/fail-late")],
    "stamped-fail-late": [get("/stamped/fail-late")],
    "background": [get("/background"), get("/show"), get("/stamped/background"), get("/all/background")],
    "session": [get("/kept/count", masks=STAMPED), get("/kept/count", masks=STAMPED), get("/count")],
    "cors": [
        get("/shared/show", headers={"origin": "http://a.example"}),
        Exchange("OPTIONS", "/shared/show", {"origin": "http://a.example", "access-control-request-method": "GET"}),
        Exchange("OPTIONS", "/shared/show", {"origin": "http://b.example", "access-control-request-method": "GET"}),
    ],
    "metrics": [
        get("/measured/show"),
        get("/measured/file"),
        post("/measured/show"),
        get("/show"),
        get(
            "/metrics/?name[]=measured_requests_total",
            headers={"accept-encoding": "identity"},
            masks=[r"(?m) [\d.e+]+$"],
            until=r'(?s)(?=.*path="/file")(?=.*method="POST")',
        ),
    ],
    "index": [get("/static"), get("/static/"), get("/static/nothing.txt"), get("/static/..%2Fstarlette.py")],
}

FASTAPI: Conversations = {
    **common(without=("cookies", "static")),
    "model": [
        post_json("/orders", {"name": "apple", "count": 5}, headers={"x-note": "now"}),
        post_json("/orders", {"name": "pear"}),
        post_json("/orders", {"count": "many"}),
        post("/orders", "{", headers={"content-type": "application/json"}),
        get("/show?a=one"),
    ],
    "background": [get("/background"), get("/show?a=1")],
    "pages": [get("/openapi.json"), get("/docs")],
}

DJANGO: Conversations = {
    **common(without=("static",)),
    "stream-async": [get("/stream-async"), head("/stream-async"), get("/show")],
    # Django adds random padding to compressed responses.
    "zipped": [get("/zipped", masks=[r"^\d+$", r'^"\w+"$']), get("/zipped", headers={"accept-encoding": "identity"})],
    "conditional": [
        get("/show", keeps={"etag": r"(?im)^etag: (.+)$"}),
        get("/show", headers={"if-none-match": "{etag}"}),
        head("/show", headers={"if-none-match": "{etag}"}),
    ],
    "csrf": [post("/protected", "a=1", headers={"content-type": "application/x-www-form-urlencoded"})],
    "slash": [get("/slash"), get("/slash/")],
    "host": [get("/show", headers={"host": "elsewhere.example"})],
}

CHANNELS: Conversations = {
    **common(without=("static", "file")),
    "consumers": [post("/consumer/echo", LARGE), get("/consumer/pieces"), get("/show")],
    "consumer-fails": [get("/consumer/fail")],
}

LITESTAR: Conversations = {
    **common(),
    "zipped": [get("/zipped"), get("/zipped", headers={"accept-encoding": "identity"})],
    "more": [get("/in-a-thread"), get("/refused"), get("/background"), get("/static/"), get("/schema/openapi.json")],
}

QUART: Conversations = {
    **common(without=("file", "static")),
    "file": file("/file", masks=[CLOCK]),
    "static": file("/static/file.txt", masks=[CLOCK]),
    "session": [get("/count", masks=STAMPED), get("/count", masks=STAMPED)],
    "more": [get("/page"), get("/in-a-thread"), post("/counted", [LARGE] * 3)],
}

FALCON: Conversations = {
    **common(without=("file",)),
    "events": [get("/events"), get("/background"), get("/refused"), get("/show")],
}

BLACKSHEEP = common(without=("file",))

SANIC = common()

# The time when a limit ends, the seconds until then, and the requests left.
LIMIT = (r"^\d{10}(\.\d+)?$", r"^\d\d?$", r"^9\d\d$")
BEHIND_OTHERS: Conversations = {
    "brotli": behind("/brotli", {"accept-encoding": "br"}),
    "brotli-plain": behind("/brotli", {"accept-encoding": "identity"}),
    "zstd": behind("/zstd", {"accept-encoding": "zstd"}),
    "limited": behind("/limited", masks=LIMIT),
    "limited-asgi": behind("/limited-asgi", masks=LIMIT, without=("/stream",)),
    "reading": behind("/reading"),
    "baize": file("/baize/file"),
    "wsgi": [get("/wsgi/show?a=1"), *file("/wsgi/file"), get("/wsgi/stream"), *file("/wsgi/static/file.txt")],
}

FLASK: Conversations = {
    **common(),
    "session": [get("/count", masks=STAMPED), get("/count", masks=STAMPED)],
}

STRAWBERRY: Conversations = {
    "query": [
        post_json("/", {"query": "{ word }"}),
        post_json("/", {"query": "query($n: String!) { word(name: $n) }", "variables": {"n": "ü"}}),
        get("/?query=%7Bword%7D"),
        post_json("/", {"query": "mutation { double(number: 21) }"}),
        post_json("/", {"query": "{ failing }"}),
        post_json("/", {"query": "{ nothing }"}),
        post("/", "{", headers={"content-type": "application/json"}),
    ],
    "subscription": [
        post_json(
            "/",
            {"query": "subscription { numbers(count: 5) }"},
            headers={"accept": "multipart/mixed;subscriptionSpec=1.0, application/json"},
        ),
        post_json("/", {"query": "{ word }"}),
    ],
    "page": [get("/", headers={"accept": "text/html"}), Exchange("DELETE", "/")],
}

POLL = "/socket.io/?EIO=4&transport=polling"
SOCKETIO: Conversations = {
    "polling": [
        get(POLL, keeps={"sid": r'"sid":"([^"]+)"'}),
        post(f"{POLL}&sid={{sid}}", "40"),
        get(f"{POLL}&sid={{sid}}", masks=[r'"sid":"[^"]+"']),
        post(f"{POLL}&sid={{sid}}", '42["tell",{"a":"ü"}]'),
        get(f"{POLL}&sid={{sid}}", headers={"origin": "http://a.example"}),
        post(f"{POLL}&sid={{sid}}", '421["ask",[1,2]]'),
        get(f"{POLL}&sid={{sid}}"),
        post(f"{POLL}&sid={{sid}}", "1"),
        get(f"{POLL}&sid={{sid}}"),
    ],
    "refused": [get("/socket.io/?EIO=3&transport=polling"), get(f"{POLL}&sid=unknown"), get(f"{POLL}&sid=unknown")],
    "origin": [get(POLL, headers={"origin": "http://b.example"}), Exchange("OPTIONS", POLL)],
    "beside": [get("/page"), *common()["query"]],
}

SSE: Conversations = {
    "some": [get("/some"), get("/some"), head("/some")],
    "endless": [get("/endless", lines=2), get("/some")],
}


def call(method: str, number: int | None = None, session: bool = True, **parameters: object) -> Exchange:
    """An MCP message."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": parameters}
    if number is not None:
        message["id"] = number
    headers = {**EVENTS, "mcp-protocol-version": "2025-06-18"}
    if session:
        headers["mcp-session-id"] = "{session}"
    keeps = {} if session else {"session": r"(?im)^mcp-session-id: (.+)$"}
    return post_json("/mcp", message, headers=headers, keeps=keeps)


HELLO = call(
    "initialize",
    1,
    session=False,
    protocolVersion="2025-06-18",
    capabilities={},
    clientInfo={"name": "matrix", "version": "1"},
)
SESSION = r"[0-9a-f]{32}"
MCP: Conversations = {
    "session": [
        HELLO,
        call("notifications/initialized"),
        call("tools/list", 2),
        call("tools/call", 3, name="add", arguments={"a": 1, "b": 2}),
        call("tools/call", 4, name="count", arguments={"to": 5}, _meta={"progressToken": "token"}),
        call("tools/call", 5, name="fail", arguments={}),
        call("resources/read", 6, uri="word://you"),
        call("nothing/known", 7),
        Exchange("DELETE", "/mcp", {**EVENTS, "mcp-session-id": "{session}"}),
        call("tools/list", 8),
    ],
    "not-so": [
        get("/mcp", headers=EVENTS, masks=[SESSION]),
        get("/mcp", masks=[SESSION]),
        post("/mcp", "{", headers={**EVENTS, "content-type": "application/json"}, masks=[SESSION]),
        post_json("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, masks=[SESSION]),
        get("/mcp", headers={**EVENTS, "host": "elsewhere.example"}),
        Exchange("PUT", "/mcp", masks=[SESSION]),
        get("/nowhere"),
    ],
}

FRAMEWORKS = {
    "starlette": Framework("starlette", MIDDLEWARE, STARLETTE, BOTH),
    "middleware": Framework("middleware", MIDDLEWARE_OF_OTHERS, BEHIND_OTHERS, BOTH),
    "fastapi": Framework("fastapi", ("fastapi", "python_multipart"), FASTAPI, BOTH),
    "django": Framework("django", ("django",), DJANGO, BOTH),
    "channels": Framework("channels", ("django", "channels"), CHANNELS),
    "litestar": Framework("litestar", ("litestar",), LITESTAR),
    "quart": Framework("quart", ("quart",), QUART),
    "falcon": Framework("falcon", ("falcon",), FALCON),
    "blacksheep": Framework("blacksheep", ("blacksheep",), BLACKSHEEP),
    "sanic": Framework("sanic", ("sanic",), SANIC),
    "strawberry": Framework("strawberry", ("strawberry",), STRAWBERRY),
    "socketio": Framework("socketio", ("socketio", *MIDDLEWARE), SOCKETIO),
    "sse-starlette": Framework("sse", ("sse_starlette",), SSE),
    "mcp": Framework("mcp", ("mcp",), MCP),
    "flask-a2wsgi": Framework("flask", ("flask", "a2wsgi"), FLASK),
}

NO_LENGTH_IN_204 = Difference(
    ("content-length",), "A 204 bears no Content-Length (RFC 9110 section 8.6), whatever the application says."
)
TWO_LENGTHS = Difference(
    ("status", "reason", "broken", "content-type", "content-length", "connection"),
    "BlackSheep gives the answer to HEAD two lengths, 6290 and 0: a client breaks off where uvicorn sends both, and"
    " pronghorn makes a 500 of it.",
)

DIFFERENCES: Mapping[tuple[str, str], Difference] = {
    ("django", "GET /empty"): NO_LENGTH_IN_204,
    ("channels", "GET /empty"): NO_LENGTH_IN_204,
    ("quart", "GET /empty"): NO_LENGTH_IN_204,
    ("blacksheep", "GET /empty"): NO_LENGTH_IN_204,
    ("blacksheep", "HEAD /static/file.txt"): TWO_LENGTHS,
}
"""Accepted differences between pronghorn and uvicorn, by framework and exchange."""
