"""Upgrades in one process: what the two programs say to each other, and whose the sockets are."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.config import Config
from pronghorn.listen import sockets
from pronghorn.process import pid_file, pids
from pronghorn.process.upgrade import Program, State, Upgrade

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGUSR2")


@pytest.fixture
def old() -> Iterator[socket.socket]:
    """The older program's end of the pair; `PRONGHORN_HANDOVER` is set for the newer one."""
    ours, theirs = socket.socketpair()
    os.environ["PRONGHORN_HANDOVER"] = json.dumps({"pid": 1, "socket": theirs.detach(), "sockets": []})
    yield ours
    ours.close()
    os.environ.pop("PRONGHORN_HANDOVER", None)


def test_new_program_announces_itself_once(old: socket.socket) -> None:
    program = Program()
    assert "PRONGHORN_HANDOVER" not in {**os.environ, **program.environment}
    program.announce()
    program.announce()
    assert old.recv(10) == b"S"
    assert old.recv(10) == b""


@pytest.mark.parametrize("is_late", [False, True])
def test_unix_socket_is_the_new_programs_once_the_old_one_knows(
    old: socket.socket, tmp_path: Path, is_late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "socket")
    config = Config("main:app", uds=path, log_config=None)
    listener = sockets.bind(config)
    sockets.leave()
    program = Program()
    sockets.offer([(use, sock.dup()) for use, sock in sockets.held() if sock in listener])
    handed = sockets.bind(config)
    if is_late:
        old.shutdown(socket.SHUT_RD)
    program.announce()
    sockets.unlink(config)
    assert os.path.exists(path) == is_late
    assert ("does not wait for it any more" in caplog.text) == is_late
    for sock in (*listener, *handed):
        sock.close()


def test_sockets_of_one_place_are_not_mixed_up() -> None:
    """The system chooses another port for each port 0."""
    place = "127.0.0.1:0"
    config = Config("main:app", bind=[place, place], log_config=None)
    metrics = Config("main:app", bind=place, log_config=None)
    before = [*sockets.bind(metrics, "metrics"), *sockets.bind(config)]
    sockets.offer([(use, sock.dup()) for use, sock in sockets.held() if sock in before][::-1])
    after = [*sockets.bind(config), *sockets.bind(metrics, "metrics")]
    sockets.take_over()
    names = [sock.getsockname() for sock in after]
    assert [names[2], *names[:2]] == [sock.getsockname() for sock in before]
    for sock in (*before, *after):
        sock.close()


def test_offered_socket_without_a_place_is_closed(tmp_path: Path) -> None:
    before = sockets.bind(Config("main:app", uds=str(tmp_path / "before"), log_config=None))
    now = Config("main:app", uds=str(tmp_path / "now"), log_config=None)
    offered = before[0].dup()
    sockets.offer([(use, offered) for use, sock in sockets.held() if sock in before])
    bound = sockets.bind(now)
    sockets.take_over()
    assert offered.fileno() == -1
    assert bound[0].getsockname() == str(tmp_path / "now")
    sockets.unlink(now)
    for sock in (*before, *bound):
        sock.close()


def test_process_1_is_not_replaced(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    upgrade = Upgrade(Program(), None)
    upgrade.request()
    assert not upgrade.step()
    assert "process 1 cannot be replaced" in caplog.text


def test_program_that_cannot_be_started_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/missing/python")
    upgrade = Upgrade(Program(), None)
    upgrade.request()
    assert not upgrade.step()
    assert upgrade.state is State.IDLE
    assert "Cannot upgrade: FileNotFoundError" in caplog.text


def test_working_directory_is_named_as_the_shell_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "current").symlink_to("release")
    monkeypatch.chdir(tmp_path / "release")
    for named, expected in (("current", "current"), ("elsewhere", "release"), ("", "release")):
        monkeypatch.setenv("PWD", str(tmp_path / named))
        assert Program().directory == str(tmp_path / expected)


@pytest.fixture
def pid_path(tmp_path: Path) -> Path:
    """A PID file of the older program, which is process 1 in `old`."""
    path = tmp_path / "server.pid"
    path.write_text("1\n")
    return path


def test_pid_file_is_the_new_programs_once_the_old_one_knows(old: socket.socket, pid_path: Path) -> None:
    program = Program()
    with pid_file.written(pid_path, program):
        assert pid_path.read_text() == "1\n"
        program.announce()
        assert pid_path.read_text() == f"{os.getpid()}\n"


def test_pid_file_of_program_that_has_given_up_stays(old: socket.socket, pid_path: Path) -> None:
    program = Program()
    with pid_file.written(pid_path, program):
        old.shutdown(socket.SHUT_RD)
        program.announce()
        assert pid_path.read_text() == "1\n"
    assert pid_path.read_text() == "1\n"


def test_program_takes_the_place_of_one_that_has_crashed(
    old: socket.socket, pid_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program()
    with pid_file.written(pid_path, program):
        old.close()
        monkeypatch.setattr(pids, "exists", lambda pid: False)
        program.announce()
        assert pid_path.read_text() == f"{os.getpid()}\n"


def test_step_that_fails_does_not_prevent_the_next(old: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    program = Program()
    done: list[int] = []
    program.on_taking_over(lambda: 1 // 0)
    program.on_taking_over(lambda: done.append(1))
    program.announce()
    assert done == [1]
    assert "After the upgrade: ZeroDivisionError" in caplog.text
