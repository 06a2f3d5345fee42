"""The requests of HTTP/2 that are replayed."""

from __future__ import annotations

from typing import Any

import pytest

from bench import replay
from bench.browser import HTTP2_FIELDS
from bench.frames import Requests
from bench.replay import CONTENT, H2LOAD_FIELDS


def seen_by_application(requests: Requests, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, bytes]]:
    """The scope and the body of the opening and of three requests."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, (await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"end"})

    monkeypatch.setattr(replay, "mark", lambda: None)
    replay.replay(replay.over_http2(app, requests, b"end"), warm_up=1, requests=2)
    return seen


@pytest.mark.parametrize("body", [b"", CONTENT], ids=["get", "post"])
@pytest.mark.parametrize("fields", [H2LOAD_FIELDS, HTTP2_FIELDS], ids=["h2load", "browser"])
def test_every_request_is_the_same(
    body: bytes, fields: tuple[tuple[str, str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    length = [(b"content-length", b"%d" % len(body))] if body else []
    expected = [(name.encode(), value.encode()) for name, value in (("host", "127.0.0.1:8000"), *fields)] + length
    seen = seen_by_application(Requests(fields, body), monkeypatch)
    assert len(seen) == 4
    for scope, received in seen:
        assert (scope["http_version"], scope["method"], scope["path"]) == ("2", "POST" if body else "GET", "/")
        assert (scope["headers"], received) == (expected, body)


def test_browser_sends_fourteen_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    scope, _ = seen_by_application(Requests(HTTP2_FIELDS), monkeypatch)[-1]
    assert len(scope["headers"]) == 14


def test_fields_are_indexed_after_the_first_request() -> None:
    requests = Requests(HTTP2_FIELDS)
    assert len(requests.opening()) > 500
    assert {len(each) for each in requests.following(2)} == {9 + 4 + len(HTTP2_FIELDS)}
