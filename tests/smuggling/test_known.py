"""A known disagreement excuses one fault of one vector behind one front end, and has to occur."""

import pytest

pytest.importorskip("hpack")

from tests.smuggling import __main__ as command
from tests.smuggling.front_ends import FRONT_ENDS
from tests.smuggling.known import KNOWN, absent, unknown
from tests.smuggling.trial import KINDS, Outcome

FRONTS = {front.name: front for front in FRONT_ENDS}
KEY = "frames", "frames, stream", "trailers-after-a-short-body"
FAULT = "T b'/victim-7' was b'GET /victim-7 HTTP/1.1' for the front end"
OTHER = "a victim got [], and the application []"


def test_known_vectors_and_front_ends_exist():
    vectors = {(vector.group, vector.name) for vectors_of in KINDS.values() for vector in vectors_of()}
    assert {(group, name) for _, group, name in KNOWN} <= vectors
    assert {front for front, _, _ in KNOWN} <= set(FRONTS)


def test_known_fault_is_excused():
    assert unknown("haproxy", KEY, Outcome("two", [FAULT], [])) == []


@pytest.mark.parametrize(
    ("front", "key", "fault"),
    [
        ("haproxy, HTTP/2", KEY, FAULT),
        ("nginx", KEY, FAULT),
        ("haproxy", ("frames", "HTTP/2", KEY[2]), FAULT),
        ("haproxy", (*KEY[:2], "trailers"), FAULT),
        ("haproxy", KEY, OTHER),
        ("haproxy", KEY, FAULT.replace("7", "8", 1)),
    ],
)
def test_other_fault_is_not_excused(front, key, fault):
    assert unknown(front, key, Outcome("two", [FAULT, fault], []))[-1:] == [fault]
    assert command.fails(FRONTS[front], {key: Outcome("two", [fault], [])})


@pytest.mark.parametrize(("version", "fails"), [("HAProxy version 2.6.12-1+deb12u4 2026", True), ("2.6.13", False)])
def test_known_fault_that_does_not_occur_fails_for_its_version(monkeypatch, version, fails):
    monkeypatch.setattr(command, "version", lambda _: version)
    outcomes = {KEY: Outcome("two", [], [])}
    assert [key for key, _ in absent("haproxy", outcomes)] == [KEY]
    assert command.fails(FRONTS["haproxy"], outcomes) == fails
    assert KEY[2] in "".join(command.absences([FRONTS["haproxy"]], [outcomes]))


def test_known_fault_that_occurs_or_was_not_tried_is_not_absent():
    assert list(absent("haproxy", {KEY: Outcome("two", [FAULT], [])})) == []
    assert list(absent("haproxy", {})) == []
