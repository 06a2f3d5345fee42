"""Messages to the service manager: a datagram socket stands for systemd's."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

if sys.platform == "win32":
    pytest.skip("there are no unix sockets", allow_module_level=True)

from pronghorn.process import service_manager
from pronghorn.process.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest) -> Iterator[tuple[str, socket.socket]]:
    """The address of a socket, and the socket."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("Linux only")
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(f"\0{folder}" if request.param == "abstract" else f"{folder}/s")
        yield f"@{folder}" if request.param == "abstract" else f"{folder}/s", sock


def received(sock: socket.socket) -> list[list[str]]:
    messages = []
    while True:
        try:
            messages.append(sock.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return messages


def test_ready_is_sent_once(systemd: tuple[str, socket.socket]) -> None:
    manager = ServiceManager(systemd[0])
    manager.ready("2 workers")
    manager.ready("2 workers")
    assert received(systemd[1]) == [["READY=1", "STATUS=2 workers"]]


def test_reload_has_its_time_and_ends_with_ready(systemd: tuple[str, socket.socket]) -> None:
    manager = ServiceManager(systemd[0])
    manager.ready("up")
    before = time.monotonic_ns() // 1000
    manager.reloading()
    manager.ready("up")
    _, (reloading, stamp), ready = received(systemd[1])
    assert (reloading, ready) == ("RELOADING=1", ["READY=1", "STATUS=up"])
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_reload_before_ready_is_not_reported(systemd: tuple[str, socket.socket]) -> None:
    ServiceManager(systemd[0]).reloading()
    assert received(systemd[1]) == []


def test_status_is_sent_when_it_changes(systemd: tuple[str, socket.socket]) -> None:
    manager = ServiceManager(systemd[0])
    for status in ("1", "1", "2"):
        manager.report(status)
    assert received(systemd[1]) == [["STATUS=1"], ["STATUS=2"]]


@pytest.mark.parametrize("late", [ServiceManager.stopping, ServiceManager.reloading, lambda it: it.report("up")])
def test_stopping_is_last(systemd: tuple[str, socket.socket], late: Callable[[ServiceManager], None]) -> None:
    manager = ServiceManager(systemd[0])
    manager.stopping()
    late(manager)
    manager.ready("up")
    assert received(systemd[1]) == [["STOPPING=1", "STATUS=stopping"]]


def test_watchdog_is_fed_at_half_of_its_time(
    systemd: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = ServiceManager(systemd[0], 10.0)
    for now, due, sent in ((100.0, 105.0, 1), (104.9, 105.0, 0), (105.0, 110.0, 1)):
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        assert manager.beat() == due
        assert received(systemd[1]) == [["WATCHDOG=1"]] * sent


def test_without_watchdog_nothing_is_due(systemd: tuple[str, socket.socket]) -> None:
    assert ServiceManager(systemd[0]).beat() == float("inf")
    assert received(systemd[1]) == []


@pytest.mark.parametrize(("pid", "fed"), [(None, True), ("ours", True), ("1", False)])
def test_watchdog_may_be_for_another_process(
    systemd: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch, pid: str | None, fed: bool
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd[0])
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)
    assert (service_manager.from_environment().beat() != float("inf")) == fed


def test_environment_is_taken_once(systemd: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd[0])
    first, second = service_manager.from_environment(), service_manager.from_environment()
    assert "NOTIFY_SOCKET" not in os.environ
    second.ready("second")
    first.ready("first")
    assert received(systemd[1]) == [["READY=1", "STATUS=first"]]


@pytest.mark.parametrize("address", ["/does/not/exist", "vsock:2:1234"])
def test_failure_is_logged_once(address: str, caplog: pytest.LogCaptureFixture) -> None:
    manager = ServiceManager(address)
    manager.ready("up")
    manager.stopping()
    (line,) = caplog.messages
    assert line.startswith(f"Cannot notify the service manager at NOTIFY_SOCKET={address}: ")
