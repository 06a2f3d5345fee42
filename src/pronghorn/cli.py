"""The command line. Every option is a parameter of Config, of the same name and default; here are their texts.

An option's value is taken from the command line, else from PRONGHORN_<PARAMETER>, else from UVICORN_<PARAMETER>, else
from the configuration file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from pronghorn import config, log, settings, streams
from pronghorn.config import ConfigError
from pronghorn.errors import StartupError
from pronghorn.runner import run

_DEFAULTS = config.parameters()


def _option(parameter: str, text: str, kind: Any = None, flag: str | None = None, **attributes: Any) -> click.Option:
    """The option for `parameter`; `flag` where it is not simply the parameter's name."""
    flag = flag or "--" + parameter.replace("_", "-")
    default = attributes.pop("default", _DEFAULTS[parameter])
    if parameter in config.IMPORTABLE:
        attributes["metavar"] = f"[{'|'.join(config.IMPORTABLE[parameter])}|MODULE:ATTRIBUTE]"
    elif parameter in config.CHOICES:
        kind = click.Choice(config.CHOICES[parameter])
    return click.Option(
        [flag, parameter],
        help=text,
        type=kind,
        default=default,
        show_default=default not in (None, False, ""),
        envvar=_variables(parameter),
        **attributes,
    )


def _switch(parameter: str, text: str) -> click.Option:
    name = parameter.replace("_", "-")
    return _option(parameter, text, flag=f"--{name}/--no-{name}")


def _variables(parameter: str) -> list[str]:
    return [f"{prefix}_{parameter.upper()}" for prefix in ("PRONGHORN", "UVICORN")]


