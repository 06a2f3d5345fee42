"""The parent of workers, without any."""

from __future__ import annotations

from typing import Any

import pytest

from pronghorn import supervisor
from pronghorn.config import Config
from pronghorn.supervisor import Supervisor


@pytest.fixture
def parent() -> Supervisor:
    return Supervisor(Config("main:app", log_config=None, workers=1), [])


def test_it_goes_on_whatever_fails(
    parent: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = ["one", "one", "another", ""]

    def look(signals: Any) -> None:
        if what := left.pop(0):
            raise RuntimeError(what)
        parent._exit_code = 0

    monkeypatch.setattr(supervisor, "PULSE", 0)
    monkeypatch.setattr(parent, "_look_after_all", look)
    monkeypatch.setattr(parent, "_balance", lambda: None)
    assert parent.run() == 0
    failures = [line for line in caplog.messages if line.startswith("Cannot look after")]
    assert failures == [f"Cannot look after the child processes: RuntimeError('{each}')" for each in ("one", "another")]


def test_a_process_that_cannot_be_launched_is_tried_later(
    parent: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise RuntimeError("no room")

    monkeypatch.setattr(supervisor, "Worker", refuse)
    parent._balance()
    assert caplog.messages == ["Cannot launch a process: RuntimeError('no room')"]
    parent._balance()
    assert len(caplog.messages) == 1
