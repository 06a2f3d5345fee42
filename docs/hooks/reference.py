"""Generate the configuration reference and the list of limits from the table of parameters."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import click

from pronghorn.cli import commands, config_file
from pronghorn.config.parameters import PARAMETERS, Parameter, Topic

_MARK = "<!-- every option -->"
_LIMITS_MARK = "<!-- every limit -->"
_UNITS = {"bytes": " bytes", "seconds": " s", "": ""}
_LITERAL = re.compile(r"(--[a-z-]+[a-z]|%\(\w+\)s|\[?\w+\]?:(?://)?[A-Z]+)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    for mark, made in ((_MARK, reference), (_LIMITS_MARK, limits)):
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    return markdown


def reference() -> str:
    """Return Markdown: a section per topic of `--help`, an entry per option, then the Python-only parameters."""
    parts: list[str] = []
    for topic, options in commands.TOPICS.items():
        parts += [f"## {topic}", *map(_option, options)]
    return "\n\n".join([*parts, "## Python only", *_python_only()])


def limits() -> str:
    """A table of what a client may cost: each limit, its default and what happens beyond it."""
    rows = [_limit(each) for topic in Topic for each in PARAMETERS.values() if each.topic is topic and each.exceeded]
    return "\n".join(["| flag | default | then |", "| --- | ---: | --- |", *rows])


def _limit(parameter: Parameter) -> str:
    anchor = parameter.flag.removeprefix("--")
    default = "none"
    if parameter.default is not None:
        default = f"{parameter.default:,}".removesuffix(".0") + _UNITS[parameter.unit]
    return f"| [`{parameter.flag}`](configuration.md#{anchor}) | {default} | {parameter.exceeded} |"


def _option(option: click.Option) -> str:
    parameter = PARAMETERS[option.name or ""]
    facts = {
        "Default": parameter.default_text or _default(option),
        "Values": _values(parameter),
        "Environment": ", ".join(f"<code>{each}</code>" for each in option.envvar or ()),
        "File": f"<code>{escape(_key(option))}</code>, {_kind(option)}",
        "Python": f"<code>{escape(_signature(parameter))}</code>",
    }
    flags = " / ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
    return _entry(flags, parameter, facts)


def _python_only() -> list[str]:
    return [
        _entry(f"`{each.name}`", each, {"Python": f"<code>{escape(_signature(each))}</code>"})
        for each in PARAMETERS.values()
        if each.topic is None
    ]


def _entry(heading: str, parameter: Parameter, facts: dict[str, str]) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items() if value)
    anchor = parameter.name.replace("_", "-")
    text = parameter.help.replace("*", "\\*")
    if parameter.topic is not None:
        text = _LITERAL.sub(r"`\1`", text)
    return f'### {heading} {{ #{anchor} .option }}\n\n{text}\n\n<dl class="option">{rows}</dl>'


def _default(option: click.Option) -> str:
    value = option.default
    if value is None or value == "" or option.multiple:
        return ""
    if option.is_flag:
        return "on" if value else "off"
    return f"<code>{str(value).lower() if isinstance(value, bool) else value}</code>"


def _values(parameter: Parameter) -> str:
    listed = [f"<code>{each}</code>" for each in parameter.choices or parameter.levels or parameter.names or ()]
    return ", ".join([*listed, "module:attribute"] if parameter.names else listed)


def _key(option: click.Option) -> str:
    return option.opts[0].removeprefix("--")


def _kind(option: click.Option) -> str:
    return "a list of strings" if option.multiple else config_file.kind(option)


def _signature(parameter: Parameter) -> str:
    """The parameter as Python declares it."""
    default = "LOGGING_CONFIG" if parameter.name == "log_config" else repr(parameter.default)
    return f"{parameter.name}: {parameter.annotation} = {default}"
