"""The charts of a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pronghorn.bench import charts
from pronghorn.bench.charts import Chart, Points
from pronghorn.bench.outcome import Outcome, family
from pronghorn.bench.rounds import LATENCIES

from .report import Report
from .servers import REFERENCES

SPEEDS = {
    "headline": ("Requests per second", ("plain", "pipelined", "starlette", "fastapi")),
    "http": (
        "Requests per second, by what is asked",
        ("browser", "default", "tls", "sleep", "django", "post-1k", "post-1m", "stream"),
    ),
    "websocket": ("WebSocket messages per second", ("ws-64", "ws-64k", "ws-broadcast")),
}
CPU = ("plain", "browser", "starlette", "fastapi", "django", "ws-64")
MIB, KIB, MILLISECOND = 1 / 2**20, 1 / 2**10, 1e3
# Scenario, key, scale and heading of each panel.
COSTS = (
    ("memory", "rss", MIB, "Memory after the first answer, MiB"),
    ("idle", "served", KIB, "An idle connection, KiB"),
    ("ws-idle", "open", KIB, "An idle WebSocket, KiB"),
    ("startup", "median", MILLISECOND, "Start to first answer, ms"),
)

Panel = dict[str, float]


def draw(report: Report) -> dict[str, Chart]:
    """Every chart for which something was measured, by name."""
    return dict(drawn(report))


def drawn(report: Report) -> Iterator[tuple[str, Chart]]:
    """The charts, one by one."""
    outcomes = {outcome.name: outcome for outcome in report.outcomes if outcome.rows}
    where = f"{report.date}, {report.versions['python']}, {report.machine['processor']}."
    note = f"{where} One worker on one core, the load on another."
    reference = f"{note} Dashed: no ASGI server, for comparison."
    for name, (title, scenarios) in SPEEDS.items():
        panels = {short(outcomes[each]): speeds(outcomes[each]) for each in scenarios if each in outcomes}
        if panels := filled(panels):
            dashed = any(each in panel for panel in panels.values() for each in REFERENCES)
            yield name, charts.bars(title, panels, note=reference if dashed else note, references=REFERENCES)
    panels = {short(outcomes[each]): costs(outcomes[each]) for each in CPU if each in outcomes}
    if panels := filled(panels):
        title = "CPU for a request or a message, µs"
        yield "cpu", charts.bars(title, panels, note=reference, references=REFERENCES, least_is_best=True)
    for name, outcome in outcomes.items():
        if name == "connections":
            yield name, by_connections(outcome, note)
        elif name.startswith("latency"):
            panels = {
                f"{label}, ms": {each: row[key] / 1000 for each, row in outcome.rows.items() if row["kept"]}
                for key, label in zip(LATENCIES, ("p50", "p99", "p99.9"), strict=True)
            }
            if panels := filled(panels):
                late = [each for each, row in outcome.rows.items() if not row["kept"]]
                missed = f"\nDid not keep the rate: {', '.join(late)}." if late else ""
                yield (
                    name,
                    charts.bars(
                        outcome.title, panels, note=reference + missed, references=REFERENCES, least_is_best=True
                    ),
                )
        elif name == "workers":
            panels = {
                column.heading: {each: row[column.key] for each, row in outcome.rows.items() if row[column.key]}
                for column in outcome.columns
            }
            if panels := filled(panels):
                yield name, charts.bars(outcome.title, panels, note=f"{where} Two cores, shared with the load.")
    panels = {
        heading: {family(each): row[key] * scale for each, row in outcomes[name].rows.items() if row[key]}
        for name, key, scale, heading in COSTS
        if name in outcomes
    }
    if panels := filled(panels):
        yield (
            "costs",
            charts.bars("Memory and start-up", panels, note=reference, references=REFERENCES, least_is_best=True),
        )


def by_connections(outcome: Outcome, note: str) -> Chart:
    """Requests per second and the p99, over the number of connections."""
    panels: dict[str, dict[str, Points]] = {}
    for heading, key, scale in (("Requests per second", "per_second", 1.0), ("p99, ms", "p99_us", 1e-3)):
        panels[heading] = {
            name: [(int(point), figures[key] * scale) for point, figures in row["points"].items() if figures[key]]
            for name, row in outcome.rows.items()
        }
    return charts.lines("Plain GET by connections", panels, x_label="connections", logarithmic=True, note=note)


def speeds(outcome: Outcome) -> Panel:
    """Answers per second, by server."""
    return {family(name): row["per_second"] for name, row in outcome.rows.items() if row["per_second"]}


def costs(outcome: Outcome) -> Panel:
    """CPU of an answer in microseconds, by server."""
    return {family(name): row["cpu_us"] for name, row in outcome.rows.items() if row["cpu_us"]}


def short(outcome: Outcome) -> str:
    """The title without what it explains in brackets."""
    return outcome.title.partition(" (")[0]


def filled(panels: Mapping[str, Panel]) -> dict[str, Panel]:
    """The panels that have something to show."""
    return {heading: panel for heading, panel in panels.items() if panel}
