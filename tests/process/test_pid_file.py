"""`--pid-file`: one living process at a time, a complete file, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.errors import StartupError
from pronghorn.process import pid_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server.pid"


@pytest.fixture
def ended() -> int:
    """The PID of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_file_holds_pid_during_block_only(path: Path) -> None:
    with pid_file.written(path):
        assert path.read_text() == f"{os.getpid()}\n"
        assert path.stat().st_mode & 0o777 == 0o644 or os.name == "nt"
        assert [path] == list(path.parent.iterdir())
    assert not path.exists()


def test_stale_file_is_replaced(path: Path, ended: int) -> None:
    path.write_text(f"{ended}\n")
    with pid_file.written(path):
        assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["", "9" * 30])
def test_file_without_possible_pid_is_replaced(path: Path, content: str) -> None:
    path.write_text(content)
    with pid_file.written(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_file_with_our_own_pid_is_replaced(path: Path) -> None:
    """In a container, the process before had the same PID."""
    path.write_text(str(os.getpid()))
    with pid_file.written(path):
        pass
    assert not path.exists()


def test_file_of_living_process_is_refused_and_kept(path: Path) -> None:
    path.write_text(str(os.getppid()))
    with (
        pytest.raises(StartupError, match=rf"names the running process {os.getppid()}\. Stop it first\."),
        pid_file.written(path),
    ):
        pass
    assert path.read_text() == str(os.getppid())


def test_other_file_is_refused_and_kept(path: Path) -> None:
    path.write_text("root:x:0:0")
    with pytest.raises(StartupError, match="is not a PID file"), pid_file.written(path):
        pass
    assert path.read_text() == "root:x:0:0"


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(StartupError, match=r"Cannot write --pid-file '.*': No such file or directory\."),
        pid_file.written(tmp_path / "missing" / "server.pid"),
    ):
        pass


@pytest.mark.parametrize("content", ["1", "something else"])
def test_file_that_another_process_took_over_is_kept(path: Path, content: str) -> None:
    with pid_file.written(path):
        path.write_text(content)
    assert path.read_text() == content


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_child_does_not_remove_file(path: Path) -> None:
    block = pid_file.written(path)
    block.__enter__()
    if not (child := os.fork()):
        block.__exit__(None, None, None)
        os._exit(0 if path.exists() else 1)
    assert os.waitpid(child, 0)[1] == 0
    block.__exit__(None, None, None)
    assert not path.exists()


def test_relative_path_survives_change_of_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pid_file.written(path.name):
        monkeypatch.chdir("/")
    assert not path.exists()


@pytest.fixture
def closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path in a folder in which no file may be created or removed."""

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pid_file.tempfile, "mkstemp", refuse)
    monkeypatch.setattr(os, "unlink", refuse)
    return path


def test_file_in_a_closed_folder_is_overwritten_and_emptied(closed: Path, caplog: pytest.LogCaptureFixture) -> None:
    closed.write_text(f"{'9' * 30}\n")
    with pid_file.written(closed):
        assert closed.read_text() == f"{os.getpid()}\n"
    assert closed.read_text() == ""
    assert "Cannot remove --pid-file" in caplog.text


def test_missing_file_in_a_closed_folder_is_reported(closed: Path) -> None:
    with (
        pytest.raises(StartupError, match=r"Cannot write --pid-file '.*': "),
        pid_file.written(closed),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no owners of this kind")
def test_only_our_own_file_is_given_away(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: given.append(uid))
    other = tmp_path / "other"
    other.write_text("")
    with pid_file.written(path) as file:
        file.give(1, 1)
        path.unlink()
        path.symlink_to(other)
        file.give(2, 2)
        path.unlink()
        os.link(other, path)
        file.give(3, 3)
    assert given == [1]
