"""A comparison in the terminal: its progress, its table, its charts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from rich import box
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pronghorn.bench.compare import Comparison, seconds
from pronghorn.bench.competitors import SUBJECT
from pronghorn.bench.outcome import Row, listed
from pronghorn.bench.result import COLUMNS, Result, conclusions

# With two cores, drawing takes time from the load.
FRAMES_PER_SECOND = 2
LINES_OF_A_LOG = 5
OURS, THEIRS = "#d9692b", "grey62"
# Headings of the columns; the table fits into 80 characters.
HEADINGS = {
    "per_second": "requests\n/s",
    "ratio": "pronghorn\n÷ it",
    "cpu_us": "CPU µs\n/request",
    "cpu_ratio": "its CPU\n÷ ours",
    "p50_us": "p50\nms",
    "p99_us": "p99\nms",
    "busy": "its\ncore",
    "rss": "memory\nMiB",
}
CHARTS = {"Requests per second": "per_second", "CPU µs per request (less is better)": "cpu_us"}


def announce(comparison: Comparison, console: Console) -> None:
    """Print the servers, the amount of work and the time that it takes."""
    scenario, session = comparison.scenario, comparison.session
    say(f"{scenario.name}: {scenario.title}", console, "bold")
    length = f"{session.rounds} × {session.seconds} s each, about {seconds(scenario, session):.0f} s in all"
    say(f"{listed(scenario.servers)}: {length}", console)


def left_out(reasons: Mapping[str, str], console: Console) -> None:
    """Print the servers that are not measured, with the reasons."""
    for name, reason in reasons.items():
        line, *tail = reason.splitlines()
        say(f"{name} is left out: {line.removeprefix(f'{name} ')}", console, "yellow")
        if tail:
            console.print(Padding(Text("\n".join(tail[-LINES_OF_A_LOG:]), "dim"), (0, 0, 0, 3)))


def watching(comparison: Comparison, console: Console) -> AbstractContextManager[object]:
    """Show progress and the figures so far while the context lasts, if the console is a terminal."""
    spinner = Spinner("dots", style=OURS)

    def frame() -> RenderableType:
        spent, total = comparison.spent, comparison.seconds
        line = Table.grid(padding=(0, 0, 0, 1))
        spinner.update(text=Text(f"{comparison.doing:<28}"))
        left = f"{max(0, total - spent):.0f} s left"
        line.add_row(spinner, ProgressBar(total, spent, width=30, complete_style=OURS, finished_style=OURS), left)
        return Group(line, table(comparison.rows)) if comparison.rows else line

    return Live(
        get_renderable=frame,
        console=console,
        refresh_per_second=FRAMES_PER_SECOND,
        transient=True,
        redirect_stdout=False,
    )


def show(result: Result, console: Console) -> None:
    """Print table, charts and remarks."""
    if result.rows:
        console.print(table(result.rows))
        for title, key in CHARTS.items():
            console.print(Padding(bars(title, result.rows, key), (0, 0, 1, 1)))
    for line in conclusions(result.rows):
        say(line, console, "bold")
    for note in result.notes:
        say(note, console, "yellow")
    if len(set(result.answers.values())) == 1:
        say(f"All answered {next(iter(result.answers.values()))}.", console, "dim")
    say(f"{result.summary()}.", console, "dim")


def say(text: str, console: Console, style: str = "") -> None:
    """Print `text` without markup."""
    console.print(Padding(Text(text, style), (0, 1)))


def table(rows: Mapping[str, Row]) -> Table:
    """A line for each server."""
    drawn = Table(box=box.SIMPLE_HEAD, header_style="dim", padding=(0, 1, 0, 0), pad_edge=False)
    drawn.add_column(no_wrap=True, min_width=max(map(len, rows)))
    shown = [column for column in COLUMNS if column.key in HEADINGS]
    for column in shown:
        drawn.add_column(HEADINGS[column.key], justify="right", no_wrap=True)
    for name, row in rows.items():
        drawn.add_row(name, *(column.cell(row) for column in shown), style=f"bold {OURS}" if name == SUBJECT else "")
    return drawn


def bars(title: str, rows: Mapping[str, Row], key: str) -> RenderableType:
    """A bar for each server that has a figure."""
    values = {name: row[key] for name, row in rows.items() if row[key] is not None}
    show = next(column.show for column in COLUMNS if column.key == key)
    drawn = Table.grid(padding=(0, 1))
    for name, value in values.items():
        color = OURS if name == SUBJECT else THEIRS
        bar = Bar(max(values.values()), 0, value, width=40, color=color)
        drawn.add_row(name, bar, show(value), style=f"bold {OURS}" if name == SUBJECT else "")
    return Group(Text(title, style="dim"), drawn)
