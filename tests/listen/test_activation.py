"""Sockets passed by systemd, chosen by name."""

from __future__ import annotations

import os

import pytest

from pronghorn.errors import StartupError
from pronghorn.listen import activation


@pytest.fixture
def activated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "4")
    monkeypatch.setenv("LISTEN_FDNAMES", "web:admin:web")


def test_all_sockets_of_a_name_are_found(activated: None) -> None:
    assert activation.descriptors("web") == [3, 5]
    assert activation.descriptors("admin") == [4]


def test_unknown_name_is_refused_with_the_known_ones(activated: None) -> None:
    with pytest.raises(StartupError, match=r"no socket called 'other'\. It passes fd://web, fd://admin\.$"):
        activation.descriptors("other")


def test_sockets_without_names_are_reported(activated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDNAMES")
    with pytest.raises(StartupError, match=r"It passes none that has a name\.$"):
        activation.descriptors("web")


def test_sockets_for_another_process_are_refused(activated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    with pytest.raises(StartupError, match=rf"are for process 1, not for this one, {os.getpid()}\."):
        activation.descriptors("web")


@pytest.mark.parametrize("missing", ["LISTEN_FDS", "LISTEN_PID"])
def test_missing_activation_is_reported(activated: None, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(StartupError, match="needs socket activation"):
        activation.descriptors("web")
