"""The recognition of an application's interface, and the adapters for ASGI 2 and WSGI."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import pronghorn
from pronghorn.application import interfaces
from pronghorn.errors import StartupError


async def asgi3_function(scope: Any, receive: Any, send: Any) -> None: ...
async def with_extra(prefix: str, scope: Any, receive: Any, send: Any) -> None: ...
def asgi3_plain(scope: Any, receive: Any, send: Any) -> Any: ...
def asgi2_function(scope: Any) -> Any: ...
def wsgi_function(environ: Any, start_response: Any) -> Any: ...


class ASGI3Object:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...


class ASGI2Class:
    def __init__(self, scope: Any) -> None: ...
    async def __call__(self, receive: Any, send: Any) -> None: ...


class ASGI3Class:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...
    def __await__(self) -> Any: ...


class WSGIObject:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class Anything:
    def __call__(self, *arguments: Any) -> Any: ...


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (asgi3_function, "asgi3"),
        (functools.partial(with_extra, "prefix"), "asgi3"),
        (asgi3_plain, "asgi3"),
        (ASGI3Object(), "asgi3"),
        (ASGI3Object().method, "asgi3"),
        (functools.partial(ASGI3Object()), "asgi3"),
        (ASGI3Class, "asgi3"),
        (ASGI2Class, "asgi2"),
        (asgi2_function, "asgi2"),
        (Anything(), "asgi2"),
        (wsgi_function, "wsgi"),
        (WSGIObject(), "wsgi"),
    ],
)
def test_interface_is_recognised_from_signature(app: Any, interface: str) -> None:
    assert interfaces.interface_of(app) == interface


def test_asgi3_application_is_not_wrapped() -> None:
    assert interfaces.adapt(asgi3_function, "asgi3") is asgi3_function


def test_asgi2_application_is_called_twice() -> None:
    calls: list[Any] = []

    def app(scope: Any) -> Any:
        async def instance(receive: Any, send: Any) -> None:
            calls.append((scope, receive, send))

        return instance

    scope = {"asgi": {"version": "3.0", "spec_version": "2.5"}}
    asyncio.run(interfaces.adapt(app, "asgi2")(scope, "receive", "send"))  # type: ignore[arg-type]
    assert calls == [({"asgi": {"version": "2.0", "spec_version": "2.5"}}, "receive", "send")]


def test_wsgi_without_a2wsgi_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a2wsgi", None)
    with pytest.raises(StartupError, match=r"pronghorn\[wsgi\]"):
        interfaces.adapt(wsgi_function, "wsgi")


def test_wsgi_application_is_served() -> None:
    pytest.importorskip("a2wsgi")
    sent: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/wsgi",
        "query_string": b"",
        "root_path": "",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "headers": [],
    }
    asyncio.run(asyncio.wait_for(interfaces.adapt(app, "wsgi")(scope, receive, send), 10))
    assert sent[0]["status"] == 200
    assert b"".join(each.get("body", b"") for each in sent) == b"/wsgi"


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(("wanted", "seen"), [("auto", 2), ("keep", 2), ("drop", 1)])
def test_underscored_fields_are_dropped_only_on_request(kind: str, wanted: Any, seen: int) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    config = pronghorn.Config(app, log_config=None, underscored_headers=wanted)
    config.load()
    fields = [(b"x-user", b"proxy"), (b"x_user", b"client")]
    asyncio.run(config.loaded_app({"type": kind, "headers": fields}, None, None))  # type: ignore[arg-type]
    assert scopes[0]["headers"] == fields[:seen]


@pytest.fixture
def trace() -> Iterator[list[str]]:
    """The lines that `pronghorn.asgi` logs."""
    lines: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        lines.append(record.getMessage())
        return False

    logger = logging.getLogger("pronghorn.asgi")
    level = logger.level
    logger.setLevel(5)
    logger.addFilter(keep)
    yield lines
    logger.removeFilter(keep)
    logger.setLevel(level)


def test_messages_are_logged_without_their_content(trace: list[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.body", "body": b"secret"})

    async def receive() -> Any:
        return {"type": "websocket.receive", "text": "secret", "bytes": None}

    async def send(message: Any) -> None:
        assert message["body"] == b"secret"

    scope: Any = {"type": "http", "client": ("1.2.3.4", 5), "headers": [(b"authorization", b"secret")]}
    asyncio.run(interfaces.MessageLogger(app)(scope, receive, send))
    assert trace == [
        "1.2.3.4:5 - ASGI [1] Started scope={'type': 'http', 'client': ('1.2.3.4', 5), 'headers': '<...>'}",
        "1.2.3.4:5 - ASGI [1] Receive {'type': 'websocket.receive', 'text': '<6 chars>', 'bytes': None}",
        "1.2.3.4:5 - ASGI [1] Send {'type': 'http.response.body', 'body': '<6 bytes>'}",
        "1.2.3.4:5 - ASGI [1] Completed",
    ]
    assert scope["headers"] == [(b"authorization", b"secret")]


def test_exception_is_logged_and_raised_again(trace: list[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    with pytest.raises(ValueError):
        asyncio.run(interfaces.MessageLogger(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert trace == ["ASGI [1] Started scope={'type': 'lifespan'}", "ASGI [1] Raised exception"]
