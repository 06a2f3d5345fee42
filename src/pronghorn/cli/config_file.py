"""The configuration file: it gives values that neither the command line nor the environment gives.

Keys are the names of options, with hyphens or underscores, and `app`. Values have TOML's types: a list of strings for
a repeatable option, true or false for a switch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click
from click.core import ParameterSource

_PROJECT = "pyproject.toml"
_TABLE = "[tool.pronghorn]"

# By the names of click's types: a description, and types for `isinstance`. To Python, but not to TOML, a boolean is an
# integer.
_KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "boolean": ("true or false", (bool,)),
    "integer": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
}
_STRING = ("a string", (str,))


def option() -> click.Option:
    """`--config`, which reads the file before the other options are processed."""
    return click.Option(
        ["--config"],
        type=click.Path(),
        is_eager=True,
        expose_value=False,
        callback=_take,
        envvar="PRONGHORN_CONFIG",
        help="TOML file with values for the options.  [default: pyproject.toml]",
    )


def origin(context: click.Context, parameter: str | None) -> str:
    """A description of the configuration file if this parameter's value comes from it, else an empty string."""
    if parameter is None or context.get_parameter_source(parameter) is not ParameterSource.DEFAULT_MAP:
        return ""
    where: str = context.meta[__name__]
    return where


def read(path: str | None, parameters: Iterable[click.Parameter]) -> tuple[str, dict[str, Any]]:
    """Read a configuration file: returns a description of it, and values by the names of `parameters`.

    Without a path, the file is the pyproject.toml of the working directory, if that has the table [tool.pronghorn]. Of
    a file with that name, only this table is read. Raises UsageError for an unknown key and for a wrong type.
    """
    content = _content(path or _PROJECT, required=path is not None)
    if content is None:
        return "", {}
    import tomllib  # only needed with a file

    where = path or _PROJECT
    try:
        table: Any = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{where} is not valid TOML: {error}") from None
    if where.endswith(_PROJECT):
        where = f"{where} {_TABLE}"
        table = table.get("tool", {}).get("pronghorn")
        if table is None and path is None:
            return "", {}
    return where, _values(where, table, list(parameters))


def kind(parameter: click.Parameter) -> str:
    """The description of a value for `parameter` in the file."""
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
        raise click.UsageError(f"{where} must be a table of settings.")
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
            raise click.UsageError(f"{where}: {key} must be {wanted}.")
        values[parameter.name] = value
    return values


def _names(parameter: click.Parameter) -> set[str]:
    """The names of an option and of its parameter, like `reload_dir` and `reload_dirs`."""
    return {parameter.name or "", *(option.lstrip("-").replace("-", "_") for option in parameter.opts)}


def _mismatch(parameter: click.Parameter, value: Any) -> str | None:
    """The description of a valid value, or None if `value` is one."""
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
