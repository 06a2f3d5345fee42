"""Heads: the corpus split three ways on every form, the default limits, and the parser itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn import constants
from pronghorn._wire import kernels, metrics, outbox, shared, turns
from pronghorn._wire.http1 import connection
from pronghorn.errors import ProtocolError
from tests.support.corpus import Case, load
from tests.support.rig import Rig, ok, read_body
from tests.support.splits import three_ways

VALID = load("requests/valid")
REFUSED = load("requests/refused")
WAYS = ("whole", "byte by byte", "with a tail")
TAIL = b"GET /tail HTTP/1.1\r\nHost: a\r\n\r\n"
INTERPRETED = SimpleNamespace(
    connection=connection, kernels=kernels, metrics=metrics, outbox=outbox, shared=shared, turns=turns
)

# Heads llhttp splits differently: the resulting status (0 means served) and the justification.
LLHTTP_DIFFERS = {
    "valid/method-unknown": (400, "llhttp knows a list of methods; ours leaves them to the application"),
    "valid/method-symbols": (400, "as above"),
    "valid/chunked-empty-elements": (400, "llhttp takes no empty elements in Transfer-Encoding; nobody sends them"),
    "refused/line-two-spaces": (
        0,
        "llhttp skips spaces before the target, as RFC 9112 section 3 lets it; no other reading is left",
    ),
    "refused/line-two-spaces-before-version": (0, "as above, before the version"),
    "refused/version-12": (400, "llhttp has a list of versions and says only that it failed"),
    "refused/version-missing": (505, "llhttp reads HTTP/0.9, whose version we refuse"),
}


def every_way(cases: list[Case]) -> pytest.MarkDecorator:
    """Each case, split each way. Only cases with the default limits get a tail, since that is a whole request."""
    pairs = [(case, way) for case in cases for way in WAYS if way != "with a tail" or not case.limits]
    return pytest.mark.parametrize(("case", "way"), pairs, ids=str)


def serve(wire: Any, case: Case, way: str, kind: Any = None) -> tuple[Any, list[bytes]]:
    """Feed `case` to a connection whose application reads the body and answers; return the rig and the bodies."""
    bodies: list[bytes] = []

    async def application(request: Any) -> None:
        bodies.append(await read_body(request))
        ok(request)

    rig = Rig(wire, application, kind=kind, **case.limits)
    for piece in three_ways(case.data, TAIL)[way]:
        rig.receive(piece)
        rig.turn()
    return rig, bodies


def check_valid(wire: Any, case: Case, way: str, rig: Any, bodies: list[bytes]) -> None:
    outcome = case.outcome
    assert rig.refused == []
    request = rig.requests[0]
    scope, head = request.scope, request.head
    kind, _, length = outcome["framing"].partition(" ")
    framings = {"none": constants.NO_BODY, "length": constants.LENGTH, "chunked": constants.CHUNKED}
    assert scope["method"] == outcome["method"]
    assert scope["path"] == outcome["path"]
    assert scope["raw_path"] == outcome.get("raw-path", outcome["path"]).encode("ascii")
    assert scope["query_string"] == outcome.get("query", "").encode("ascii")
    assert scope["http_version"] == outcome.get("version", "1.1")
    assert scope["headers"] == case.headers
    assert head.framing == framings[kind]
    assert head.length == int(length or 0)
    assert head.keep_alive is (outcome["keep-alive"] == "yes")
    assert head.upgrade == (outcome["upgrade"].encode() if "upgrade" in outcome else None)
    assert head.expects_continue is (outcome.get("expect") == "yes")
    assert bodies[0] == outcome.get("body", "").encode("latin-1")
    assert b"HTTP/1.1 200 OK\r\n" in rig.written
    assert (b"connection: close\r\n" in rig.written) is rig.is_over() is (not head.keep_alive)
    served = [request.head.path for request in rig.requests[1:]]
    assert served == (["/tail"] if way == "with a tail" and head.keep_alive else [])


def check_refused(case: Case, rig: Any, status: int) -> None:
    assert rig.requests == []
    assert [error.status for error in rig.refused] == [status]
    assert rig.written.startswith(b"HTTP/1.1 %d " % status)
    assert rig.written.count(b"HTTP/1.1") == 1
    assert b"\r\nconnection: close\r\n" in rig.written
    assert rig.is_over()


@every_way(VALID)
def test_valid_head_is_served(wire: Any, case: Case, way: str) -> None:
    check_valid(wire, case, way, *serve(wire, case, way))


@every_way(REFUSED)
def test_malformed_head_is_refused(wire: Any, case: Case, way: str) -> None:
    rig, _ = serve(wire, case, way)
    check_refused(case, rig, int(case.outcome["status"]))
    assert rig.refused[0].reason == case.outcome["reason"]


@every_way(VALID)
def test_llhttp_serves_valid_heads(case: Case, way: str) -> None:
    llhttp = pytest.importorskip("pronghorn._wire_httptools", reason="httptools is not installed", exc_type=ImportError)
    rig, bodies = serve(INTERPRETED, case, way, llhttp.LLHTTPConnection)
    differs = LLHTTP_DIFFERS.get(f"valid/{case.name}")
    if differs:
        check_refused(case, rig, differs[0])
    else:
        check_valid(INTERPRETED, case, way, rig, bodies)


@every_way(REFUSED)
def test_llhttp_refuses_malformed_heads(case: Case, way: str) -> None:
    llhttp = pytest.importorskip("pronghorn._wire_httptools", reason="httptools is not installed", exc_type=ImportError)
    rig, _ = serve(INTERPRETED, case, way, llhttp.LLHTTPConnection)
    status, _why = LLHTTP_DIFFERS.get(f"refused/{case.name}", (int(case.outcome["status"]), ""))
    if status:
        check_refused(case, rig, status)
    else:
        assert rig.refused == []


def test_every_difference_of_llhttp_names_a_case() -> None:
    names = {f"valid/{case.name}" for case in VALID} | {f"refused/{case.name}" for case in REFUSED}
    assert set(LLHTTP_DIFFERS) <= names


def parse(wire: Any, data: bytes) -> Any:
    return wire.http1_head.parse(data, 0, len(data), wire.shared.Limits())


def refusal(wire: Any, data: bytes) -> tuple[int, str]:
    with pytest.raises(ProtocolError) as caught:
        parse(wire, data)
    return caught.value.status, caught.value.reason


def test_head_is_parsed_in_the_middle_of_a_buffer(wire: Any) -> None:
    before, head, after = b"xyz\r\n\r\n", b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /c HTTP/1.1\r\nX: y\r\n\r\n"
    found = wire.http1_head.parse(before + head + after, len(before), len(before) + len(head), wire.shared.Limits())
    assert (found.path, found.raw_path, found.query, found.headers) == ("/a", b"/a", b"b", [(b"host", b"a")])


def test_length_may_have_eighteen_digits(wire: Any) -> None:
    head = parse(wire, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n")
    assert head.length == 999999999999999999


def test_target_is_limited_to_16_kib(wire: Any) -> None:
    line = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
    assert len(parse(wire, line % (b"a" * 16383)).raw_path) == 16384
    assert refusal(wire, line % (b"a" * 16384)) == (414, "request target too long")


def test_fields_are_limited_to_100(wire: Any) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n"
    assert len(parse(wire, head + b"X: 1\r\n" * 99 + b"\r\n").headers) == 100
    assert refusal(wire, head + b"X: 1\r\n" * 100 + b"\r\n") == (431, "too many header fields")


@pytest.mark.parametrize("spare", [0, 1])
def test_head_is_limited_to_64_kib(wire: Any, spare: int) -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    data = start + b"a" * (65536 + spare - len(start) - 4) + b"\r\n\r\n"
    rig = Rig(wire)
    rig.receive(data)
    assert [error.status for error in rig.refused] == [431] * spare
    assert len(rig.requests) == 1 - spare


def test_target_may_have_visible_ascii_only(wire: Any) -> None:
    for byte in range(256):
        data = b"GET /" + bytes([byte]) + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        if 33 <= byte <= 126 and byte not in b"#?":
            assert parse(wire, data).raw_path == b"/" + bytes([byte])
        elif byte == 63:
            assert parse(wire, data).raw_path == b"/"
        else:
            assert refusal(wire, data)[0] == 400, byte


def test_version_must_be_followed_by_a_line_end(wire: Any) -> None:
    for byte in range(256):
        if byte != 10:
            data = b"GET / HTTP/1.1\r" + bytes([byte]) + b"Host: a\r\n\r\n"
            assert refusal(wire, data) == (400, "malformed request line"), byte


def test_path_is_decoded_as_by_urllib(wire: Any) -> None:
    from urllib.parse import unquote

    for raw in ("/%41%zz%", "/%e2%82%ac%E2", "/%25%32%35", "/%F0%9F%90%8E+%2B", "/%c0%80"):
        assert parse(wire, f"GET {raw} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).path == unquote(raw)


def test_each_head_has_its_own_list_of_headers(wire: Any) -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert parse(wire, data).headers is not parse(wire, data).headers
