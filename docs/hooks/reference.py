"""The configuration's reference: every parameter, from the code that reads it."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from dataclasses import fields
from html import escape
from typing import Any

import click

from pronghorn import cli, config, settings

_MARK = "<!-- every option -->"
_LITERAL = re.compile(r"(--[a-z-]+[a-z]|%\(\w+\)s|\[?\w+\]?:(?://)?[A-Z]+)")
_STATED_DEFAULT = re.compile(r"\s*\[default: (.*)\]$")


def on_page_markdown(markdown: str, **_: Any) -> str:
    return markdown.replace(_MARK, reference())


def reference() -> str:
    """Markdown: a section for each topic of `--help`, in it one for each option; then what only Python can say."""
    parts: list[str] = []
    for topic, options in cli.TOPICS.items():
        parts += [f"## {topic}", *map(_option, options)]
    return "\n\n".join([*parts, "## Only in Python", *_python_only()])


def _option(option: click.Option) -> str:
    text, stated = _text(option.help or "")
    name = option.name or ""
    facts = {
        "Default": stated or _default(option),
        "Values": _values(option),
        "Environment": ", ".join(f"<code>{each}</code>" for each in option.envvar or ()),
        "File": f"<code>{escape(_key(option))}</code>, {_kind(option)}",
        "Python": f"<code>{escape(_signature(name))}</code>",
    }
    flags = " / ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
    return _entry(flags, name, text, facts)


def _python_only() -> list[str]:
    told = {option.name for options in cli.TOPICS.values() for option in options}
    texts = _docstrings()
    return [
        _entry(f"`{name}`", name, texts[name], {"Python": f"<code>{escape(_signature(name))}</code>"})
        for name in config.parameters()
        if name not in told | {"app"}
    ]


def _entry(heading: str, anchor: str, text: str, facts: dict[str, str]) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items() if value)
    anchor = anchor.replace("_", "-")
    return f'### {heading} {{ #{anchor} .option }}\n\n{text}\n\n<dl class="option">{rows}</dl>'


def _text(help_text: str) -> tuple[str, str]:
    """The text of an option as Markdown, and the default that it states in words."""
    stated = _STATED_DEFAULT.search(help_text)
    text = _STATED_DEFAULT.sub("", help_text).replace("*", "\\*")
    return _LITERAL.sub(r"`\1`", text), stated[1] if stated else ""


def _default(option: click.Option) -> str:
    value = option.default
    if value is None or value == "" or option.multiple:
        return ""
    if option.is_flag:
        return "on" if value else "off"
    return f"<code>{str(value).lower() if isinstance(value, bool) else value}</code>"


def _values(option: click.Option) -> str:
    known = config.CHOICES.get(option.name or "") or config.IMPORTABLE.get(option.name or "")
    if known is None and isinstance(option.type, click.Choice):
        known = tuple(option.type.choices)
    listed = [f"<code>{each}</code>" for each in known or ()]
    return ", ".join([*listed, "module:attribute"] if option.name in config.IMPORTABLE else listed)


def _key(option: click.Option) -> str:
    return option.opts[0].removeprefix("--")


def _kind(option: click.Option) -> str:
    return "a list of strings" if option.multiple else settings.kind(option)


def _signature(name: str) -> str:
    """The parameter as Python declares it."""
    field = next(each for each in fields(config.Config) if each.name == name)
    default = inspect.signature(config.Config).parameters[name].default
    shown = "LOGGING_CONFIG" if name == "log_config" else repr(default)
    return f"{name}: {field.type} = {shown}"


def _docstrings() -> dict[str, str]:
    """The texts below the fields of Config."""
    [body] = (each.body for each in ast.parse(inspect.getsource(config)).body if getattr(each, "name", "") == "Config")
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
