"""The command line, made from the table of parameters: a parameter with a topic has an option.

An option's value comes from the command line, else from PRONGHORN_<PARAMETER>, else from UVICORN_<PARAMETER>, else from
the configuration file.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from pronghorn.cli import config_file
from pronghorn.config.parameters import PARAMETERS, ConfigError, Parameter, Topic
from pronghorn.errors import StartupError
from pronghorn.launcher import run
from pronghorn.logging import log, streams
from pronghorn.process import init


class _Port(click.Option):
    """An option that ignores the variable that Kubernetes sets for a Service named pronghorn: PRONGHORN_PORT=tcp://…"""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        for variable in _variables("port"):
            value = os.environ.get(variable)
            if value and "://" in value:
                click.echo(f"Warning: {variable} is ignored: {value!r} is the URL of a service, not a port.", err=True)
            elif value:
                return value
        return None


def _option(parameter: Parameter) -> click.Option:
    default = parameter.default if parameter.flag_default is None else parameter.flag_default
    stated = parameter.default_text
    return (_Port if parameter.name == "port" else click.Option)(
        [parameter.flag, parameter.name],
        help=f"{parameter.help}  [default: {stated}]" if stated else parameter.help,
        type=_type(parameter),
        default=default,
        show_default=not stated and default not in (None, False, ""),
        envvar=_variables(parameter.name),
        is_flag=parameter.is_flag,
        multiple=parameter.is_repeatable,
        metavar=f"[{'|'.join(parameter.names)}|MODULE:ATTRIBUTE]" if parameter.names else parameter.metavar,
        callback=_split_headers if parameter.name == "headers" else None,
    )


def _type(parameter: Parameter) -> Any:
    """click's type for the values of `parameter`."""
    if parameter.levels is not None:
        return click.Choice(parameter.levels, case_sensitive=False)
    if parameter.choices is not None:
        return click.Choice(parameter.choices)
    return click.Path(exists=True) if parameter.is_existing_path else parameter.type


def _variables(parameter: str) -> list[str]:
    return [f"{prefix}_{parameter.upper()}" for prefix in ("PRONGHORN", "UVICORN")]


def _origin(context: click.Context, name: str | None) -> str:
    """The environment variable or file that gave this parameter its value, else an empty string."""
    return _variable(context, name) or config_file.origin(context, name)


def _variable(context: click.Context, name: str | None) -> str:
    """The environment variable that gave this parameter its value, else an empty string."""
    if name is None or context.get_parameter_source(name) is not ParameterSource.ENVIRONMENT:
        return ""
    return next((each for each in _variables(name) if os.environ.get(each)), "")


def _written(context: click.Context, parameter: Parameter) -> str:
    """The name of `parameter` where its value comes from: its variable, its key in the file, else its flag."""
    flag = parameter.flag.partition("/")[0]
    in_file = config_file.origin(context, parameter.name)
    return _variable(context, parameter.name) or (flag.removeprefix("--") if in_file else flag)


def _split_headers(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[list[str]]:
    for value in values:
        if ":" not in value:
            raise click.BadParameter(f"{value!r} must have the form Name:Value")
    return [value.split(":", 1) for value in values]


def _print_version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    import platform

    from pronghorn import __version__

    python = f"{platform.python_implementation()} {platform.python_version()}"
    click.echo(f"Running pronghorn {__version__} with {python} on {platform.system()}")
    context.exit()


TOPICS: dict[str, list[click.Option]] = {
    topic.value: [_option(each) for each in PARAMETERS.values() if each.topic is topic] for topic in Topic
}
"""The options in each section of the help."""


class _Command(click.Command):
    """A command whose help has a section for each topic, and whose errors name the variable or file they are about."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            where = _origin(ctx, error.param.name if error.param else None)
            if not where:
                raise
            raise click.UsageError(f"{where}: {error.format_message()}", ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = [option for options in TOPICS.values() for option in options]
        others = [each for each in self.get_params(ctx) if isinstance(each, click.Option) and each not in listed]
        for topic, options in {**TOPICS, "Other": others}.items():
            with formatter.section(topic):
                formatter.write_dl([record for option in options if (record := option.get_help_record(ctx))])


_SUBCOMMANDS = {"check": "APP", "bench": "APP", "top": "PLACE"}
"""The argument of each subcommand."""


class _Main(_Command):
    """The main command. Its first word may be that of a subcommand: no import string looks like it."""

    def main(self, *args: Any, **extra: Any) -> Any:
        streams.open_missing()
        return super().main(*args, **extra)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in _SUBCOMMANDS:
            return _subcommand(args[0]).make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_usage(ctx, formatter)
        for word, argument in _SUBCOMMANDS.items():
            formatter.write_usage(f"{ctx.command_path} {word}", f"[OPTIONS] {argument}", prefix=" " * 7)


def _serve(app: str, **parameters: Any) -> None:
    """Serve the ASGI application APP, given as module:attribute. `check` loads it and shows how it would be served;
    `bench` compares it on several servers; `top` shows a running server.

    An option can also be set by an environment variable, such as PRONGHORN_PORT or UVICORN_PORT for --port, or in a
    TOML file: in the table [tool.pronghorn] of pyproject.toml, or in the file given by --config. APP can be set there
    too, as app = "module:attribute".
    """
    init.separate()
    _with_parameters(run, app, parameters)


def _check(app: str, **parameters: Any) -> None:
    """Import the ASGI application APP, start and stop it, and show how it would be served, without listening.

    The options are those for serving. The exit code is 0, or 3 if the application cannot be served.
    """
    from pronghorn.cli.check import check

    try:
        _with_parameters(check, app, parameters)
    except StartupError as error:
        log.report(error)
        sys.exit(error.code)


def _with_parameters(function: Callable[..., None], app: str, parameters: dict[str, Any]) -> None:
    """Call `function` with the values of the options, in the form that `Config` takes."""
    parameters |= {name: list(value) or None for name, value in parameters.items() if isinstance(value, tuple)}
    if parameters["log_config"] is None:  # to `Config`, None means: do not configure logging
        del parameters["log_config"]
    try:
        function(app, **parameters)
    except ConfigError as error:
        context = click.get_current_context()
        where = config_file.origin(context, error.parameter)
        message = error.message(functools.partial(_written, context))
        raise click.UsageError(f"{where}: {message}" if where else message) from None


def _complete_app(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    first = isinstance(context.command, _Main)
    return [word for word in _SUBCOMMANDS if first and word.startswith(incomplete)]


def _subcommand(word: str) -> click.Command:
    """The command for a word of `_SUBCOMMANDS`. Some are slow to import."""
    match word:
        case "bench":
            from pronghorn.bench.command import bench

            return bench
        case "top":
            from pronghorn.top.command import top

            return top
    return _check_command


_PARAMETERS: list[click.Parameter] = [
    click.Argument(["app"], envvar=_variables("app"), shell_complete=_complete_app),
    *(option for options in TOPICS.values() for option in options),
    config_file.option(),
]

_check_command = _Command("check", params=_PARAMETERS, callback=_check, help=_check.__doc__)

main = _Main(
    "pronghorn",
    params=[
        *_PARAMETERS,
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Show the version.",
        ),
    ],
    callback=_serve,
    help=_serve.__doc__,
    epilog='Shell completion: eval "$(_PRONGHORN_COMPLETE=bash_source pronghorn)", or zsh_source, fish_source.',
)
"""The click command: `main()` reads `sys.argv`, `main(["main:app", "--port", "0"])` the given arguments."""
