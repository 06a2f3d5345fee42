"""Checks of the configuration files in the documentation: the program for each file reads it, if it is installed."""

from __future__ import annotations

import configparser
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import click
import yaml

from pronghorn.cli import commands, config_file
from tools.web_servers import nginx_configuration, program

SECONDS = 20


def check(language: str, path: Path, certificates: Any) -> None:
    """Fail if the file's program would refuse it, or if it starts pronghorn with unknown options."""
    text = path.read_text(encoding="utf-8")
    _CHECKS[language](path, text, certificates)
    environment = _environment(language, text)
    for command in _commands(language, text):
        check_command(command, environment)


def check_command(words: list[str], environment: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Fail if the words, or the variables, start pronghorn with unknown options. Return the values of all options."""
    if not words or Path(words[0]).name != "pronghorn":
        return {}
    known = {name for parameter in commands.main.params for name in parameter.envvar or ()}
    for name in environment:
        if name.startswith("PRONGHORN_") and name not in known:
            raise click.NoSuchOption(name)
    try:
        with mock.patch.dict(os.environ, environment):
            return commands.main.make_context("pronghorn", [re.sub(r"^\$\w+$", "1", word) for word in words[1:]]).params
    except click.BadParameter as error:
        if "does not exist" not in error.format_message():
            raise
    return {}


def _check_python(path: Path, text: str, certificates: Any) -> None:
    compile(text, path.name, "exec")


def _check_toml(path: Path, text: str, certificates: Any) -> None:
    if "pronghorn" in tomllib.loads(text).get("tool", {}):
        config_file.read(str(path.rename(path.with_name("pyproject.toml"))), commands.main.params)


def _check_json(path: Path, text: str, certificates: Any) -> None:
    json.loads(text)


def _check_yaml(path: Path, text: str, certificates: Any) -> None:
    assert list(yaml.safe_load_all(text))


def _check_ini(path: Path, text: str, certificates: Any) -> None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    if path.suffix in (".service", ".socket") and shutil.which("systemd-analyze"):
        _check_unit(path, text)


def _check_unit(path: Path, text: str) -> None:
    """Verify a unit. Its program, user and folders do not exist on this machine."""
    path.write_text(re.sub(r"(?m)^(Exec\w+=)\S+", rf"\1{sys.executable}", text))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=SECONDS
    )
    said = [line for line in done.stderr.splitlines() if re.search(rf"{path.name}:\d+: ", line)]
    assert not said, "\n".join(said)


def _check_nginx(path: Path, text: str, certificates: Any) -> None:
    assert text.count("{") == text.count("}")
    if not (nginx := program("nginx")):
        return
    # An ordinary user may neither bind ports below 1024 nor write to nginx's usual folders.
    sockets = itertools.count()
    text = re.sub(r"\blisten\s+(?:\[::\]:)?\d+", lambda _: f"listen unix:{path.parent}/{next(sockets)}.sock", text)
    files = {"ssl_certificate": certificates.certificate, "ssl_certificate_key": certificates.key}
    text = re.sub(r"\b(ssl_certificate(?:_key)?)\s+[^;]+;", lambda found: f"{found[1]} {files[found[1]]};", text)
    path.write_text(nginx_configuration(text))
    command = [nginx, "-t", "-q", "-p", str(path.parent), "-c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr


def _check_dockerfile(path: Path, text: str, certificates: Any) -> None:
    words = {line.split()[0] for line in text.replace("\\\n", " ").splitlines() if line and line[0] not in "# "}
    assert words <= {"FROM", "RUN", "COPY", "WORKDIR", "USER", "ENV", "EXPOSE", "CMD", "ENTRYPOINT", "HEALTHCHECK"}


def _check_text(path: Path, text: str, certificates: Any) -> None:
    assert text.strip()


_CHECKS = {
    "python": _check_python,
    "toml": _check_toml,
    "json": _check_json,
    "yaml": _check_yaml,
    "ini": _check_ini,
    "nginx": _check_nginx,
    "dockerfile": _check_dockerfile,
    "text": _check_text,
}
LANGUAGES = frozenset(_CHECKS)


def _environment(language: str, text: str) -> dict[str, str]:
    """The environment variables that a file gives its processes."""
    if language == "ini":
        found = re.findall(r"(?m)^Environment=(.*)", text.replace("%%", "%"))
    else:
        found = re.findall(r"(?m)^ENV (.*)", text) if language == "dockerfile" else []
    return dict(each.split("=", 1) for line in found for each in shlex.split(line))


def _commands(language: str, text: str) -> Iterator[list[str]]:
    """Yield the words of each command in a file that starts processes."""
    if language == "ini":
        for found in re.findall(r"(?m)^Exec\w+=(.*)", text.replace("%%", "%")):
            yield shlex.split(found)
    elif language == "dockerfile":
        for found in re.findall(r"(?m)^(?:CMD|ENTRYPOINT) (\[.*\])", text.replace("\\\n", " ")):
            yield json.loads(found)
    elif language == "yaml":
        for document in yaml.safe_load_all(text):
            yield from _lists_in(document)
    elif language == "text":
        for found in re.findall(r"(?m)^\w+: (.*)", text):  # a Procfile
            yield shlex.split(found)


def _lists_in(value: Any) -> Iterator[list[str]]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        yield value
    elif isinstance(value, str) and value.startswith("pronghorn "):
        yield shlex.split(value)
    else:
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from _lists_in(each)
