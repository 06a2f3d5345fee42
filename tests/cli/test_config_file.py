"""The configuration file: its settings, their precedence, and the messages for mistakes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pronghorn.cli import commands

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(*arguments: str) -> str:
    """The message of a usage error."""
    result = CliRunner().invoke(commands.main, arguments)
    assert result.exit_code == 2
    return result.output.splitlines()[-1].removeprefix("Error: ")


def project(text: str) -> None:
    Path("pyproject.toml").write_text(f"[tool.pronghorn]\n{text}\n")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("port = 81", "port", 81),
        ("timeout-keep-alive = 1", "timeout_keep_alive", 1),
        ("timeout_keep_alive = 0.5", "timeout_keep_alive", 0.5),
        ("access-log = false", "access_log", False),
        ("factory = true", "factory", True),
        ("ws-per-message-deflate = false", "ws_per_message_deflate", False),
        ('log-level = "TRACE"', "log_level", "trace"),
        ('loop = "my.loops:make"', "loop", "my.loops:make"),
        ('header = ["X-A: b c", "X-B:"]', "headers", [["X-A", " b c"], ["X-B", ""]]),
        ('headers = ["X-A:1"]', "headers", [["X-A", "1"]]),
        ('reload-dir = ["."]', "reload_dirs", ["."]),
        ('reload_dirs = [".", ".."]', "reload_dirs", [".", ".."]),
        ("workers = 3", "workers", 3),
    ],
)
@pytest.mark.parametrize("explicit", [False, True])
def test_setting_becomes_parameter(parsed: Run, text: str, name: str, value: Any, explicit: bool) -> None:
    if explicit:
        Path("server.toml").write_text(text)
        assert parsed("main:app", "--config", "server.toml")[name] == value
    else:
        project(text)
        assert parsed("main:app")[name] == value


def test_file_may_name_application(parsed: Run) -> None:
    project('app = "shop:app"')
    assert parsed()["app"] == "shop:app"
    assert parsed("main:app")["app"] == "main:app"
    assert parsed(UVICORN_APP="old:app")["app"] == "old:app"


def test_options_precede_environment_and_environment_precedes_file(parsed: Run) -> None:
    project("port = 1\nhost = '1.1.1.1'\nbacklog = 1\naccess-log = false\nheader = ['a:1']")
    environment = {"PRONGHORN_HOST": "2.2.2.2", "UVICORN_BACKLOG": "2", "PRONGHORN_PORT": "2"}
    given = parsed("main:app", "--port", "3", "--access-log", "--header", "a:3", **environment)
    assert [given[name] for name in ("port", "host", "backlog")] == [3, "2.2.2.2", 2]
    assert (given["access_log"], given["headers"], given["root_path"]) == (True, [["a", "3"]], "")


def test_given_file_replaces_file_of_project(parsed: Run) -> None:
    project("port = 1\nbacklog = 1")
    Path("server.toml").write_text("port = 2")
    given = parsed("main:app", "--config", "server.toml")
    assert (given["port"], given["backlog"]) == (2, 2048)
    assert parsed("main:app", PRONGHORN_CONFIG="server.toml")["port"] == 2


def test_given_file_may_be_another_project(parsed: Run, folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other/pyproject.toml").write_text('[project]\nname = "other"\n[tool.pronghorn]\nport = 4\n')
    assert parsed("main:app", "--config", "other/pyproject.toml")["port"] == 4


@pytest.mark.parametrize("text", ["", '[project]\nname = "pronghorn"', "[tool.other]\nport = 1", "broken ="])
def test_project_without_our_table_is_ignored(parsed: Run, text: str) -> None:
    Path("pyproject.toml").write_text(text)
    assert parsed("main:app")["port"] == 8000


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prot = 1", "prot is not a setting. Did you mean port?"),
        ("nothing-like-it = 1", "nothing-like-it is not a setting."),
        ('version = "1"', "version is not a setting."),
        ('config = "a"', "config is not a setting."),
        ('port = "80"', "port must be a whole number."),
        ("port = true", "port must be a whole number."),
        ("port = 1.5", "port must be a whole number."),
        ("timeout-head = true", "timeout-head must be a number."),
        ("access-log = 1", "access-log must be true or false."),
        ("host = 1", "host must be a string."),
        ("app = 1", "app must be a string."),
        ('header = "a:b"', "header must be a list of strings."),
        ("header = [1]", "header must be a list of strings."),
        ("log-level = 'info'\nlog_level = 'info'", "log_level is given twice."),
        ("port = 70000", "port must be a number between 0 and 65535, not 70000"),
        ("limit_queue = 9", "limit-queue needs --limit-concurrency: "),
        ("limit-queue = 9\nlimit-concurrency = 0", "limit-queue needs limit-concurrency: "),
        ("[tool.pronghorn.ssl]\nkeyfile = 'a'", "ssl is not a setting."),
    ],
)
def test_invalid_setting_is_refused(text: str, line: str) -> None:
    project(text)
    assert refusal("main:app").startswith(f"pyproject.toml [tool.pronghorn]: {line}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('lifespan = "maybe"', ["--lifespan", "'maybe' is not one of"]),
        ('log-config = "missing.json"', ["--log-config", "'missing.json' does not exist"]),
        ('header = ["no colon"]', ["--header", "'no colon' must have the form Name:Value"]),
    ],
)
def test_value_refused_by_option_is_reported_with_file(text: str, words: list[str]) -> None:
    project(text)
    line = refusal("main:app")
    assert line.startswith("pyproject.toml [tool.pronghorn]: Invalid value for ")
    assert all(word in line for word in words)


def test_mistake_on_command_line_is_reported_without_file() -> None:
    project("backlog = 1")
    assert refusal("main:app", "--port", "70000") == "--port must be a number between 0 and 65535, not 70000"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("missing.toml", None, "missing.toml does not exist."),
        (".", None, ". cannot be read: "),
        ("server.toml", "port = ", "server.toml is not valid TOML: "),
        ("server.toml", "prot = 1", "server.toml: prot is not a setting. Did you mean port?"),
        ("pyproject.toml", "port = 1", "pyproject.toml [tool.pronghorn] must be a table of settings."),
        ("pyproject.toml", "[tool]\npronghorn = 1", "pyproject.toml [tool.pronghorn] must be a table of settings."),
    ],
)
def test_invalid_file_is_refused(name: str, text: str | None, line: str) -> None:
    if text is not None:
        Path(name).write_text(text)
    assert refusal("main:app", "--config", name).startswith(line)


def test_empty_file_turns_settings_off(parsed: Run) -> None:
    project("port = 1")
    assert parsed("main:app", PRONGHORN_CONFIG=os.devnull)["port"] == 8000


def test_broken_project_file_that_names_us_is_refused() -> None:
    project("port = ")
    assert refusal("main:app").startswith("pyproject.toml is not valid TOML: ")


def test_help_and_version_work_with_invalid_file() -> None:
    project("prot = 1")
    for flag in ("--help", "--version"):
        assert CliRunner().invoke(commands.main, [flag]).exit_code == 0
