"""`pronghorn bench`: its options. The measuring modules are imported once the options are valid."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from pronghorn.bench import competitors

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TOOLS = ("httptools", "psutil", "rich")
TOOLS_OF_HTML = ("matplotlib",)
TARGET = re.compile(r"/[!-~]*")
FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
Options = TypeVar("Options", bound=Callable[..., Any])
SET_BY_THE_LOAD = ("connection", "content-length", "transfer-encoding")


def names_of(known: Collection[str]) -> Callable[[click.Context, click.Parameter, str | None], tuple[str, ...] | None]:
    """A callback that parses known names separated by commas; each counts once."""

    def read(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
        if unknown := [name for name in names if name not in known]:
            raise click.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return names

    return read


def amount(rounds: int, seconds: int) -> Callable[[Options], Options]:
    """The options `--rounds` and `--duration`, with their defaults."""
    number = click.IntRange(1)
    duration = click.option("--duration", "seconds", type=number, default=seconds, help="Length of a round in seconds.")
    repetition = click.option("--rounds", type=number, default=rounds, help="Number of rounds for each server.")
    return lambda function: repetition(duration(function))


def parse_paths(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    """Parse targets in origin form (RFC 9112 section 3.2.1)."""
    for value in values:
        if not TARGET.fullmatch(value):
            raise click.BadParameter(f"{value!r} must begin with a slash and be percent-encoded")
    return values


def parse_fields(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> list[tuple[str, str]]:
    """Parse names and values of header fields."""
    fields = []
    for value in values:
        match = FIELD.fullmatch(value)
        if match is None:
            raise click.BadParameter(f"{value!r} must have the form Name:Value")
        if match[1].lower() in SET_BY_THE_LOAD:
            raise click.BadParameter(f"{match[1]} is set by the load generator")
        fields.append((match[1], match[2].strip()))
    return fields


def parse_output(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Parse a file in an existing directory; rejected before measuring rather than after it."""
    if value is not None and not value.parent.is_dir():
        raise click.BadParameter(f"directory {value.parent} does not exist")
    return value


@click.command(context_settings={"show_default": True})
@click.argument("app")
@click.option(
    "--against",
    callback=names_of(competitors.NAMES),
    metavar="SERVER,...",
    help=f"Servers to compare with, from {', '.join(competitors.NAMES)}.  [default: uvicorn and granian, if installed]",
)
@click.option(
    "--path",
    "paths",
    multiple=True,
    default=["/"],
    callback=parse_paths,
    help="Path and query to request; repeatable: requests take turns.",
)
@click.option("--method", type=click.Choice(METHODS), default="GET", help="Request method.")
@click.option(
    "--header",
    "fields",
    multiple=True,
    metavar="NAME:VALUE",
    callback=parse_fields,
    help="Request header field; repeatable.",
)
@click.option("--body", help="Request body.")
@click.option(
    "--body-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File with the request body."
)
@click.option("--connections", type=click.IntRange(1, 20000), default=64, help="Number of concurrent connections.")
@amount(rounds=5, seconds=3)
@click.option(
    "--app-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    show_default=False,
    help="Directory to look for APP in, besides the current one.",
)
@click.option("--factory", is_flag=True, show_default=False, help="APP is a function that returns the application.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=parse_output,
    help="Write an HTML report to this file.",
)
@click.option(
    "--json",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=parse_output,
    help="Write all figures to this file.",
)
def bench(
    app: str,
    paths: Sequence[str],
    method: str,
    fields: list[tuple[str, str]],
    body: str | None,
    body_file: Path | None,
    html: Path | None,
    json: Path | None,
    **options: Any,
) -> None:
    """Measure an ASGI application on pronghorn and on other servers, side by side. APP is module:attribute.

    All servers start with one worker and their own best settings, and each has to answer a request. Then they are
    loaded in turn, round by round: by wrk if it is installed, else by a client in Python.
    """
    if not re.fullmatch(r"[^:]+:[^:]+", app):
        raise click.UsageError(f"{app!r} must have the form module:attribute.")
    if body is not None and body_file is not None:
        raise click.UsageError("--body and --body-file cannot be combined.")
    require(TOOLS if html is None else TOOLS + TOOLS_OF_HTML)

    from rich.console import Console

    from pronghorn.bench import page, terminal
    from pronghorn.bench.application import Plan, measure
    from pronghorn.bench.load import LoadFailed
    from pronghorn.bench.process import NotEnoughFiles, ServerFailed
    from pronghorn.bench.request import Request
    from pronghorn.bench.result import Result

    content = (body or "").encode() if body_file is None else body_file.read_bytes()
    plan = Plan(app, Request(method, paths, fields, content), **options)
    console = Console()
    try:
        result = measure(plan, console)
    except (LoadFailed, NotEnoughFiles, ServerFailed) as error:
        raise click.ClickException(str(error)) from None
    terminal.show(result, console)
    for path, render in ((html, page.html), (json, Result.json)):
        if path is not None:
            path.write_text(render(result), encoding="utf-8")
            click.echo(f"wrote {path}")


def require(modules: Sequence[str]) -> None:
    """Raise ClickException with the names of the tools that are not installed, if any."""
    if absent := [module for module in modules if find_spec(module) is None]:
        raise click.ClickException(f"bench needs {', '.join(absent)}: pip install 'pronghorn[bench]'")
