"""Faults that a storm has to find: in the server's end, in its state afterwards, in its log, and of its clients."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.storm import harness
from tests.storm.harness import Asker, Report, Storm, weather
from tests.storm.hostile import ACTS
from tests.storm.test_storm import NEEDS
from tests.support.server import Process, lacks

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads what is left from /proc"),
    *[pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed") for name in NEEDS],
]


@pytest.mark.skipif(lacks() is not None, reason=str(lacks()))
def test_server_that_dies_is_reported(certificates: Certificates) -> None:
    @contextlib.contextmanager
    def killer(server: Process, asker: Asker, report: Report) -> Iterator[None]:
        server.end()
        yield

    report = weather(Storm(seconds=0.5), certificates, killer)
    assert "the server has ended early, with -9" in report.faults
    assert {f"hostile: {kind}: did nothing" for kind in ACTS if kind != "slow"} < set(report.faults)
    assert report.acts == 0
    assert "Started server process" in report.log


def test_server_that_dies_at_its_end_is_reported() -> None:
    report = Report()
    with socket.socket() as bound:  # does not listen
        bound.bind(("127.0.0.1", 0))
        asker = Asker(bound.getsockname()[1], 1, None)
        harness._note_what_is_left(report, {}, asker, 0)
        harness._note_end(report, ended(-11), Storm(), asker)
    refused = "ConnectionRefusedError(111, 'Connection refused')"
    assert report.faults == [
        f"the server does not tell what is left: {refused}",
        f"the server does not answer before its end: {refused}",
        "the server ends with -11, not -15",
    ]


def ended(code: int) -> Any:
    """A server that has ended with `code`."""
    return SimpleNamespace(signal=lambda number: None, wait=lambda: code)
