"""Which files count, and that their changes are told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from pronghorn import watch
from pronghorn.config import Config
from pronghorn.watch import Files, Watcher

PATIENCE = 20


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a package, a hidden file, a directory of tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("shop/main.py", "shop/page.html", "tests/case.py", ".env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def files(**parameters: Any) -> Files:
    return Files(Config("main:app", log_config=None, reload=True, **parameters))


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
def test_directories(folder: Path, parameters: dict[str, Any], expected: list[str]) -> None:
    assert files(**parameters).directories == [(folder / each).resolve() for each in expected]


@pytest.mark.parametrize(
    ("parameters", "path", "counts"),
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
def test_what_counts(folder: Path, parameters: dict[str, Any], path: str, counts: bool) -> None:
    assert files(**parameters).count((folder / path).resolve()) is counts


@pytest.fixture(params=["WatchFiles", "StatReload"])
def watcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    if request.param == "StatReload":
        monkeypatch.setattr(watch, "find_spec", lambda name: None)
    elif find_spec("watchfiles") is None:
        pytest.skip("watchfiles is not installed")
    with Watcher(files(), 0.05) as watcher:
        assert watcher.name == request.param
        yield watcher


def changes(watcher: Watcher) -> list[str]:
    assert wait([watcher.changes], PATIENCE)
    return watcher.read()


def test_changes_are_told(folder: Path, watcher: Watcher) -> None:
    page, module, new = (folder.resolve() / "shop" / name for name in ("page.html", "main.py", "new.py"))
    until_it_watches(folder, watcher)
    page.write_text("no matter")
    module.write_text("changed")
    assert changes(watcher) == [str(module)]
    new.write_text("")
    assert changes(watcher) == [str(new)]
    new.unlink()
    assert changes(watcher) == [str(new)]


def until_it_watches(folder: Path, watcher: Watcher) -> None:
    # The thread has begun to watch at some time; a file that keeps changing is found then.
    beacon = folder / "beacon.py"
    count = 0
    while not watcher.changes.poll(0.1):
        count += 1
        beacon.write_text("#" * count)
        os.utime(beacon, (count, count))
    while watcher.changes.poll(0.5):
        watcher.read()


def test_where_the_system_refuses_to_notify_times_are_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: Any) -> Iterator[set[str]]:
        raise OSError("watch limit reached")

    monkeypatch.setattr(watch, "_notified", refuse)
    monkeypatch.setattr(watch, "find_spec", lambda name: object())
    with Watcher(files(), 0.05) as watcher:
        until_it_watches(folder, watcher)
    assert caplog.messages == [
        "WatchFiles cannot watch (watch limit reached): looking at the times of the files instead."
    ]
