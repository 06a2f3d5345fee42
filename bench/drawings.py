"""The charts of a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pronghorn.bench import charts
from pronghorn.bench.charts import Chart, Points
from pronghorn.bench.outcome import family
from pronghorn.bench.rounds import LATENCIES

from .outcome import Outcome
from .report import Report
from .servers import REFERENCES

SPEEDS = {
    "headline": ("Requests per second", ("plain", "pipelined", "starlette", "fastapi")),
    "http": (
        "Requests per second, by what is asked",
        ("browser", "default", "tls", "sleep", "django", "post-1k", "post-1m", "stream"),
    ),
    "http2": (
        "Requests per second over HTTP/2",
        ("h2", "h2-m100", "h2-c64", "h2-browser", "h2-tls", "h2-fastapi", "h2-post-1m", "h2-stream"),
    ),
    "websocket": ("WebSocket messages per second", ("ws-64", "ws-64k", "ws-broadcast")),
}
PERCENTILES = dict(zip(LATENCIES, ("p50", "p99", "p99.9"), strict=True))
CPU = ("plain", "browser", "starlette", "fastapi", "django", "ws-64")
MIB, KIB = 1 / 2**20, 1 / 2**10
# Scenario, key, scale and heading of each panel.
COSTS = (
    ("memory", "rss", MIB, "Memory after the first answer, MiB"),
    ("idle", "served", KIB, "An idle connection, KiB"),
    ("ws-idle", "open", KIB, "An idle WebSocket, KiB"),
    ("startup", "median", 1000, "Start to first answer, ms"),
)

Panel = Mapping[str, float]
Charts = Iterator[tuple[str, Chart]]


def draw(report: Report) -> dict[str, Chart]:
    """The charts of everything that was measured, by name."""
    return dict(drawn(report))


def drawn(report: Report) -> Charts:
    """The charts, one by one."""
    outcomes = {outcome.name: outcome for outcome in report.outcomes if outcome.rows}
    where = f"{report.date}, {report.versions['python']}, {report.machine['processor']}."
    note = f"{where}\nOne worker on one core, the load on another."

    def short(name: str) -> str:
        return outcomes[name].title.partition(" (")[0]

    for name, (title, scenarios) in SPEEDS.items():
        panels = {short(each): panel(outcomes[each], "per_second") for each in scenarios if each in outcomes}
        yield from bars(name, title, panels, note)
    panels = {short(each): panel(outcomes[each], "cpu_us") for each in CPU if each in outcomes}
    yield from bars("cpu", "CPU for a request or a message, µs", panels, note, least_is_best=True)
    for name, outcome in outcomes.items():
        if name == "connections":
            yield name, by_connections(outcome, note)
        elif name == "workers":
            panels = {column.heading: panel(outcome, column.key) for column in outcome.columns}
            yield from bars(name, outcome.title, panels, f"{where} Two cores, shared with the load.")
        elif name.startswith("latency"):
            late = [each for each, row in outcome.rows.items() if not row["kept"]]
            missed = f"\nDid not keep the rate: {', '.join(late)}." if late else ""
            kept = replace(outcome, rows={each: row for each, row in outcome.rows.items() if row["kept"]})
            panels = {f"{label}, ms": panel(kept, key, 1e-3) for key, label in PERCENTILES.items()}
            yield from bars(name, outcome.title, panels, note + missed, least_is_best=True)
    panels = {heading: panel(outcomes[name], key, scale) for name, key, scale, heading in COSTS if name in outcomes}
    yield from bars("costs", "Memory and start-up", panels, note, least_is_best=True)


def bars(name: str, title: str, panels: Mapping[str, Panel], note: str, *, least_is_best: bool = False) -> Charts:
    """A chart of the panels that have figures, if there are any."""
    if filled := {heading: panel for heading, panel in panels.items() if panel}:
        if any(not panel.keys().isdisjoint(REFERENCES) for panel in filled.values()):
            note = f"{note} Dashed: no ASGI server, for comparison."
        yield name, charts.bars(title, filled, note=note, references=REFERENCES, least_is_best=least_is_best)


def panel(outcome: Outcome, key: str, scale: float = 1) -> Panel:
    """The figures at `key`, by server."""
    return {family(name): row[key] * scale for name, row in outcome.rows.items() if row[key]}


def by_connections(outcome: Outcome, note: str) -> Chart:
    """Requests per second and the p99, over the number of connections."""
    panels: dict[str, dict[str, Points]] = {}
    for heading, key, scale in (("Requests per second", "per_second", 1.0), ("p99, ms", "p99_us", 1e-3)):
        panels[heading] = {
            name: [(int(point), figures[key] * scale) for point, figures in row["points"].items() if figures[key]]
            for name, row in outcome.rows.items()
        }
    return charts.lines("Plain GET by connections", panels, x_label="connections", logarithmic=True, note=note)
