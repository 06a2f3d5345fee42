"""The configuration file: what is neither on the command line nor in the environment is taken from there.

Its keys are the options' names, with hyphens or underscores, and `app`. Its values are of TOML's own types: an option
that may be repeated is a list of strings, a switch is true or false.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click
from click.core import ParameterSource

_PROJECT = "pyproject.toml"
_TABLE = "[tool.pronghorn]"

# By the names of click's types: for people, and for `isinstance`. True and false are whole numbers to Python, but to
# nobody who writes TOML.
_KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "boolean": ("true or false", (bool,)),
    "integer": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
}
_STRING = ("a string", (str,))


def option() -> click.Option:
    """`--config`, which reads the file before any other option looks for its value."""
    return click.Option(
        ["--config"],
        type=click.Path(),
        is_eager=True,
        expose_value=False,
        callback=_take,
        envvar="PRONGHORN_CONFIG",
        help="File of TOML with values for the options.  [default: pyproject.toml]",
    )


def origin(context: click.Context, parameter: str | None) -> str:
    """The configuration file, for people, if the parameter of this name has its value from there; else nothing."""
    if parameter is None or context.get_parameter_source(parameter) is not ParameterSource.DEFAULT_MAP:
        return ""
    where: str = context.meta[__name__]
    return where


def read(path: str | None, parameters: Iterable[click.Parameter]) -> tuple[str, dict[str, Any]]:
    """The values that the file at `path` has for `parameters`, by their names, after a name for people of where they
    stand. UsageError for a key that is none of theirs and for a value of the wrong type.

    Without a path it is pyproject.toml of the working directory, if that has a table of ours. Of a file of that name
    only the table counts.
    """
    content = _content(path or _PROJECT, required=path is not None)
    if content is None:
        return "", {}
    import tomllib  # not for those who have no such file

    where = path or _PROJECT
    try:
        table: Any = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{where} is not TOML: {error}") from None
    if where.endswith(_PROJECT):
        where = f"{where} {_TABLE}"
        table = table.get("tool", {}).get("pronghorn")
        if table is None and path is None:
            return "", {}
    return where, _values(where, table, list(parameters))


def kind(parameter: click.Parameter) -> str:
    """What a value for `parameter` has to be in the file, for people."""
    return "a list of strings" if parameter.multiple else _KINDS.get(parameter.type.name, _STRING)[0]


def _take(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    context.meta[__name__], context.default_map = read(path, context.command.params)


def _content(path: str, required: bool) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            content = file.read()
    except FileNotFoundError:
        if not required:
            return None
        raise click.UsageError(f"{path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from None
    return content if required or "pronghorn" in content else None


def _values(where: str, table: Any, parameters: list[click.Parameter]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise click.UsageError(f"{where} is no table of settings.")
    known = {name: each for each in parameters if each.expose_value for name in _names(each)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        parameter = known.get(key.replace("-", "_"))
        if parameter is None:
            raise click.UsageError(f"{where}: {key} is not a setting.{_suggestion(key, known)}")
        assert parameter.name is not None
        if parameter.name in values:
            raise click.UsageError(f"{where}: {key} is given twice.")
        wanted = _mismatch(parameter, value)
        if wanted is not None:
            raise click.UsageError(f"{where}: {key} has to be {wanted}.")
        values[parameter.name] = value
    return values


def _names(parameter: click.Parameter) -> set[str]:
    """`reload_dir` and `reload_dirs`: the option's name, and its name in Python."""
    return {parameter.name or "", *(option.lstrip("-").replace("-", "_") for option in parameter.opts)}


def _mismatch(parameter: click.Parameter, value: Any) -> str | None:
    """What `value` should have been, or None if it is."""
    if parameter.multiple:
        matches = isinstance(value, list) and all(type(each) is str for each in value)
    else:
        _, types = _KINDS.get(parameter.type.name, _STRING)
        matches = isinstance(value, types) and (bool in types) == isinstance(value, bool)
    return None if matches else kind(parameter)


def _suggestion(key: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    matches = get_close_matches(key.replace("-", "_"), known, n=1)
    return f" Did you mean {matches[0].replace('_', '-')}?" if matches else ""
