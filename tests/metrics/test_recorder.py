"""The figures that a process records beside those of the wire."""

import gc
import sys
from types import SimpleNamespace

import pytest

from pronghorn.errors import HTTP2Error, ProtocolError, StreamError
from pronghorn.http2_constants import ENHANCE_YOUR_CALM, PROTOCOL_ERROR
from pronghorn.metrics import layout, page
from pronghorn.metrics.recorder import Recorder


@pytest.fixture
def cells():
    return page.allocate()


@pytest.fixture
def recorder(cells):
    return Recorder(cells)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ProtocolError(400, "bare CR"), "malformed"),
        (ProtocolError(408, "timed out"), "timeout"),
        (ProtocolError(413, "too large"), "body_too_large"),
        (ProtocolError(414, "too long"), "target_too_long"),
        (ProtocolError(431, "too large"), "head_too_large"),
        (ProtocolError(501, "coding"), "unsupported"),
        (ProtocolError(505, "version"), "version"),
        (HTTP2Error(PROTOCOL_ERROR, "frame"), "http2"),
        (StreamError(PROTOCOL_ERROR, "field"), "http2"),
        (HTTP2Error(ENHANCE_YOUR_CALM, "flood"), "http2_flood"),
    ],
)
def test_refusal_has_one_reason(recorder, cells, error, reason):
    recorder.refused(error)
    first = layout.REFUSED
    counted = dict(zip(layout.REASONS, cells[first : first + len(layout.REASONS)].tolist(), strict=True))
    assert counted == {**dict.fromkeys(layout.REASONS, 0), reason: 1}


@pytest.mark.parametrize(("seconds", "bucket"), [(-0.001, 0), (0, 0), (0.001, 0), (0.0011, 1), (10, 12), (11, 13)])
def test_lag_is_counted_in_its_bucket(recorder, cells, seconds, bucket):
    recorder.lag(seconds)
    buckets = cells[layout.LAG : layout.LAG + len(layout.BOUNDS) + 1].tolist()
    assert buckets[bucket] == sum(buckets) == 1
    assert cells[layout.LAG + len(layout.BOUNDS) + 1] == cells[layout.LATEST_LAG] == max(0, round(seconds * 1e9))


def test_connections_are_counted_by_protocol_and_state(recorder, cells):
    idle, active = (SimpleNamespace(is_idle=lambda value=value: value) for value in (True, False))
    recorder.connections([idle, active, active], [idle], 7)
    assert cells[layout.CONNECTIONS : layout.CONNECTIONS + 4].tolist() == [2, 1, 0, 1]
    assert cells[layout.STREAMS] == 7


def test_process_uses_time_and_collects_garbage(recorder, cells):
    gc.collect()
    recorder.process()
    assert cells[layout.CPU] > 0
    assert cells[layout.COLLECTIONS + 2] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_process_has_memory_and_descriptors(recorder, cells):
    recorder.process()
    assert cells[layout.MEMORY] > 1024 * 1024
    assert cells[layout.DESCRIPTORS] >= 3