def _split_headers(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[list[str]]:
    for value in values:
        if ":" not in value:
            raise click.BadParameter(f"{value!r} is not of the form Name:Value")
    return [value.split(":", 1) for value in values]


def _print_version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    import platform

    from pronghorn import __version__

    python = f"{platform.python_implementation()} {platform.python_version()}"
    click.echo(f"Running pronghorn {__version__} with {python} on {platform.system()}")
    context.exit()


_EXISTING = click.Path(exists=True)
_LEVEL = click.Choice(list(log.LOG_LEVELS), case_sensitive=False)

TOPICS: dict[str, list[click.Option]] = {
    "Application": [
        _option("factory", "APP is a function that returns the application.", is_flag=True),
        _option("app_dir", "Look for APP in this directory first; the current one if not given.", default=""),
        _option("interface", "What APP is."),
        _option("lifespan", "Whether APP is told of startup and shutdown; auto: if it understands."),
        _option("root_path", "The path under which a proxy has mounted the application."),
        _option("env_file", "Read environment variables from this file.", _EXISTING),
        _option("reset_contextvars", "Run each request in a fresh context.", is_flag=True),
        _option(
            "sendfile",
            "Offer to send files for APP, which frameworks then leave to the server, past middleware that reads or"
            " compresses bodies.",
            is_flag=True,
        ),
    ],
    "Where to listen": [
        _option("host", "Address or name; an empty one means every interface."),
        _option("port", "Port; 0 lets the system choose."),
        _option("uds", "Path of a unix socket, instead of a host and port."),
        _option("fd", "Number of an inherited descriptor of a socket.", int),
        _option(
            "bind",
            "Where to listen, in place of the options above: HOST:PORT, [IPV6]:PORT, unix:PATH or fd://NUMBER;"
            " may be repeated.",
            multiple=True,
            metavar="PLACE",
        ),
        _option("backlog", "How many connections the kernel keeps until they are accepted."),
    ],
    "How to run": [
        _option("loop", "Event loop; auto: uvloop if it is installed."),
        _option("http", "Parser of HTTP/1; h11 is the interpreted one."),
        _option("http2", "HTTP/2.", is_flag=True),
        _option("workers", "Number of processes.  [default: $WEB_CONCURRENCY, or 1]", int),
        _option("limit_max_requests", "End the process after this many requests.", int),
        _option("limit_max_requests_jitter", "Add up to this many to --limit-max-requests, at random."),
        _option(
            "timeout_worker_healthcheck", "Seconds for a worker to answer before it is replaced; 0 for ever.", float
        ),
    ],
    "Limits": [
        _option("limit_concurrency", "Connections or requests at once, above which the answer is 503.", int),
        _option("limit_head_size", "Bytes of a request's head."),
        _option("limit_head_fields", "Fields in a request's head."),
        _option("limit_target_size", "Bytes of a request's target."),
        _option("limit_body_size", "Bytes of a request's body; 0 for no limit, the default.", int),
        _option("h11_max_incomplete_event_size", "The same as --limit-head-size.", int),
    ],
    "Timeouts, in seconds": [
        _option("timeout_keep_alive", "Idle time between two requests on a connection.", float),
        _option("timeout_first_byte", "From connecting to the first byte; 0 for ever.", float),
        _option("timeout_head", "From the first byte of a head to its last; 0 for ever.", float),
        _option("timeout_body", "Without progress of a request's body; 0 for ever.", float),
        _option("timeout_write", "Without progress of a response; 0 for ever.", float),
        _option("timeout_graceful_shutdown", "For running requests when the server is told to end.", float),
        _option("cancel_on_disconnect", "Which responses to cancel when their client has gone."),
        _option(
            "send_after_disconnect",
            "What send() does when an HTTP client has gone: nothing (ASGI 2.3) or raise OSError (2.5).",
        ),
    ],
    "Response headers": [
        _option(
            "headers",
            "Add to each response; may be repeated.",
            flag="--header",
            multiple=True,
            metavar="NAME:VALUE",
            callback=_split_headers,
        ),
        _switch("server_header", "Send Server."),
        _switch("date_header", "Send Date."),
    ],
    "Behind a proxy": [
        _switch("proxy_headers", "Believe trusted proxies about the client."),
        _option(
            "forwarded_headers",
            "What they say it with, and nothing else is read: X-Forwarded-For and -Proto; those and X-Forwarded-Host, "
            "-Port and -Prefix; or Forwarded (RFC 7239).",
        ),
        _option(
            "underscored_headers",
            "Request headers with an underscore in their name; auto: drop them for WSGI, where X_User is X-User.",
        ),
        _option(
            "forwarded_allow_ips",
            "Addresses and networks of trusted proxies, with commas between; unix for any on a unix socket, * for all."
            "  [default: $FORWARDED_ALLOW_IPS, or 127.0.0.1,::1]",
        ),
    ],
    "Logging": [
        _option("log_level", "Level of the server's own lines.  [default: info]", _LEVEL),
        _switch("access_log", "Log each request."),
        _switch("use_colors", "Use colours.  [default: on a terminal]"),
        _option("log_config", "Configuration of logging: .json, .yaml or .ini.", _EXISTING),
        _option("log_format", "Format of all lines, also those of requests if not given by --access-log-format."),
        _option(
            "access_log_format",
            "Format of a request's line: json, or text with atoms as gunicorn's, %(h)s, or written out, %(status)s.",
            metavar="FORMAT",
        ),
    ],
    "WebSocket": [
        _option("ws", "Implementation."),
        _option("ws_max_size", "Bytes of a message."),
        _option("ws_max_queue", "Messages that wait to be received."),
        _option("ws_ping_interval", "Seconds between two pings."),
        _option("ws_ping_timeout", "Seconds for the answer to a ping."),
        _option("ws_per_message_deflate", "Compress messages.", bool, is_flag=False),
    ],
    "TLS": [
        _option("ssl_keyfile", "File of the private key."),
        _option("ssl_certfile", "File of the certificate."),
        _option("ssl_keyfile_password", "Password of the private key."),
        _option("ssl_version", "Protocol, as a number of the module ssl."),
        _option("ssl_cert_reqs", "Whether clients need a certificate, as a number of the module ssl."),
        _option("ssl_ca_certs", "File of the authorities that clients' certificates come from."),
        _option("ssl_ciphers", "Ciphers.  [default: OpenSSL's]"),
    ],
    "Reloading": [
        _option("reload", "Start anew when a file changes.", is_flag=True),
        _option("reload_dirs", "Directory to watch; may be repeated.", _EXISTING, flag="--reload-dir", multiple=True),
        _option("reload_includes", "Pattern of files to watch.", flag="--reload-include", multiple=True),
        _option("reload_excludes", "Pattern of files not to watch.", flag="--reload-exclude", multiple=True),
        _option("reload_delay", "Seconds between two looks."),
    ],
}


class _Command(click.Command):
    """A command whose help lists the options by topic, and whose errors say what stands in the configuration file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            where = settings.origin(ctx, error.param.name if error.param else None)
            if not where:
                raise
            raise click.UsageError(f"{where}: {error.format_message()}", ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = [option for options in TOPICS.values() for option in options]
        others = [each for each in self.get_params(ctx) if isinstance(each, click.Option) and each not in listed]
        for topic, options in {**TOPICS, "Other": others}.items():
            with formatter.section(topic):
                formatter.write_dl([record for option in options if (record := option.get_help_record(ctx))])


class _Main(_Command):
    """A command that is another one where its first word is `check` or `bench`, which no application can be called."""

    def main(self, *args: Any, **extra: Any) -> Any:
        streams.open_missing()
        return super().main(*args, **extra)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] in (["check"], ["bench"]):
            return _subcommand(args[0]).make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_usage(ctx, formatter)
        for word, pieces in (("check", self.collect_usage_pieces(ctx)), ("bench", ["[OPTIONS]", "APP"])):
            formatter.write_usage(f"{ctx.command_path} {word}", " ".join(pieces), prefix=" " * 7)


def _serve(app: str, **parameters: Any) -> None:
    """Serve the ASGI application APP, given as module:attribute. With `check`, only try whether it could be served;
    with `bench`, measure it on pronghorn and other servers, side by side.

    Each option may also be given as an environment variable, --port as PRONGHORN_PORT or UVICORN_PORT, or in a file
    of TOML: in the table [tool.pronghorn] of the pyproject.toml here, as port = 8000, or in that of --config. The
    application may stand there too, as app = "module:attribute".
    """
    _with_parameters(run, app, parameters)


def _check(app: str, **parameters: Any) -> None:
    """Import the ASGI application APP, start and stop it, and print how it would be served, without listening.

    Takes what serving it takes. Ends with 0, or with 3 and the reason why it cannot be served.
    """
    from pronghorn.check import check

    try:
        _with_parameters(check, app, parameters)
    except StartupError as error:
        log.report(error)
        sys.exit(error.code)


def _with_parameters(function: Callable[..., None], app: str, parameters: dict[str, Any]) -> None:
    """Call `function` with the options' values, as `Config` takes them."""
    parameters |= {name: list(value) or None for name, value in parameters.items() if isinstance(value, tuple)}
    if parameters["log_config"] is None:  # which would mean: leave logging alone
        del parameters["log_config"]
    try:
        function(app, **parameters)
    except ConfigError as error:
        where = settings.origin(click.get_current_context(), str(error).partition(" ")[0].removesuffix(":"))
        raise click.UsageError(f"{where}: {error}" if where else str(error)) from None


def _complete_app(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    first = isinstance(context.command, _Main)
    return [word for word in ("check", "bench") if first and word.startswith(incomplete)]


def _subcommand(word: str) -> click.Command:
    if word == "check":
        return _check_command
    from pronghorn.bench.command import bench  # not for those who serve

    return bench


_PARAMETERS: list[click.Parameter] = [
    click.Argument(["app"], envvar=_variables("app"), shell_complete=_complete_app),
    *(option for options in TOPICS.values() for option in options),
    settings.option(),
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
"""The command, of click: `main()` reads `sys.argv`, `main(["main:app", "--port", "0"])` what it is given."""
