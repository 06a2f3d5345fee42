"""The charts of a comparison: what a request costs, and throughput, response times and failures over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pronghorn.bench import charts
from pronghorn.bench.outcome import Row

ACROSS = 3
# Inches: for the scales on the left, right of a panel, a panel's heading, its strips, between them, below them.
SCALES, BETWEEN, HEADING, THROUGHPUT, TIMES, FAILURES, SPACE, BELOW = 0.5, 0.35, 0.48, 0.6, 1.4, 0.25, 0.22, 0.5
PANEL = HEADING + THROUGHPUT + SPACE + TIMES + SPACE + FAILURES + BELOW
# Between rounds, in seconds.
PAUSE = 1.5
FAILED = "#b3202c"
PERCENTILES = (("p50", 2.0, 1.0), ("p95", 1.3, 0.7), ("p99", 0.9, 0.5))
Course = Sequence[Sequence[Row]]
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


@dataclass(frozen=True)
class Scale:
    """The limits that all panels have in common."""

    seconds: float
    requests: float
    failures: float
    fastest: float
    slowest: float


def costs(rows: Mapping[str, Row], title: str, note: str, subject: str) -> charts.Chart:
    """The CPU of each server, and how long its users waited."""
    panels = {
        "Server's CPU per request, µs": {name: row["cpu_us"] for name, row in rows.items()},
        "Response time, median, ms": {name: row["percentiles"][0] for name, row in rows.items()},
    }
    return charts.bars(title, panels, note=note, least_is_best=True, subject=subject)


def over_time(rows: Mapping[str, Row], title: str, note: str, subject: str) -> charts.Chart:
    """A panel for each server: second by second, one round after another."""
    across = min(ACROSS, len(rows))
    figure, top = charts.card(title, note, PANEL * math.ceil(len(rows) / across))
    width = (charts.WIDTH - 2 * charts.MARGIN - SCALES - BETWEEN * across) / across
    scale = scale_of(rows.values())
    for index, (name, row) in enumerate(rows.items()):
        line, column = divmod(index, across)
        left = charts.MARGIN + SCALES + column * (width + BETWEEN)
        color = charts.SUBJECT if name == subject else charts.HUES[0]
        panel = Panel(figure, left, top - line * PANEL - HEADING, width, color, scale)
        panel.draw(name, row, labelled=column == 0)
    return charts.Chart(figure, title)


def rounded_up(value: float) -> float:
    """The next number of a single digit and zeros, or of one and a half."""
    unit = 10.0 ** math.floor(math.log10(value))
    return unit * min(digits for digits in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * digits >= value)


def scale_of(rows: Iterable[Row]) -> Scale:
    """Limits within which everything lies."""
    courses = [row["course"] for row in rows]
    seconds = [second for course in courses for each in course for second in each]
    times = [time for second in seconds for time in second["percentiles"]]
    return Scale(
        seconds=max(sum(len(each) - 1 + PAUSE for each in course) for course in courses) - PAUSE,
        requests=rounded_up(max(second["requests"] for second in seconds)),
        failures=max(second["failures"] for second in seconds),
        fastest=min(times),
        slowest=max(times),
    )


@dataclass(frozen=True)
class Panel:
    """One server's strips, from `top` downwards, in inches."""

    figure: Figure
    left: float
    top: float
    width: float
    color: str
    scale: Scale

    height = THROUGHPUT + SPACE + TIMES + SPACE + FAILURES

    def draw(self, name: str, row: Row, labelled: bool) -> None:
        """Heading and strips; `labelled` says whether the scales have names and numbers."""
        cost, right = f"{row['cpu_us']:,.0f} µs of CPU per request", self.left + self.width
        charts.write(self.figure, self.left, self.top + 0.26, name, weight="bold", size=9.5, color=self.color)
        charts.write(self.figure, right, self.top + 0.26, cost, size=7.5, color=charts.FADED, ha="right")
        self.draw_throughput(row["course"], labelled)
        self.draw_times(row["course"], labelled)
        self.draw_failures(row["course"], labelled)

    def draw_throughput(self, course: Course, labelled: bool) -> None:
        """The uppermost strip."""
        axes = self.strip(0, THROUGHPUT, labelled, "requests/s", [0, self.scale.requests])
        axes.set_ylim(0, self.scale.requests * 1.02)
        for points in rounds(course, lambda second: second["requests"]):
            axes.fill_between(*points, color=self.color, alpha=0.12, linewidth=0)
            axes.plot(*points, color=self.color, linewidth=1.4)

    def draw_times(self, course: Course, labelled: bool) -> None:
        """The strip in the middle, with a name at the end of each line."""
        ticks = [tick for tick in TICKS if self.scale.fastest <= tick <= self.scale.slowest]
        axes = self.strip(THROUGHPUT + SPACE, TIMES, labelled, "response time, ms", ticks, logarithmic=True)
        least, most = self.scale.fastest / 1.3, self.scale.slowest * 1.3
        axes.set_ylim(least, most)
        ends = {}
        for index, (percentile, thickness, alpha) in enumerate(PERCENTILES):
            for points in rounds(course, partial(percentile_of, index=index)):
                axes.plot(*points, color=self.color, linewidth=thickness, alpha=alpha)
                ends[percentile] = TIMES * math.log(points[1][-1] / least) / math.log(most / least)
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center_baseline", "fontsize": 6.5}
        for percentile, height in charts.apart(ends).items():
            axes.annotate(percentile, (1, height / TIMES), (4, 0), color=charts.FADED, **place)

    def draw_failures(self, course: Course, labelled: bool) -> None:
        """The strip at the bottom, with the rounds' names."""
        axes = self.strip(self.height - FAILURES, FAILURES, labelled, "failures/s", [0, self.scale.failures])
        axes.set_ylim(0, max(1, self.scale.failures))
        for points in rounds(course, lambda second: second["failures"]):
            axes.bar(*points, width=0.9, color=FAILED)
        if not any(second["failures"] for each in course for second in each):
            place = {"xycoords": "axes fraction", "ha": "center", "va": "center", "fontsize": 7}
            axes.annotate("none", (0.5, 0.5), color=charts.FADED, **place)
        axes.set_xticks(*zip(*middles(course), strict=True))
        axes.tick_params(labelbottom=True)

    def strip(
        self, above: float, height: float, labelled: bool, title: str, ticks: list[float], logarithmic: bool = False
    ) -> Any:
        """Axes that begin so far below the top, with a line across at each of the `ticks`."""
        axes = charts.place(self.figure, self.left, self.top - above - height, self.width, height)
        if logarithmic:
            axes.set_yscale("log")
        axes.set_xlim(0, self.scale.seconds)
        axes.yaxis.set_major_locator(FixedLocator(sorted(set(ticks))))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: charts.compact(value) if value else "0"))
        charts.style(axes, labelsize=7.5, labelbottom=False, labelleft=labelled)
        if labelled:
            axes.set_title(title, loc="left", fontsize=7.5, color=charts.FADED, pad=2)
        return axes


def percentile_of(second: Row, index: int) -> float | None:
    """One of the response times of a second, None if there was no request."""
    return second["percentiles"][index] if second["percentiles"] else None


def middles(course: Course) -> Iterator[tuple[float, str]]:
    """The middle of each round, with its label."""
    start = 0.0
    for number, each in enumerate(course, 1):
        yield start + (len(each) - 1) / 2, f"round {number}"
        start += len(each) - 1 + PAUSE


def rounds(course: Course, value: Callable[[Row], float | None]) -> Iterator[tuple[list[float], list[float]]]:
    """x and y of each round; the next one begins after a pause."""
    start = 0.0
    for each in course:
        points = [(start + index, y) for index, second in enumerate(each) if (y := value(second)) is not None]
        if points:
            yield [x for x, _ in points], [y for _, y in points]
        start += len(each) - 1 + PAUSE
