"""The command line: options, environment variables, their precedence and exit codes."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import pronghorn
from pronghorn.cli import commands
from pronghorn.config import config

Run = Callable[..., dict[str, Any]]


def invoke(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(commands.main, arguments, env=environment)


def test_every_parameter_has_an_option() -> None:
    options = {option.name for options in commands.TOPICS.values() for option in options}
    api_only = {"app", "callback_notify", "timeout_notify", "ssl_context_factory", "install_signals"}
    assert options == set(config.parameters()) - api_only


def test_defaults_are_those_of_config(parsed: Run) -> None:
    given = parsed("main:app")
    expected = {name: value for name, value in config.parameters().items() if name in given}
    assert given == {**expected, "app": "main:app", "app_dir": "", "headers": []}


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--host", "::1"], "host", "::1"),
        (["--port", "0"], "port", 0),
        (["--fd", "0"], "fd", 0),
        (["--no-access-log"], "access_log", False),
        (["--use-colors"], "use_colors", True),
        (["--factory"], "factory", True),
        (["--log-level", "TRACE"], "log_level", "trace"),
        (["--loop", "my.loops:make"], "loop", "my.loops:make"),
        (["--header", "X-A: 1:2", "--header", "x-b:"], "headers", [["X-A", " 1:2"], ["x-b", ""]]),
        (["--ws-per-message-deflate", "false"], "ws_per_message_deflate", False),
        (["--timeout-keep-alive", "0.5"], "timeout_keep_alive", 0.5),
        (["--reload-include", "*.html", "--reload-include", "*.css"], "reload_includes", ["*.html", "*.css"]),
        (["--app-dir", "src"], "app_dir", "src"),
    ],
    ids=str,
)
def test_option_sets_its_parameter(parsed: Run, arguments: list[str], name: str, value: Any) -> None:
    assert parsed("main:app", *arguments)[name] == value


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PORT", "81", "port", 81),
        ("ACCESS_LOG", "false", "access_log", False),
        ("SERVER_HEADER", "0", "server_header", False),
        ("FACTORY", "true", "factory", True),
        ("HEADERS", "X-A:1 X-B:2", "headers", [["X-A", "1"], ["X-B", "2"]]),
        ("LIMIT_HEAD_SIZE", "1000", "limit_head_size", 1000),
        ("LOOP", "asyncio", "loop", "asyncio"),
    ],
)
@pytest.mark.parametrize("prefix", ["PRONGHORN", "UVICORN"])
def test_variable_sets_its_parameter(parsed: Run, prefix: str, variable: str, text: str, name: str, value: Any) -> None:
    assert parsed("main:app", **{f"{prefix}_{variable}": text})[name] == value


def test_pronghorn_variables_take_precedence_over_those_of_uvicorn(parsed: Run) -> None:
    assert parsed("main:app", PRONGHORN_PORT="1", UVICORN_PORT="2")["port"] == 1


def test_arguments_take_precedence_over_the_environment(parsed: Run) -> None:
    assert parsed("main:app", "--port", "3", PRONGHORN_PORT="1", UVICORN_PORT="2")["port"] == 3


@pytest.mark.parametrize("variable", ["PRONGHORN_APP", "UVICORN_APP"])
def test_application_may_come_from_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    apps: list[str] = []
    monkeypatch.setattr(commands, "run", lambda app, **parameters: apps.append(app))
    assert invoke(**{variable: "shop:app"}).exit_code == 0
    assert apps == ["shop:app"]


@pytest.mark.parametrize("prefix", ["PRONGHORN", "UVICORN"])
@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        ("PORT", "eighty", ": Invalid value for '--port': 'eighty' is not a valid integer."),
        ("PORT", "70000", " must be a number between 0 and 65535, not 70000"),
        ("LIFESPAN", "maybe", ": Invalid value for '--lifespan': 'maybe' is not one of 'auto', 'on', 'off'."),
        ("ACCESS_LOG", "perhaps", ": Invalid value for '--access-log': 'perhaps' is not a valid boolean."),
        ("HEADERS", "colon", ": Invalid value for '--header': 'colon' must have the form Name:Value"),
        ("HEADERS", "n@me:value", ": 'n@me': 'value' is not a valid header"),
        ("WS", "quick", " must be one of auto, none, "),
        ("LIMIT_QUEUE", "9", " needs --limit-concurrency: without that, nothing waits"),
    ],
)
def test_mistake_in_the_environment_names_the_variable(prefix: str, variable: str, text: str, line: str) -> None:
    result = invoke("main:app", **{f"{prefix}_{variable}": text})
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith(f"Error: {prefix}_{variable}{line}")


@pytest.mark.parametrize("command", [(), ("check",)], ids=["serve", "check"])
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--port 70000", "--port must be a number between 0 and 65535, not 70000"),
        ("--header n@me:value", "--header: 'n@me': 'value' is not a valid header"),
        ("--limit-queue 9", "--limit-queue needs --limit-concurrency: without that, nothing waits"),
        ("--bind unix:a --fd 3", "--bind cannot be combined with --host, --port, --uds or --fd"),
        ("--worker-class thread --preload", "--preload cannot be combined with --worker-class thread: "),
        ("--access-log-format %(x)s%%", "--access-log-format: %(x)s is not an atom"),
    ],
)
def test_mistake_on_the_command_line_names_the_flag(command: tuple[str, ...], arguments: str, line: str) -> None:
    result = invoke(*command, "main:app", *arguments.split())
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith(f"Error: {line}")


@pytest.mark.parametrize("prefix", ["PRONGHORN", "UVICORN"])
def test_variables_kubernetes_sets_for_a_service_are_ignored(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []
    monkeypatch.setattr(commands, "run", lambda app, port, **parameters: ports.append(port))
    result = invoke("main:app", **{f"{prefix}_PORT": "tcp://10.0.0.1:80"})
    assert ports == [8000]
    assert result.output == (
        f"Warning: {prefix}_PORT is ignored: 'tcp://10.0.0.1:80' is the URL of a service, not a port.\n"
    )


def test_next_variable_is_used_after_an_ignored_port(parsed: Run) -> None:
    assert parsed("main:app", PRONGHORN_PORT="tcp://10.0.0.1:80", UVICORN_PORT="81")["port"] == 81


@pytest.mark.parametrize("variable", ["PRONGHORN_VERSION", "UVICORN_VERSION", "PRONGHORN_HELP", "UVICORN_HELP"])
def test_flags_that_exit_ignore_the_environment(parsed: Run, variable: str) -> None:
    assert parsed("main:app", **{variable: "1"})["app"] == "main:app"


def test_version_is_printed() -> None:
    python = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    assert invoke("--version").output == f"Running pronghorn {pronghorn.__version__} with {python}\n"


def test_help_lists_every_option_by_topic() -> None:
    text = invoke("--help").output
    for topic, options in commands.TOPICS.items():
        assert f"\n{topic}:\n" in text
        for option in options:
            assert f"  {option.opts[0]} " in text
    assert "\nOther:\n  --config PATH" in text
    assert "  --version " in text


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["main:app", "--port", "70000"],
        ["main:app", "--port", "eighty"],
        ["main:app", "--timeout-head", "-1"],
        ["main:app", "--lifespan", "maybe"],
        ["main:app", "--loop", "quick"],
        ["main:app", "--header", "no colon"],
        ["main:app", "--header", "name:a\r\nb: c"],
        ["main:app", "--log-config", "/does/not/exist"],
        ["main:app", "--nothing"],
    ],
    ids=" ".join,
)
def test_mistake_is_a_usage_error(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == click.UsageError.exit_code == 2
    assert result.output.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["missing"], 'Import string "missing" must be in format "<module>:<attribute>". Example: "missing:app".'),
        (["sys:missing"], 'Attribute "missing" not found in module "sys". The imported module is built in.'),
    ],
    ids=str,
)
def test_missing_application_exits_with_3(arguments: list[str], line: str, loggers: None) -> None:
    result = invoke("--no-use-colors", *arguments)
    assert (result.exit_code, result.output) == (3, f"ERROR:    Error loading ASGI app. {line}\n")


def test_error_in_the_application_is_shown_from_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import missing_requirement\n")
    command = [sys.executable, "-m", "pronghorn", "broken:app", "--app-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    line = 'ERROR:    Error loading ASGI app. Module "broken" raised ModuleNotFoundError when it was imported.'
    assert done.stderr.splitlines() == [
        f'{line} Is "missing_requirement" installed in {sys.prefix}?',
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/broken.py", line 1, in <module>',
        "    import missing_requirement",
        "ModuleNotFoundError: No module named 'missing_requirement'",
    ]
