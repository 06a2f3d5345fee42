"""Log files that are moved or given to another user while they are open."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.logging import log_files

needs_root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give files away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("written")
    yield logger
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()


@pytest.mark.parametrize("mode", ["a", "w"])
def test_moved_file_is_opened_again(path: Path, logger: logging.Logger, mode: str) -> None:
    logger.addHandler(logging.FileHandler(path, mode))
    logger.warning("first")
    moved = path.rename(path.with_suffix(".1"))
    log_files.reopen()
    logger.warning("second")
    assert (moved.read_text(), path.read_text()) == ("first\n", "second\n")


def test_new_file_of_logrotate_is_used(path: Path, logger: logging.Logger) -> None:
    logger.addHandler(logging.FileHandler(path))
    path.rename(path.with_suffix(".1"))
    path.touch()
    log_files.reopen()
    logger.warning("second")
    assert path.read_text() == "second\n"


def test_file_in_its_place_is_not_truncated(path: Path, logger: logging.Logger) -> None:
    logger.addHandler(logging.FileHandler(path, "w"))
    logger.warning("first")
    log_files.reopen()
    logger.warning("second")
    assert path.read_text() == "first\nsecond\n"


def test_file_behind_other_handlers_is_opened_again(path: Path, logger: logging.Logger) -> None:
    class Queued(logging.handlers.QueueHandler):
        """As `logging.config` makes one since Python 3.12."""

        def __init__(self, handler: logging.Handler) -> None:
            super().__init__(queue.Queue())
            self.listener = logging.handlers.QueueListener(self.queue, handler)

    file = logging.FileHandler(path)
    logger.addHandler(Queued(logging.handlers.MemoryHandler(1, target=file)))
    path.rename(path.with_suffix(".1"))
    log_files.reopen()
    file.close()
    assert path.exists()


def test_file_that_is_not_open_yet_is_left_alone(path: Path, logger: logging.Logger) -> None:
    logger.addHandler(logging.FileHandler(path, delay=True))
    log_files.reopen()
    assert not path.exists()


def test_file_that_cannot_be_opened_stays_open_and_others_follow(
    tmp_path: Path, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    logger.addHandler(logging.FileHandler(folder / "first.log"))
    logger.addHandler(logging.FileHandler(tmp_path / "second.log"))
    moved = folder.rename(tmp_path / "moved") / "first.log"
    (tmp_path / "second.log").rename(tmp_path / "second.1")
    log_files.reopen()
    assert [line.startswith(f"Cannot reopen the log file '{folder}/first.log': ") for line in caplog.messages] == [True]
    logger.warning("still")
    assert moved.read_text() == (tmp_path / "second.log").read_text() == "still\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the name of a descriptor")
def test_standard_streams_follow_the_file_they_were_sent_to(tmp_path: Path) -> None:
    program = f"""
import os, sys
from pronghorn.logging import log_files, streams
streams.remember_files()
print("first", flush=True)
os.rename({str(tmp_path / "out")!r}, {str(tmp_path / "out.1")!r})
log_files.reopen()
print("second", flush=True)
print("third", file=sys.stderr)
"""
    with open(tmp_path / "out", "w") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, stderr=out, check=True, timeout=60)
    assert (tmp_path / "out.1").read_text() == "first\n"
    assert (tmp_path / "out").read_text() == "second\nthird\n"


@needs_root
def test_open_file_is_given_away(path: Path, logger: logging.Logger) -> None:
    logger.addHandler(logging.FileHandler(path))
    log_files.give(12345, 54321)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


@needs_root
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_link_to_file_of_root_is_not_given_away(path: Path, logger: logging.Logger, link: object) -> None:
    secret = path.with_name("secret")
    secret.touch()
    assert callable(link)
    link(secret, path)
    logger.addHandler(logging.FileHandler(path))
    log_files.give(12345, 54321)
    assert secret.stat().st_uid == 0
