"""The live view: a full screen that is drawn again after each sample."""

from __future__ import annotations

import time
from typing import Literal

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.styled import Styled
from rich.table import Table
from rich.text import Text

from pronghorn.listen.places import Place
from pronghorn.top import report
from pronghorn.top.figures import Change
from pronghorn.top.report import Section
from pronghorn.top.watch import View, look

# For the size of the window, which may change between two samples.
FRAMES_PER_SECOND = 2
PHASES = {"ready": "bold green", "starting": "bold yellow", "draining": "bold yellow"}
# The sections side by side, which fit into 80 characters, and the widths that their columns have at least: they stay
# in their place.
BLOCKS = (
    (report.load, (8, 8, 5)),
    (report.latency, (3, 7, 2)),
    (report.statuses, (4, 9)),
    (report.connections, (10, 6, 4)),
)
WIDTHS_OF_INCIDENTS = (11, 0)
WIDTHS_OF_WORKERS = (8, 8, 8, 11, 11)
JUSTIFY: dict[str, Literal["left", "right"]] = {"l": "left", "r": "right"}


def show(name: str, place: Place, interval: int, console: Console) -> None:
    """Watch the server at `place`, called `name`, until an exception such as KeyboardInterrupt."""
    view = View()

    def frame() -> RenderableType:
        return draw(name, view, console)

    live = Live(get_renderable=frame, console=console, screen=True, refresh_per_second=FRAMES_PER_SECOND)
    try:  # not `with`: an interrupted start would leave the screen as it is
        live.start()
        due = time.monotonic()
        while True:
            view = look(place, view)
            live.refresh()
            due = max(due + interval, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))
    finally:
        live.stop()


def draw(name: str, view: View, console: Console) -> RenderableType:
    """A frame that fits into the console, as long as that has room for more than the workers."""
    header = _header(name, view)
    if view.change is None:
        return header
    change = view.change
    blocks = [_table(section(change), widths) for section, widths in BLOCKS]
    upper = Group(
        header, "", Columns(blocks, padding=(0, 2)), "", _table(report.incidents(change), WIDTHS_OF_INCIDENTS), ""
    )
    room = console.height - len(console.render_lines(upper, pad=False))
    frame = Group(upper, _workers(change, room))
    return Styled(frame, "dim") if view.failure else frame


def _header(name: str, view: View) -> RenderableType:
    line = Text(name, "bold")
    if view.failure:
        seconds = time.monotonic() - view.silent_since
        line.append(f"  no answer for {seconds:.0f} s: {view.failure}", "not dim bold red")
    elif view.change is not None:
        phase = view.change.after.phase
        line.append(f"  {phase}", PHASES.get(phase, ""))
        line.append(f"  pronghorn {view.change.after.version}", "not bold")
    return line


def _workers(change: Change, room: int) -> RenderableType:
    """The workers in `room` lines, with the heading. If not all have room, the last line is about the others."""
    section = report.workers(change)
    if len(section.rows) < room:
        return _table(section, WIDTHS_OF_WORKERS)
    count = max(0, room - 2)
    shown = Section(section.justify, section.rows[:count], section.heading)
    rest = Text(report.summary(change.after.workers[count:]), "dim")
    return Group(_table(shown, WIDTHS_OF_WORKERS), rest) if count else rest


def _table(section: Section, widths: tuple[int, ...]) -> Table:
    table = Table(box=None, show_header=bool(section.heading), header_style="dim", padding=(0, 1, 0, 0), pad_edge=False)
    for index, side in enumerate(section.justify):
        heading = section.heading[index] if section.heading else ""
        table.add_column(heading, justify=JUSTIFY[side], min_width=widths[index], style="" if index else "cyan")
    for row in section.rows:
        table.add_row(*map(Text, row))
    return table
