"""The description of an interpreter's build."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

pytest.importorskip("psutil")

from pronghorn.bench import build
from pronghorn.bench.machine import Interpreter


@pytest.mark.parametrize(
    ("flags", "profiled", "expected"),
    [
        ("'--enable-optimizations' '--with-lto'", None, ["PGO", "LTO"]),
        ("'--enable-optimizations'", False, ["PGO", "no LTO"]),
        ("-O3 -fprofile-use -flto", True, ["PGO", "LTO"]),
        ("'--with-lto=thin'", False, ["no PGO", "LTO"]),
        ("'--enable-shared'", False, ["no PGO", "no LTO"]),
        ("'--enable-shared'", True, ["PGO", "LTO unknown"]),
        ("'--enable-shared'", None, ["PGO unknown", "LTO unknown"]),
    ],
    ids=["both", "pgo", "flags", "lto", "neither", "debian", "unknown"],
)
def test_flags_and_layout_tell_the_optimizations(flags: str, profiled: bool | None, expected: list[str]) -> None:
    assert build.optimizations(flags, profiled) == expected


@pytest.mark.parametrize(
    ("frequent", "rare", "profiled"),
    [([True, True], [True, True], False), ([True, True], [True, False], True), ([True, False], [False], None)],
    ids=["all aligned", "rare not aligned", "nothing aligned"],
)
def test_only_rare_functions_without_alignment_show_a_profile(
    monkeypatch: pytest.MonkeyPatch, frequent: list[bool], rare: list[bool], profiled: bool | None
) -> None:
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(build, "aligned", {build.FREQUENT: frequent, build.RARE: rare}.__getitem__)
    assert build.aligns_frequent_functions_only() is profiled


def test_layout_tells_nothing_on_other_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.platform, "machine", lambda: "aarch64")
    assert build.aligns_frequent_functions_only() is None


def test_functions_that_do_not_exist_are_skipped() -> None:
    assert build.aligned(["Py_no_such_function"]) == []
    assert len(build.aligned(["PyList_Append"])) == 1


def test_without_a_configuration_only_the_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.sysconfig, "get_config_var", lambda name: None)
    assert build.describe() == build.platform.python_compiler()


def test_free_threading_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    assert build.describe().endswith(", free-threaded")


def test_version_of_the_interpreter_says_how_it_was_built() -> None:
    assert Interpreter(sys.executable).versions["python"].endswith(f"({build.describe()})")


def test_source_runs_alone() -> None:
    source = f"{inspect.getsource(build)}\nprint(describe())"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == build.describe()
