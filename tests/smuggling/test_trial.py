"""A trial finds what goes wrong with a front end that is not there: a socket in its place, or none."""

import contextlib
import socket

import pytest

pytest.importorskip("hpack")

from pronghorn.http2_constants import PROTOCOL_ERROR
from tests.smuggling import trial
from tests.smuggling.front_ends import FRONT_ENDS
from tests.smuggling.recorder import Recorder, Seen
from tests.smuggling.trial import Outcome, Trial
from tests.smuggling.vectors import Vector
from tests.support import http2

VECTOR = Vector("group", "name", b"GET /outer HTTP/1.1\r\nHost: a\r\n\r\n")


@pytest.fixture
def attempt(monkeypatch):
    """A function that tries the vector, with `connected` in place of each connection to the front end."""

    def attempt(connected, recorder=None, logged=None, kind="request"):
        monkeypatch.setattr(trial, "_connected", lambda _: connected())
        monkeypatch.setattr(trial, "PATIENCE", 0.05)
        made = Trial(FRONT_ENDS[0], recorder or Recorder(), [] if logged is None else logged, ("one", "two"))
        return made.both(kind, VECTOR)

    return attempt


@contextlib.contextmanager
def resetting():
    """A connection that the other side has closed."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        yield ours


@contextlib.contextmanager
def refusing():
    raise ConnectionRefusedError
    yield


def test_reset_of_a_victim_is_a_fault(attempt):
    outcome = attempt(resetting)
    assert outcome.text == "closes"
    assert outcome.faults == ["a victim got BrokenPipeError(32, 'Broken pipe'), and the application []"] * 4
    assert outcome.notes == []


def test_front_end_that_refuses_connections_has_crashed(attempt):
    assert attempt(refusing) == Outcome("front end crashes", [], ["crashes", "crashes"])


def test_faults_before_a_crash_are_kept(attempt):
    recorder = Recorder()

    def connected():
        if recorder.requests:
            return refusing()
        recorder.requests.append(Seen(("127.0.0.1", 1), "GET", b"/inner", []))
        return resetting()

    faults = ["GET b'/inner' was no request for the front end"]
    assert attempt(connected, recorder) == Outcome("front end crashes", faults, ["crashes", "crashes"])


def test_log_line_at_the_last_victim_is_a_fault(attempt):
    # Of each of the two tries: the attacker's connection, and two of each victim, which is not served.
    lines = iter(["Invalid HTTP request received. client: x", *["Connection cut off. client: x"] * 8, "Exception"])
    logged = []

    def connected():
        logged.append(next(lines))
        return resetting()

    outcome = attempt(connected, logged=logged)
    assert outcome.text == "pronghorn"
    assert [fault for fault in outcome.faults if not fault.startswith("a victim")] == ["Exception"]


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        (http2.rst_stream(1, PROTOCOL_ERROR), "front end PROTOCOL_ERROR"),
        (http2.rst_stream(1, 0xFF), "front end 0xff"),
        (http2.goaway(0, PROTOCOL_ERROR), "front end PROTOCOL_ERROR"),
        (http2.headers(1, (b":status", b"400")) + http2.rst_stream(1, PROTOCOL_ERROR), "front end 400"),
        (http2.goaway(), "closes"),
    ],
)
def test_reset_of_http2_is_a_refusal(attempt, frames, text):
    @contextlib.contextmanager
    def connected():
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(frames)
        with ours:
            yield ours

    assert attempt(connected, kind="frames").text == text
