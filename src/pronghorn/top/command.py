"""`pronghorn top`: its options. The other modules, which need an extra, are imported once the options are valid."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from importlib.util import find_spec
from types import FrameType
from typing import NoReturn

import click

from pronghorn import signal_handlers
from pronghorn.listen import places
from pronghorn.listen.places import Place

TOOLS = ("prometheus_client", "rich")


def parse_place(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, Place]:
    """Parse a place to connect to; its name stays as it was given."""
    with contextlib.suppress(ValueError):
        place = places.parse(value)
        if place.descriptor is None and place.name is None:
            return value, place
    raise click.BadParameter(f"{value!r} is not HOST:PORT, [IPV6]:PORT or unix:PATH")


@click.command()
@click.argument("place", callback=parse_place)
@click.option(
    "--interval",
    type=click.IntRange(1, 3600),  # the processes update some of their figures once a second
    default=1,
    show_default=True,
    metavar="SECONDS",
    help="Time between two samples; all rates are averages over it.",
)
@click.option("--once", is_flag=True, help="Print the figures of one interval as text, as if there were no terminal.")
def top(place: tuple[str, Place], interval: int, once: bool) -> None:
    """Watch the running server whose --metrics-bind is PLACE, until CTRL+C."""
    if absent := [tool for tool in TOOLS if find_spec(tool) is None]:
        raise click.ClickException(f"top needs {', '.join(absent)}: pip install 'pronghorn[top]'")
    if once or not sys.stdout.isatty():
        _print(*place, interval)
    else:
        _show(*place, interval)


def _show(name: str, place: Place, interval: int) -> None:
    from rich.console import Console

    from pronghorn.top import keyboard, screen

    with contextlib.suppress(KeyboardInterrupt):
        for number in signal_handlers.HANDLED_SIGNALS:
            signal.signal(number, _leave)
        with keyboard.ignored():
            screen.show(name, place, interval, Console())


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Let a signal end the view. The next one is ignored: it would interrupt the restoring of the terminal."""
    for each in signal_handlers.HANDLED_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _print(name: str, place: Place, interval: int) -> None:
    from pronghorn.top import report, samples
    from pronghorn.top.figures import Change

    try:
        first = samples.take(place)
        time.sleep(interval)
        change = Change(first, samples.take(place))
    except samples.NoAnswer as error:
        raise click.ClickException(f"No answer from {name}: {error}") from None
    click.echo(report.plain(name, change))
