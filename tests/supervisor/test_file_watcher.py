"""`--reload`: the files to watch, and the report of their changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from pronghorn.supervisor import file_watcher
from pronghorn.supervisor.file_watcher import Files, Watcher

PATIENCE = 20


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a package, a hidden file and a directory of tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("shop/main.py", "shop/page.html", "tests/case.py", ".env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def files(**parameters: Any) -> Files:
    return Files(**{name.removeprefix("reload_"): value for name, value in parameters.items()})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["."]),
        ({"reload_dirs": "shop"}, ["shop"]),
        ({"reload_dirs": ["shop", "tests", "shop"]}, ["shop", "tests"]),
        ({"reload_dirs": ["shop", "."]}, ["."]),
        ({"reload_dirs": ["missing"]}, ["."]),
        ({"reload_includes": ["shop"]}, ["shop"]),
        ({"reload_includes": ["sh*", "*.py"]}, ["shop"]),
        ({"reload_dirs": ["shop", "tests"], "reload_excludes": ["tests"]}, ["shop"]),
    ],
    ids=str,
)
def test_watched_directories(folder: Path, parameters: dict[str, Any], expected: list[str]) -> None:
    assert files(**parameters).directories == [(folder / each).resolve() for each in expected]


@pytest.mark.parametrize(
    ("parameters", "path", "is_watched"),
    [
        ({}, "shop/main.py", True),
        ({}, "shop/main.pyc", False),
        ({}, "shop/page.html", False),
        ({}, "shop/.main.py", False),
        ({}, "shop/~main.py", False),
        ({"reload_includes": ["*.html"]}, "shop/page.html", True),
        ({"reload_includes": ["*.html"]}, "shop/main.py", True),
        ({"reload_includes": ["*.html"], "reload_excludes": ["*.py"]}, "shop/main.py", False),
        ({"reload_includes": [".env"]}, ".env", True),
        ({"reload_includes": [".*"]}, ".env", True),
        ({"reload_excludes": "tests"}, "tests/case.py", False),
        ({"reload_excludes": ["case*"]}, "tests/case.py", False),
        ({"reload_excludes": ["tests/*"]}, "tests/case.py", False),
        ({"reload_excludes": ["tests"]}, "shop/main.py", True),
    ],
    ids=str,
)
def test_watched_files(folder: Path, parameters: dict[str, Any], path: str, is_watched: bool) -> None:
    assert files(**parameters).is_watched((folder / path).resolve()) is is_watched


@pytest.fixture(params=["WatchFiles", "StatReload"])
def watcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    if request.param == "StatReload":
        monkeypatch.setattr(file_watcher, "find_spec", lambda name: None)
    elif find_spec("watchfiles") is None:
        pytest.skip("watchfiles is not installed")
    with Watcher(files(), 0.05) as watcher:
        assert watcher.name == request.param
        yield watcher


def changes(watcher: Watcher) -> list[str]:
    assert wait([watcher.changes], PATIENCE)
    return watcher.read()


def test_changed_new_and_removed_files_are_reported(folder: Path, watcher: Watcher) -> None:
    page, module, new = (folder.resolve() / "shop" / name for name in ("page.html", "main.py", "new.py"))
    wait_until_watching(folder, watcher)
    page.write_text("no matter")
    module.write_text("changed")
    assert changes(watcher) == [str(module)]
    new.write_text("")
    assert changes(watcher) == [str(new)]
    new.unlink()
    assert changes(watcher) == [str(new)]


def wait_until_watching(folder: Path, watcher: Watcher) -> None:
    # The thread starts to watch at an unknown time: change a file until it reports that.
    beacon = folder / "beacon.py"
    count = 0
    while not watcher.changes.poll(0.1):
        count += 1
        beacon.write_text("#" * count)
        os.utime(beacon, (count, count))
    while watcher.changes.poll(0.5):
        watcher.read()


def test_modification_times_are_compared_if_the_system_refuses_to_watch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: Any) -> Iterator[set[str]]:
        raise OSError("watch limit reached")

    monkeypatch.setattr(file_watcher, "_watch_notifications", refuse)
    monkeypatch.setattr(file_watcher, "find_spec", lambda name: object())
    with Watcher(files(), 0.05) as watcher:
        wait_until_watching(folder, watcher)
    assert caplog.messages == ["WatchFiles cannot watch (watch limit reached): comparing modification times instead."]
