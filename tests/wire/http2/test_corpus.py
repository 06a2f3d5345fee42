"""The corpus of frames, whole and byte by byte: errors, refusals, and requests that are served."""

from __future__ import annotations

from typing import Any

import pytest

from pronghorn import constants, http2_constants
from pronghorn.http2_constants import GOAWAY, NO_ERROR, RST_STREAM
from tests.support.corpus import Case, load_frames
from tests.support.http2 import Frame, Peer, get, kinds, only, split_frames
from tests.support.rig import ok, read_body
from tests.support.splits import three_ways

FRAMINGS = {"none": constants.NO_BODY, "length": constants.LENGTH, "stream": constants.UNTIL_END}
OTHER = get(3, b"/other")


def both_ways(folder: str) -> pytest.MarkDecorator:
    """Each case of the folder, in one piece and byte by byte."""
    pairs = [(case, way) for case in load_frames(folder) for way in ("whole", "byte by byte")]
    return pytest.mark.parametrize(("case", "way"), pairs, ids=str)


def feed(peer: Peer, data: bytes, way: str) -> list[Frame]:
    """Send `data`; return the frames that answer it."""
    for piece in three_ways(data, b"")[way]:
        peer.send(piece)
        peer.rig.turn()
    return peer.take()


def answer_other(request: Any) -> None:
    """Answer the request on stream 3 only."""
    if request.scope["path"] == "/other":
        ok(request)


@both_ways("frames/connection")
def test_error_ends_the_connection(wire: Any, case: Case, way: str) -> None:
    peer = Peer(wire, **case.limits)
    frames = feed(peer, case.data, way)
    assert only(frames, GOAWAY).code == getattr(http2_constants, case.outcome["error"])
    assert "finish_writing" in peer.rig.calls
    assert [error.reason for error in peer.rig.refused] == [case.outcome["reason"]]
    assert all(request.is_lost() for request in peer.rig.requests)
    served = len(peer.rig.requests)
    assert peer.exchange(get(99)) == []
    assert len(peer.rig.requests) == served


@both_ways("frames/stream")
def test_error_resets_only_its_stream(wire: Any, case: Case, way: str) -> None:
    peer = Peer(wire, answer_other, **case.limits)
    frames = feed(peer, case.data + OTHER, way)
    reset = only(frames, RST_STREAM)
    assert (reset.stream, reset.code) == (1, getattr(http2_constants, case.outcome["error"]))
    assert GOAWAY not in kinds(frames)
    assert [error.reason for error in peer.rig.refused] == [case.outcome["reason"]]
    answers = peer.answers(frames)
    assert list(answers) == [3]
    assert answers[3].status == 200
    assert all(request.is_lost() for request in peer.rig.requests[:-1])


@both_ways("frames/refused")
def test_request_is_refused_with_a_status(wire: Any, case: Case, way: str) -> None:
    peer = Peer(wire, answer_other, **case.limits)
    frames = feed(peer, case.data + OTHER, way)
    answers = peer.answers(frames)
    status = int(case.outcome["status"])
    assert (answers[1].status, answers[1].is_complete) == (status, True)
    assert answers[3].status == 200
    assert GOAWAY not in kinds(frames)
    assert [(error.status, error.reason) for error in peer.rig.refused] == [(status, case.outcome["reason"])]
    # A client that has not ended its stream is told that the rest of the body is of no use.
    resets = [(each.stream, each.code) for each in frames if each.kind == RST_STREAM]
    assert resets == ([] if any(each.ends for each in split_frames(case.data)) else [(1, NO_ERROR)])
    assert all(request.is_lost() for request in peer.rig.requests[:-1])


@both_ways("frames/valid")
def test_request_is_served(wire: Any, case: Case, way: str) -> None:
    bodies: list[bytes | None] = []

    async def application(request: Any) -> None:
        bodies.append(await read_body(request))
        ok(request)

    peer = Peer(wire, application, **case.limits)
    frames = feed(peer, case.data, way)
    assert peer.rig.refused == []
    assert GOAWAY not in kinds(frames)
    assert RST_STREAM not in kinds(frames)
    answers = [(answer.status, answer.content) for answer in peer.answers(frames).values()]
    assert answers == [(200, b"ok")] * len(peer.rig.requests)
    outcome = case.outcome
    scope, head = peer.rig.request.scope, peer.rig.request.head
    framing, _, length = outcome["framing"].partition(" ")
    assert scope["method"] == outcome["method"]
    assert scope["path"] == outcome["path"]
    assert scope["raw_path"] == outcome.get("raw-path", outcome["path"]).encode("ascii")
    assert scope["query_string"] == outcome.get("query", "").encode("ascii")
    assert scope["http_version"] == "2"
    assert scope["headers"] == case.headers
    assert head.framing == FRAMINGS[framing]
    assert head.length == int(length or 0)
    assert head.upgrade is None
    assert head.expects_continue is (outcome.get("expect") == "yes")
    assert head.accepts_trailers is (outcome.get("trailers") == "yes")
    assert bodies[-1] == outcome.get("body", "").encode("latin-1")
