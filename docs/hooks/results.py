"""Insert the newest benchmark result into the page on performance.

Replaces `<!-- result: PART -->` by a table, a list or a chart, or removes it if the result does not have that part.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

_FOLDER = Path(__file__).parent.parent.parent / "bench" / "results"
_CHARTS = "assets/results"
_MARK = re.compile(r"<!-- result: (\w+) ?([\w-]*) -->")
_REFERENCES = ("floor", "nginx")
# A difference within the noise between rounds.
_EVEN = 0.02
_FIRST = ("pronghorn", "uvicorn", "granian", "peregrine", "weft")
# Rows of the CPU table, by scenario.
_COSTS = {
    "floor": "event loop and socket only: nothing parsed, a fixed response",
    "plain": "a plain GET",
    "browser": "with the 14 header fields of a browser",
    "default": "with the access log, to a file",
    "tls": "over TLS 1.3",
    "post-1k": "with a body of 1 KiB, echoed",
    "pure": "interpreted",
    "starlette": "Starlette: routing and JSON",
    "django": "Django: an asynchronous view and JSON",
    "fastapi": "FastAPI: a path and a query parameter, JSON",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File

    for chart in sorted(_FOLDER.glob(f"{newest().stem}-*.svg")):
        files.append(File.generated(config, f"{_CHARTS}/{chart.name}", abs_src_path=str(chart)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    return _MARK.sub(lambda mark: _PARTS[mark[1]](mark[2]), markdown)


def newest(kind: str = "") -> Path:
    """Return the newest full result, or the newest of a `kind`, as JSON; file names begin with the date."""
    if kind:
        return max(_FOLDER.glob(f"*-{kind}.json"))
    found = sorted(_FOLDER.glob("*-complete.json")) or sorted(_FOLDER.glob("*-core.json"))
    return found[-1]


@cache
def result(kind: str = "") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(newest(kind).read_text(encoding="utf-8"))
    return loaded


def facts(kind: str) -> str:
    measured = result(kind)
    machine = ", ".join(f"{name} {value}" for name, value in measured["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in measured["versions"].items())
    return f"{measured['date']}, `{measured['command']}`; {machine}; {versions}."


def chart(name: str) -> str:
    file = f"{newest().stem}-{name}.svg"
    return f"![{name}]({_CHARTS}/{file})" if (_FOLDER / file).exists() else ""


def speeds(kind: str) -> str:
    """Return a table of responses per second, with a row per scenario and a column per server."""
    lines = {each["title"]: _by_family(each["servers"], "per_second") for each in _loads(kind)}
    servers = [*_FIRST, *dict.fromkeys(name for line in lines.values() for name in line if name not in _FIRST)]
    corner = '<span style="display:inline-block;min-width:11rem">per second</span>'
    head = [f"| {corner} | {' | '.join(servers)} |", f"| --- |{' ---: |' * len(servers)}"]
    cells = {
        title: [f"{line[name]:,.0f}" if line.get(name) else "" for name in servers] for title, line in lines.items()
    }
    return "\n".join([*head, *(f"| {title} | {' | '.join(line)} |" for title, line in cells.items())])


def ahead(_: str) -> str:
    """List the scenarios in which another server is faster, by the ratio within rounds."""
    found = []
    for each in _loads():
        behind = {
            _family(name): ratio
            for name, row in each["servers"].items()
            if (ratio := row.get("ratio")) and ratio < 1 and _family(name) not in _REFERENCES
        }
        faster = [
            f"{name} by a factor of {1 / ratio:.2f}" + (" (even)" if ratio > 1 - _EVEN else "")
            for name, ratio in sorted(behind.items(), key=lambda item: item[1])
        ]
        if faster:
            found.append(f"- **{each['title']}**: {', '.join(faster)}")
    return "\n".join(found) or "Nowhere, in this result."


def costs(_: str) -> str:
    """Return a table of the CPU time per request, by scenario."""
    scenarios = {each["name"]: each["servers"] for each in _loads()}
    scenarios["floor"] = {"pronghorn": scenarios["plain"].get("floor", {})}
    lines = ["| request | CPU µs | user space | kernel |", "| --- | ---: | ---: | ---: |"]
    for name, text in _COSTS.items():
        rows = [row for server, row in scenarios.get(name, {}).items() if _family(server) == "pronghorn"]
        if rows and rows[0].get("cpu_us"):
            row = rows[0]
            lines.append(f"| {text} | {row['cpu_us']:.1f} | {row['user_us']:.1f} | {row['system_us']:.1f} |")
    return "\n".join(lines)


def table(name: str) -> str:
    """Return the named table; without a name, all tables in collapsible sections."""
    titles = {each["name"]: each["title"] for each in result()["scenarios"]}
    if name:
        return _tables().get(titles.get(name, ""), "")
    return "\n\n".join(
        f'<details markdown="1"><summary>{title}</summary>\n\n{_tables()[title]}\n\n</details>'
        for title in titles.values()
        if title in _tables()
    )


def started(_: str) -> str:
    return _tables()["How the servers were started"]


def _loads(kind: str = "") -> list[dict[str, Any]]:
    """Return the scenarios that measure responses under load."""
    return [each for each in result(kind)["scenarios"] if any("cpu_us" in row for row in each["servers"].values())]


def _by_family(rows: dict[str, dict[str, Any]], key: str) -> dict[str, float]:
    return {_family(name): row[key] for name, row in rows.items() if row.get(key)}


def _family(name: str) -> str:
    """Return the server's name without its variant."""
    return name.partition("-")[0]


@cache
def _tables() -> dict[str, str]:
    """Return the sections of the Markdown result by heading."""
    text = newest().with_suffix(".md").read_text(encoding="utf-8")
    sections = (section.partition("\n") for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    return {title.strip(): content.strip() for title, _, content in sections}


_PARTS = {
    "facts": facts,
    "chart": chart,
    "speeds": speeds,
    "ahead": ahead,
    "costs": costs,
    "table": table,
    "started": started,
}
