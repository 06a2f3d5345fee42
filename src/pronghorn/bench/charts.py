"""Charts of measurements as SVG, on a card that suits light and dark pages; needs matplotlib.

The same figures give the same bytes. The subject is highlighted, the others are muted, and references are outlined.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

CARD, BORDER, INK, FADED, RULE = "#fcfbf8", "#dedad2", "#26231f", "#77716a", "#e9e6df"
SUBJECT, OTHER = "#c2561a", "#b4bbc2"
HUES = ("#3d6a94", "#5b8c5a", "#8a5a92", "#b08a2e", "#4f9a9a", "#a1495c", "#6f6f6f", "#7a8f3a", "#9a7b62", "#5661a8")
# matplotlib measures with a wider font than the one that browsers choose from FONTS, so nothing overlaps.
MEASURED_FONT = "'DejaVu Sans'"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, sans-serif"
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pronghorn",
    "font.family": "DejaVu Sans",
    "path.simplify": False,
}
# Inches.
WIDTH, MARGIN, ROW, HEADING, FOOT, GAP, PLOT = 9.0, 0.3, 0.245, 0.5, 0.3, 0.5, 2.6
LABEL_GAP = 0.15

Show = Callable[[float], str]
Points = Sequence[tuple[float, float]]


class Chart:
    """A finished drawing."""

    def __init__(self, figure: Figure, title: str) -> None:
        self._figure = figure
        self._title = title

    def svg(self) -> str:
        """The SVG document, with text as text."""
        written = io.StringIO()
        with matplotlib.rc_context(SETTINGS):
            self._figure.savefig(written, format="svg", metadata={"Title": self._title, "Date": None, "Creator": None})
        return written.getvalue().replace(MEASURED_FONT, FONTS)

    def save(self, path: Path) -> None:
        """Write an .svg file, or a .png file at twice the size."""
        if path.suffix == ".svg":
            path.write_text(self.svg(), encoding="utf-8")
        else:
            self._figure.savefig(path, dpi=2 * self._figure.dpi)


def compact(value: float) -> str:
    """A number that is read at a glance: 124,900, 95.2, 0.31."""
    if value >= 100:
        return f"{float(f'{value:.4g}'):,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def exact(value: float) -> str:
    """The number of a tick, which is round: 12,000, 2.5."""
    return f"{value:,.6g}"


def bars(
    title: str,
    panels: Mapping[str, Mapping[str, float]],
    *,
    note: str = "",
    show: Show = compact,
    least_is_best: bool = False,
    subject: str = "pronghorn",
    references: Collection[str] = (),
) -> Chart:
    """A panel of horizontal bars, the best on top, for each heading in `panels` with the value of each name.

    Each bar ends with its value, and the factor by which the subject is better. `references` are outlined.
    """
    note = "\n".join(filter(None, (f"×: {subject} beside it; above 1, {subject} is ahead.", note)))
    columns = min(2, len(panels))
    names = list(panels)
    rows = [names[index : index + columns] for index in range(0, len(names), columns)]
    heights = [ROW * max(len(panels[name]) for name in row) for row in rows]
    figure, top = card(title, note, sum(heights) + GAP * len(rows))
    longest = max(len(name) for panel in panels.values() for name in panel)
    labels = 0.3 + 0.078 * longest
    width = (WIDTH - 2 * MARGIN - GAP * (columns - 1)) / columns
    for row, height in zip(rows, heights, strict=True):
        top -= GAP
        for column, name in enumerate(row):
            own = ROW * len(panels[name])
            left = MARGIN + column * (width + GAP)
            axes = place(figure, left + labels, top - own, width - labels, own)
            write(figure, left, top + 0.1, name, weight="bold", size=9.5)
            draw_bars(axes, panels[name], show, least_is_best, subject, references)
        top -= height
    return Chart(figure, title)


def lines(
    title: str,
    panels: Mapping[str, Mapping[str, Points]],
    *,
    x_label: str,
    note: str = "",
    show: Show = exact,
    logarithmic: bool = False,
    subject: str = "pronghorn",
) -> Chart:
    """A panel with a line over x for each name, labelled at its end, for each heading in `panels`.

    A `logarithmic` x has a tick at each of the values that occur.
    """
    figure, top = card(title, note, (PLOT + GAP + 0.35) * len(panels))
    longest = max(len(name) for panel in panels.values() for name in panel)
    width = WIDTH - 2 * MARGIN - 0.6 - 0.3 - 0.078 * longest
    every = list(dict.fromkeys(name for panel in panels.values() for name in panel if name != subject))
    colors = {name: HUES[index % len(HUES)] for index, name in enumerate(every)} | {subject: SUBJECT}
    for name, series in panels.items():
        top -= GAP
        write(figure, MARGIN, top + 0.12, name, weight="bold", size=9.5)
        axes = place(figure, MARGIN + 0.6, top - PLOT, width, PLOT)
        draw_lines(axes, series, colors, subject, show, logarithmic)
        top -= PLOT + 0.35
        write(figure, MARGIN + 0.6 + width / 2, top + 0.02, x_label, color=FADED, size=8, ha="center")
    return Chart(figure, title)


def card(title: str, note: str, height: float) -> tuple[Figure, float]:
    """An empty figure with a title above and a note below `height` inches, and the top of these, from the bottom."""
    foot = FOOT + (0.17 * (note.count("\n") + 1) if note else 0)
    total = height + HEADING + foot
    figure = Figure(figsize=(WIDTH, total))
    figure.patch.set_alpha(0)
    inset = 0.02
    figure.add_artist(
        FancyBboxPatch(
            (inset / WIDTH, inset / total),
            1 - 2 * inset / WIDTH,
            1 - 2 * inset / total,
            boxstyle=f"round,pad=0,rounding_size={0.12 / WIDTH}",
            mutation_aspect=WIDTH / total,
            facecolor=CARD,
            edgecolor=BORDER,
            transform=figure.transFigure,
            zorder=-1,
        )
    )
    write(figure, MARGIN, total - 0.42, title, weight="bold", size=13)
    if note:
        write(figure, MARGIN, foot - 0.12, note, color=FADED, size=7.5, va="top", linespacing=1.5)
    return figure, total - HEADING


def draw_bars(
    axes: Any,
    values: Mapping[str, float],
    show: Show,
    least_is_best: bool,
    subject: str,
    references: Collection[str],
) -> None:
    """Draw the bars of one panel."""
    order = sorted(values, key=lambda name: values[name], reverse=not least_is_best)
    longest = max(values.values()) or 1
    for line, name in enumerate(order):
        value = values[name]
        color = SUBJECT if name == subject else CARD if name in references else OTHER
        edge = {"edgecolor": OTHER, "linewidth": 0.9, "linestyle": (0, (3, 2))} if name in references else {}
        axes.barh(line, value, height=0.7, color=color, **edge)
        weight = "bold" if name == subject else "normal"
        color = SUBJECT if name == subject else FADED if name in references else INK
        say = {"va": "center_baseline", "fontsize": 8.5}
        axes.annotate(
            name, (0, line), (-6, 0), textcoords="offset points", ha="right", color=color, weight=weight, **say
        )
        shown = show(value)
        axes.annotate(shown, (value, line), (5, 0), textcoords="offset points", color=color, weight=weight, **say)
        if name != subject and values.get(subject) and value:
            times = value / values[subject] if least_is_best else values[subject] / value
            offset = (11 + 5.6 * len(shown), 0)
            axes.annotate(
                f"{times:.2f}×",
                (value, line),
                offset,
                textcoords="offset points",
                color=FADED,
                va=say["va"],
                fontsize=7.5,
            )
    axes.set(xlim=(0, longest * 1.45), ylim=(len(order) - 0.5, -0.5))
    axes.set_axis_off()


def draw_lines(
    axes: Any, series: Mapping[str, Points], colors: Mapping[str, str], subject: str, show: Show, logarithmic: bool
) -> None:
    """Draw the lines of one panel, the subject's above the others, with labels at their ends that do not overlap."""
    for name, points in series.items():
        ours = name == subject
        axes.plot(
            *zip(*points, strict=True),
            color=colors[name],
            linewidth=2.4 if ours else 1.3,
            marker="o" if logarithmic else None,
            markersize=4.5 if ours else 3,
            zorder=3 if ours else 2,
        )
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({x for points in series.values() for x, _ in points})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: exact(value)))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value) if value else "0"))
    highest = max((y for points in series.values() for _, y in points), default=0) or 1
    axes.set_ylim(0, highest * 1.06)
    style(axes, labelsize=8)
    scale = PLOT / (highest * 1.06)
    ends = {name: points[-1][1] * scale for name, points in series.items() if points}
    for name, height in apart(ends).items():
        axes.annotate(
            name,
            (1, height / PLOT),
            (5, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center_baseline",
            fontsize=8.5,
            color=colors[name],
            weight="bold" if name == subject else "normal",
        )


def style(axes: Any, **ticks: Any) -> None:
    """Draw only a line at the bottom, and one across at each tick."""
    axes.tick_params(length=0, colors=FADED, **ticks)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.patch.set_alpha(0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(BORDER)


def apart(heights: Mapping[str, float]) -> dict[str, float]:
    """Move heights, in inches, as little as needed to be LABEL_GAP apart, none below zero."""
    order = sorted(heights, key=lambda name: heights[name])
    placed = {name: heights[name] for name in order}
    for _ in range(200 if order else 0):
        moved = False
        placed[order[0]] = max(placed[order[0]], 0)
        for lower, upper in itertools.pairwise(order):
            lack = LABEL_GAP - (placed[upper] - placed[lower])
            if lack > 1e-6:
                placed[lower] -= lack / 2
                placed[upper] += lack / 2
                moved = True
        if not moved:
            break
    return placed


def place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Any:
    """Add axes at a place in inches."""
    whole, tall = figure.get_size_inches()
    return figure.add_axes((left / whole, bottom / tall, width / whole, height / tall))


def write(figure: Figure, left: float, bottom: float, text: str, color: str = INK, **style: Any) -> None:
    """Write text at a place in inches."""
    whole, tall = figure.get_size_inches()
    figure.text(left / whole, bottom / tall, text, color=color, **style)
