"""A comparison as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from pronghorn.bench import charts
from pronghorn.bench.competitors import SUBJECT
from pronghorn.bench.outcome import Row
from pronghorn.bench.result import COLUMNS, METHOD, Result, conclusions

TEMPLATE = Path(__file__).with_name("page.html")
# The charts' colors on a dark page.
DARK = {
    charts.CARD: "#1f1d1a",
    charts.BORDER: "#393530",
    charts.RULE: "#2d2a26",
    charts.INK: "#e8e4dc",
    charts.FADED: "#9c958b",
    charts.SUBJECT: "#f08a4b",
    charts.OTHER: "#6b7177",
}


def html(result: Result) -> str:
    """The page."""
    title = f"{result.app}: {result.request}"
    servers = "".join(
        f"<p>{escape(name)}: {escape(result.answers.get(name, 'did not answer'))}</p><pre>{escape(command)}</pre>"
        for name, command in result.commands.items()
    )
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        summary=escape(f"{result.date}: {result.summary()}"),
        conclusions="".join(f"<p>{escape(line)}</p>" for line in conclusions(result.rows)),
        notes=listed(result.notes),
        table=table(result.rows) if result.rows else "",
        charts="".join(chart.svg().partition("<svg")[2].join(("<svg", "")) for chart in drawn(result)),
        left_out=left_out(result.left_out) if result.left_out else "",
        method=escape(METHOD),
        command=escape(result.command),
        servers=servers,
        machine=escape(", ".join(f"{name}: {text}" for name, text in result.machine.items())),
        versions=escape(", ".join(f"{name} {text}" for name, text in result.versions.items())),
        dark="\n  ".join(dark_rules()),
    )


def drawn(result: Result) -> list[charts.Chart]:
    """Charts of the available figures."""

    def values(key: str, unit: float = 1) -> dict[str, float]:
        return {name: row[key] / unit for name, row in result.rows.items() if row[key] is not None}

    costs = {
        "CPU per request, µs": values("cpu_us"),
        "Memory, MiB": values("rss", 2**20),
        "Half of the requests are answered within, ms": values("p50_us", 1000),
        "99 % of the requests are answered within, ms": values("p99_us", 1000),
    }
    found = {name: panel for name, panel in costs.items() if panel}
    speeds = values("per_second")
    if not speeds:
        return []
    return [
        charts.bars("More is better", {"Requests per second": speeds}, subject=SUBJECT),
        charts.bars("Less is better", found, least_is_best=True, subject=SUBJECT),
    ]


def table(rows: Mapping[str, Row]) -> str:
    """A line for each server."""
    head = "".join(f"<th>{escape(column.heading)}" for column in COLUMNS)
    lines = "".join(
        f"<tr{' class=ours' if name == SUBJECT else ''}><th>{escape(name)}"
        + "".join(f"<td>{escape(column.cell(row))}" for column in COLUMNS)
        for name, row in rows.items()
    )
    return f'<div class="wide"><table><thead><tr><th>{head}</thead><tbody>{lines}</tbody></table></div>'


def left_out(reasons: Mapping[str, str]) -> str:
    """The servers that were not measured, with the reasons."""
    lines = (f'<p class="reason">{escape(name)}: {escape(reason)}' for name, reason in reasons.items())
    return f"<h2>Left out</h2>{''.join(lines)}"


def listed(texts: Sequence[str]) -> str:
    """A list, empty if there are no texts."""
    return f'<ul class="notes">{"".join(f"<li>{escape(text)}" for text in texts)}</ul>' if texts else ""


def dark_rules() -> list[str]:
    """CSS rules that replace the charts' colors, which are inline styles."""
    return [
        f'svg [style*="{name}: {light}"] {{ {name}: {dark} !important }}'
        for light, dark in DARK.items()
        for name in ("fill", "stroke")
    ]
